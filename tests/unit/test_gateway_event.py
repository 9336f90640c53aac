"""The proxy event against AWS's documentation, and a handler's answer on its way back to HTTP."""

import base64
import gzip
import json
from typing import Any

import pytest

from infra.local.proxy_event import (
    COMPRESS_FROM_BYTES,
    HttpAnswer,
    HttpRequest,
    accepts_gzip,
    binary_matcher,
    to_event,
    to_http,
)
from infra.local.router import Match

IS_BINARY = binary_matcher(["image/*", "application/cbor", "application/octet-stream"])


def event_of(
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    query: bytes = b"",
    body: bytes = b"",
    path: bytes = b"/things/a%2Fb",
) -> dict[str, Any]:
    """An event of a request to /things/{name}."""
    request = HttpRequest("POST", path, query, headers, body, "192.0.2.7", "1.1")
    match = Match("/things/{name}", {"name": "a%2Fb"})
    return to_event(request, match, request_id="id-1", now_s=1583349317.135, stage="prod", is_binary=IS_BINARY)


def answer(response: dict[str, Any], *, method: str = "GET", accept_encoding: str = "") -> HttpAnswer:
    """The HTTP answer for a handler's response."""
    return to_http({"statusCode": 200, "headers": {}} | response, method=method, accept_encoding=accept_encoding)


def test_event_has_every_key_of_the_documented_one() -> None:
    """AWS's example of payload format 1.0 for REST APIs, key by key."""
    event = event_of()
    assert set(event) == {
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "requestContext",
        "pathParameters",
        "stageVariables",
        "body",
        "isBase64Encoded",
    }
    context = event["requestContext"]
    assert context["requestTime"] == "04/Mar/2020:19:15:17 +0000"
    assert context["requestTimeEpoch"] == 1583349317135
    assert context["resourcePath"] == event["resource"] == "/things/{name}"
    assert context["path"] == event["path"] == "/things/a%2Fb"
    assert (context["httpMethod"], context["stage"], context["protocol"]) == ("POST", "prod", "HTTP/1.1")
    assert {"accountId", "apiId", "requestId", "resourceId", "identity", "domainName"} <= set(context)
    assert context["identity"]["sourceIp"] == "192.0.2.7"
    json.dumps(event)


def test_event_says_null_where_aws_does() -> None:
    """No query, no body: null, not an empty map or text."""
    event = event_of()
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None
    assert event["stageVariables"] is None
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


def test_event_keeps_path_parameters_encoded_and_decodes_the_query() -> None:
    """REST APIs do not decode captured segments (aws/chalice#511)."""
    event = event_of(query=b"q=a%20b+c&empty=&q=%C3%BC")
    assert event["pathParameters"] == {"name": "a%2Fb"}
    assert event["multiValueQueryStringParameters"] == {"q": ["a b c", "ü"], "empty": [""]}
    assert event["queryStringParameters"] == {"q": "ü", "empty": ""}


def test_event_carries_repeated_headers_and_the_last_of_each() -> None:
    """Both maps, as AWS fills them."""
    event = event_of(headers=((b"accept", b"a"), (b"user-agent", b"t/1"), (b"accept", b"b")))
    assert event["multiValueHeaders"]["accept"] == ["a", "b"]
    assert event["headers"] == {"accept": "b", "user-agent": "t/1"}
    assert event["requestContext"]["identity"]["userAgent"] == "t/1"


@pytest.mark.parametrize(
    ("content_type", "body", "encoded"),
    [
        (b"application/json", '{"a": "ü"}'.encode(), False),
        (b"application/cbor", b"\xa1aa\x01", True),
        (b"image/png; q=1", b"plain", True),
        (b"Application/CBOR", b"plain", True),
        (b"application/json", b"\xff\xfe", True),
        (b"", b"\xed\xa0\x80", True),
    ],
)
def test_event_encodes_binary_bodies_only(content_type: bytes, body: bytes, encoded: bool) -> None:
    """By content type, and whatever is not UTF-8; nothing is lost either way."""
    event = event_of(headers=((b"content-type", content_type),), body=body)
    assert event["isBase64Encoded"] is encoded
    seen = base64.b64decode(event["body"]) if encoded else event["body"].encode()
    assert seen == body


def test_answer_carries_every_header_and_its_length() -> None:
    """Single and multi-value headers; the length is ours, not the handler's."""
    response = {"headers": {"X-A": "1", "Content-Length": "7"}, "multiValueHeaders": {"Set-Cookie": ["a", "b"]}}
    made = answer(response | {"body": "ü"})
    assert made.body == "ü".encode()
    assert sorted(made.headers) == [
        (b"content-length", b"2"),
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"x-a", b"1"),
    ]


def test_answer_decodes_base64() -> None:
    """Binary answers travel through Lambda as text."""
    made = answer({"body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True})
    assert made.body == b"\x00\xff"


def test_answer_to_head_has_the_length_but_no_body() -> None:
    """What GET would say of itself."""
    made = answer({"body": "12345"}, method="HEAD")
    assert made.body == b""
    assert dict(made.headers)[b"content-length"] == b"5"
    assert b"content-length" not in dict(answer({"body": ""}, method="HEAD").headers)


@pytest.mark.parametrize("status", [204, 304])
def test_answer_without_content_has_no_length(status: int) -> None:
    """RFC 9110: no body, and no Content-Length that would claim one."""
    made = answer({"statusCode": status, "body": "x"})
    assert made.body == b""
    assert b"content-length" not in dict(made.headers)


def test_answer_is_compressed_when_asked_and_worth_it() -> None:
    """Long text only; the ETag of the compressed form is weak, and caches are told."""
    text = "a" * COMPRESS_FROM_BYTES
    made = answer({"body": text, "headers": {"ETag": '"1"'}}, accept_encoding="br, gzip;q=0.5")
    headers = dict(made.headers)
    assert gzip.decompress(made.body).decode() == text
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"content-length"] == str(len(made.body)).encode()
    assert (headers[b"etag"], headers[b"vary"]) == (b'W/"1"', b"accept-encoding")


@pytest.mark.parametrize(
    "response",
    [
        {"body": "a" * (COMPRESS_FROM_BYTES - 1)},
        {"body": "a" * 9999, "headers": {"Content-Type": "image/png"}},
        {"body": "a" * 9999, "headers": {"Content-Encoding": "br"}},
    ],
)
def test_answer_stays_as_it_is_when_compression_is_not_worth_it(response: dict[str, Any]) -> None:
    """Short, already compressed, or not text."""
    assert answer(response, accept_encoding="gzip").body.startswith(b"aaa")


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP ; q=0.1", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=x", False),
        ("*;q=1, gzip;q=0.0", False),
        ("identity, *;q=0", False),
    ],
)
def test_accept_encoding_is_read_with_weights(header: str, accepted: bool) -> None:
    """RFC 9110, 12.5.3."""
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("response", [{"statusCode": "x"}, {"body": "%", "isBase64Encoded": True}, {"body": 3}])
def test_answer_that_is_none_is_refused(response: dict[str, Any]) -> None:
    """The gateway answers 502 for what Lambda's proxy format does not allow."""
    with pytest.raises((ValueError, TypeError, AttributeError)):
        answer(response)
