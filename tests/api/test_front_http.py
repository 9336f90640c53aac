"""The front over real sockets: HTTP in, handlers called as Lambda would, HTTP out."""

import gzip
from collections.abc import Iterator

import pytest

from tests.api.running_front import Front, Small, running


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """One server for all tests that leave it as it was."""
    with running(Small(), max_body_bytes=100_000) as server:
        yield server


def test_front_hands_over_the_request_as_it_was_sent(front: Front) -> None:
    """Method, repeated query parameters, encoded path, caller, body."""
    event = front.post("/echo?a=1&a=2", '{"x": "ü"}'.encode(), "X-Twice: 1", "X-Twice: 2").json
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["multiValueHeaders"]["x-twice"] == ["1", "2"]
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["body"] == '{"x": "ü"}'
    assert front.get("/items/a%2Fb%20c").json == {"name": "a%2Fb%20c"}


def test_front_trusts_no_forwarded_address(front: Front) -> None:
    """Anybody can write that header; rate limits go by the address."""
    event = front.get("/echo", "X-Forwarded-For: 203.0.113.9").json
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def test_front_gives_every_request_another_id(front: Front) -> None:
    """In the form of a UUID."""
    ids = {front.get("/echo").json["requestContext"]["requestId"] for _ in range(3)}
    assert {len(each) for each in ids} == {36}
    assert len(ids) == 3


def test_front_carries_binary_both_ways(front: Front) -> None:
    """Base64 in the event and in the handler's answer, bytes on the wire."""
    event = front.post("/echo", b"\xa1aa\x01", "Content-Type: application/cbor").json
    assert (event["body"], event["isBase64Encoded"]) == ("oWFhAQ==", True)
    image = front.get("/image", "Accept: image/png")
    assert (image.body, image.headers["content-type"]) == (b"\x89PNG\x00\xff", "image/png")


def test_front_answers_an_unknown_path_in_the_words_of_aws(front: Front) -> None:
    """Unless it was given other words."""
    reply = front.get("/nothing")
    assert (reply.status, reply.json) == (403, {"message": "Missing Authentication Token"})
    with running(Small(), unknown=lambda event: {"statusCode": 404, "headers": {}, "body": event["path"]}) as other:
        reply = other.get("/noth%20ing")
    assert (reply.status, reply.body) == (404, b"/noth%20ing")


def test_front_asks_the_app_about_an_unknown_method(front: Front) -> None:
    """The app says 405, with Allow."""
    reply = front.get("/items/1", method="DELETE")
    assert (reply.status, reply.headers["allow"]) == (405, "GET")


def test_front_compresses_when_asked(front: Front) -> None:
    """And only then."""
    plain, packed = front.get("/big"), front.get("/big", "Accept-Encoding: gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body == b"x" * 5000


def test_front_answers_502_when_the_app_breaks(front: Front, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that cannot be serialised crashes outside every handler; the caller learns nothing of it."""
    reply = front.get("/crash")
    assert (reply.status, reply.json) == (502, {"message": "Internal server error"})
    assert "GET /crash failed outside every handler" in caplog.text
    assert caplog.records[0].exc_info


def test_front_refuses_a_body_over_the_limit(front: Front) -> None:
    """At the limit it is taken, one byte more is 413, whether its length is announced or not."""
    assert front.post("/echo", b"x" * 100_000).status == 200
    assert front.post("/echo", b"x" * 100_001).json["code"] == "too_large"
    with front.wire() as wire:
        chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
        wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 11)
        assert wire.reply().status == 413


def test_front_refuses_an_announced_giant_before_it_is_sent(front: Front) -> None:
    """A client that waits for 100 Continue is told at once."""
    with front.wire() as wire:
        reply = wire.request("POST /echo HTTP/1.1\nHost: x\nContent-Length: 99999999\nExpect: 100-continue")
    assert (reply.status, reply.json["code"]) == (413, "too_large")


def test_front_takes_chunked_bodies(front: Front) -> None:
    """Many small devices send nothing else."""
    with front.wire() as wire:
        head = "POST /echo HTTP/1.1\nHost: x\nTransfer-Encoding: chunked"
        assert wire.request(head, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").json["body"] == "abcde"


def test_front_keeps_connections_alive(front: Front) -> None:
    """HTTP/1.1 stays open until the client says close; HTTP/1.0 closes."""
    with front.wire() as wire:
        for _ in range(3):
            assert wire.request("GET /items/1 HTTP/1.1\nHost: x").status == 200
        reply = wire.request("GET /items/1 HTTP/1.1\nHost: x\nConnection: close")
        assert (reply.headers["connection"], wire.ended()) == ("close", True)
    with front.wire() as wire:
        assert wire.request("GET /items/1 HTTP/1.0").status == 200
        assert wire.ended()


def test_front_answers_pipelined_requests_in_order(front: Front) -> None:
    """Five requests in one packet."""
    with front.wire() as wire:
        wire.send(b"".join(b"GET /items/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5)))
        assert [wire.reply().json["name"] for _ in range(5)] == ["0", "1", "2", "3", "4"]


def test_front_answers_head_without_a_body(front: Front) -> None:
    """The connection stays in step."""
    with front.wire() as wire:
        reply = wire.request("HEAD /items/1 HTTP/1.1\nHost: x", method="HEAD")
        assert reply.status == 405
        assert int(reply.headers["content-length"]) > 0
        assert wire.request("GET /items/2 HTTP/1.1\nHost: x").json == {"name": "2"}


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_front_refuses_what_is_not_http(front: Front, garbage: bytes) -> None:
    """TLS on the plain port, for instance: 400 in our words, and the connection is closed."""
    with front.wire() as wire:
        wire.send(garbage)
        reply = wire.reply()
        assert (reply.status, reply.json["code"]) == (400, "invalid_input")
        assert wire.ended()
    assert front.get("/items/1").status == 200


def test_front_forgets_a_client_that_hangs_up_half_way(front: Front) -> None:
    """Fewer bytes than announced: nothing is handed to the app, and the server goes on."""
    with front.wire() as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
    assert front.get("/items/1").status == 200
