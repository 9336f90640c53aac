"""What holds for every answer: error bodies, methods, headers, content types, request ids."""

import http.client
import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.api.client import Answer, Client
from tests.api.service import RegisteredDevice, Service

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
SEND = "/api/v1/devices/telemetry"


def assert_error(answer: Answer, status: int, *, field: str | None = None) -> None:
    """An error in the published form."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    body = answer.json
    assert body.keys() >= {"error", "message", "code", "request_id"}
    assert body.keys() <= {"error", "message", "code", "request_id", "field", "limit", "retry_after", "window"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"[a-z_]+", body["code"])
    assert body.get("field") == field, body
    assert_secured(answer)


def assert_secured(answer: Answer) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers.get(name) == value, f"{name} of a {answer.status}: {answer.body[:200]!r}"
    assert "cache-control" in answer.headers
    assert "server" not in answer.headers


def test_an_unknown_path_is_404(nobody: Client) -> None:
    for path in ("/nothing", "/api/v1", "/api/v1/devices/1/2/3", "/api/v2/devices/register", "/health/x", "//health"):
        assert_error(nobody.get(path), 404)
        assert_error(nobody.post(path, {"a": 1}), 404)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "TRACE"])
def test_a_wrong_method_is_405_and_says_which_are_right(nobody: Client, method: str) -> None:
    answer = nobody.call(method, SEND)
    assert_error(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.code == "method_not_allowed"


def test_a_get_of_a_path_for_posts_is_405(nobody: Client) -> None:
    for method in ("GET", "HEAD"):
        answer = nobody.call(method, "/api/v1/devices/register")
        assert answer.status == 405
        assert answer.headers["allow"] == "OPTIONS, POST"
        assert_secured(answer)


def test_head_is_get_without_its_body(nobody: Client, admin: Client, device: RegisteredDevice) -> None:
    for client, path, status in (
        (nobody, "/", 200),
        (nobody, "/health", 200),
        (nobody, "/api/v1/devices/status", 401),
        (device.client, "/api/v1/devices/status", 200),
        (admin, f"/api/v1/admin/devices/{device.id}", 200),
        (nobody, "/nothing", 404),
    ):
        got, head = client.get(path), client.call("HEAD", path)
        assert (got.status, head.status, head.body) == (status, status, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        assert_secured(head)


def test_options_names_the_methods(nobody: Client) -> None:
    answer = nobody.call("OPTIONS", SEND)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert "access-control-allow-origin" not in answer.headers
    assert_secured(answer)


def test_a_page_of_an_allowed_origin_may_call(nobody: Client) -> None:
    """The predecessor's two origins are allowed in the local stage."""
    origin = "http://localhost:3000"
    preflight = nobody.call(
        "OPTIONS",
        SEND,
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="x-api-key, content-type",
    )
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {"x-api-key", "content-type", "authorization", "idempotency-key", "prefer", "x-enrollment-token"}
    assert int(preflight.headers["access-control-max-age"]) > 0
    refused = nobody.post(SEND, {"data": {"t": 1}}, Origin=origin)
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == origin
    assert "X-Request-Id" in refused.headers["access-control-expose-headers"]
    assert "Origin" in refused.headers["vary"]


def test_a_page_of_another_origin_may_not(nobody: Client) -> None:
    answer = nobody.get("/health", Origin="https://evil.example")
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]


def test_every_answer_has_security_headers(nobody: Client, admin: Client, device: RegisteredDevice) -> None:
    assert_secured(nobody.get("/"))
    assert_secured(nobody.get("/health"))
    assert_secured(nobody.get("/metrics"))
    assert_secured(device.client.post(SEND, {"data": {"t": 1}}))
    assert_secured(device.client.post(SEND, {"data": {}}))
    assert_secured(admin.get("/api/v1/admin/devices"))
    assert "strict-transport-security" not in nobody.get("/health").headers
    assert "strict-transport-security" in nobody.get("/health", X_Forwarded_Proto="https").headers


def test_a_request_id_is_echoed_or_made(nobody: Client) -> None:
    assert nobody.get("/health", X_Request_Id="trace-1.a_B").headers["x-request-id"] == "trace-1.a_B"
    made = [nobody.get("/health").headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    for hostile in ("a" * 65, "a b", "\u00e9", "<x>", ""):
        answer = nobody.get("/nothing", X_Request_Id=hostile)
        assert answer.headers["x-request-id"] not in ("", hostile)
        assert_error(answer, 404)


def test_a_missing_credential_is_401_and_says_how(nobody: Client) -> None:
    answer = nobody.get("/api/v1/devices/status")
    assert_error(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "X-API-Key" in answer.json["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1", b'{"data": {"t": 1}', b"nonsense", b"\xff\xfe", b'\xef\xbb\xbf{"data": {"t": 1}}', b"{} {}"],
)
def test_what_is_not_json_is_400(device: RegisteredDevice, body: bytes) -> None:
    for path in (SEND, "/api/v1/devices/config"):
        answer = device.client.call("POST", path, body, Content_Type="application/json")
        assert answer.status == 400, answer.body
        assert answer.json.keys() >= {"error", "message", "code", "request_id"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "x"])
def test_another_content_type_is_415(device: RegisteredDevice, nobody: Client, content_type: str) -> None:
    body = b'{"data": {"t": 1}, "name": "x", "device_type": "y"}'
    for client, path in ((device.client, SEND), (nobody, "/api/v1/devices/register")):
        assert_error(client.call("POST", path, body, Content_Type=content_type), 415, field="Content-Type")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_named_in_many_ways(device: RegisteredDevice, content_type: str) -> None:
    assert device.client.call("POST", SEND, b'{"data": {"t": 1}}', Content_Type=content_type).status == 201
    assert device.client.call("POST", SEND, b'{"data": {"t": 1}}').status == 201


def test_a_body_over_its_limit_is_413_and_says_the_limit(device: RegisteredDevice, nobody: Client) -> None:
    padding = "x" * 4000
    single = {"data": {f"m{number}": padding for number in range(17)}}
    answer = device.client.post(SEND, single)
    assert_error(answer, 413)
    assert "64 kB" in answer.json["limit"]
    batch = {"readings": [{"data": {"text": padding}} for _ in range(270)]}
    answer = device.client.post(SEND, batch)
    assert_error(answer, 413)
    assert "1 MB" in answer.json["limit"]
    answer = nobody.post("/api/v1/devices/register", {"name": "x", "device_type": "y", "description": "z" * 70_000})
    assert_error(answer, 413)
    assert "64 kB" in answer.json["limit"]
    answer = nobody.call("POST", "/api/v1/devices/register", b"0" * (11 * 1024 * 1024))
    assert_error(answer, 413)


def test_every_time_that_goes_out_is_iso_with_milliseconds_and_z(
    service: Service, admin: Client, device: RegisteredDevice
) -> None:
    service.send(device, {"data": {"t": 1}, "timestamp": 1_700_000_000})
    key = admin.get(f"/api/v1/admin/devices/{device.id}").json
    own = device.client.get("/api/v1/devices/status").json["device"]
    latest = device.client.get(f"/api/v1/telemetry/{device.id}/latest").json
    history = device.client.get(f"/api/v1/telemetry/{device.id}?start_time=1699999999").json
    beat = device.client.post("/api/v1/devices/heartbeat").json
    times = [
        key["auth_records"][0]["created_at"],
        own["created_at"],
        own["updated_at"],
        own["last_seen"],
        latest["latest_data"]["timestamp"],
        latest["measurements"]["t"]["timestamp"],
        history["start_time"],
        history["end_time"],
        history["data"][0]["timestamp"],
        beat["timestamp"],
        admin.get("/api/v1/admin/stats").json["timestamp"],
    ]
    assert all(ISO.fullmatch(time) for time in times), times
    assert latest["latest_data"]["timestamp"] == "2023-11-14T22:13:20.000Z"


def test_an_answer_is_compressed_when_asked(service: Service, device: RegisteredDevice) -> None:
    start_ms = 1_700_000_000_000
    rows = [{"timestamp": start_ms + at, "data": {"t": at}} for at in range(100)]
    service.send(device, {"readings": rows})
    path = f"/api/v1/telemetry/{device.id}?start_time={start_ms}"
    plain, packed = device.client.get(path), device.client.get(path, Accept_Encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 3
    assert packed.unpacked().json["data"] == plain.json["data"]


def test_what_the_front_refuses_by_itself_looks_like_every_other_error(url: str) -> None:
    """An unknown method, a broken request line, endless headers: the app never sees them."""
    for request in (
        b"BREW / HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ):
        assert_error(raw(url, request), 431 if len(request) > 10_000 else 400)


def raw(url: str, request: bytes) -> Answer:
    """Send these bytes and read the one answer to them."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
