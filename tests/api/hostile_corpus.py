"""Known attacks, by the part of a request that they are in."""

from collections.abc import Sequence

DEEP = 100_000
PATHS = [
    "/api/v1/devices/telemetry",
    "/api/v1/telemetry",
    "/api/v1/devices/register",
    "/api/v1/devices/config",
    "/api/v1/devices/heartbeat",
    "/api/v1/devices/keys/rotate",
    "/api/v1/admin/devices/bulk",
    "/api/v1/admin/tokens",
    "/api/v1/telemetry/1",
]
JSON = (b"Content-Type", b"application/json")
BODIES = [
    b"", b" ", b"\0", b"\xff\xfe{}", b"null", b"true", b"0", b'""', b"[]", b"{}", b"[[]]", b"{}{}", b"{,}",
    b"{'a': 1}", b'{"data": {"t": NaN}}', b'{"data": {"t": Infinity}}', b'{"data": {"t": -Infinity}}',
    b'{"data": {"t": 1e999}}', b'{"data": {"t": 1' + b"0" * 400 + b"}}", b'{"data": {"t": 1' + b"0" * 60_000 + b"}}",
    b'{"data": {"t": -9223372036854775809}}', b'{"data": {"t": 01}}', b'{"data": {"t": +1}}', b'{"data": {"t": .5}}',
    b'{"data": {"t": 1}, "data": {"t": 2}}', b'{"data": {"t": 1, "t": 2}}', b'{"data": {"a": {"b": 1}, "a.b": 2}}',
    b'{"data": {"t": "\\ud800"}}', b'{"data": {"\\udfff": 1}}', b'{"data": {"t": "\\u0000"}}',
    b'{"data": {"\\u0000": 1}}', b'{"data": {"t": "\x00"}}', b'{"data": {"t": "\xed\xa0\x80"}}',
    b'{"data": {"t": "\xc0\xaf"}}', b'{"data": {"\xff": 1}}', b'{"data": {"": 1}}', b'{"data": {" ": 1}}',
    b'{"data": {"__proto__": 1, "constructor": {"prototype": 1}}}', b"[" * DEEP, b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b'{"data": ' + b'{"a":' * 9 + b"1" + b"}" * 10,
    b'{"data": {"a": ' + b"[" * 50 + b"]" * 50 + b"}}", b'{"data": {"t": "' + b"x" * 65_536 + b'"}}',
    b'{"data": {"t": 1}}' + b" " * 65_536, b" " * (1024 * 1024 + 1),
    b'{"readings": [' + b'{"data": {"t": 1}},' * 60_000 + b'{"data": {"t": 1}}]}',
    b'{"readings": [' + b'{"data": {"t": 1}},' * 1000 + b'{"data": {"t": 1}}]}',
    b'{"readings": {"0": {"data": {"t": 1}}}}',
    b'{"data": {' + b",".join(b'"m%d": 1' % number for number in range(257)) + b"}}",
    b'{"data": {"t": 1}, "timestamp": "' + b"9" * 5000 + b'"}', b'{"data": {"t": 1}, "timestamp": 1e308}',
    b'{"data": {"t": 1}, "timestamp": -1}', b'{"data": {"t": 1}, "timestamp": {}}',
    b'{"data": {"t": 1}, "timestamp": []}', b'{"data": {"t": 1}, "timestamp": "0000-00-00T00:00:00Z"}',
    b'{"data": {"t": 1}, "timestamp": "9999-12-31T23:59:59+23:59"}', b'{"data": {"t": 1}, "metadata": [1]}',
    b'{"data": {"t": 1}, "device_id": {}}', b'{"data": {"t": 1}, "device_id": 1e400}',
    b'{"name": "x", "device_type": "y", "configuration": {"a": ' + b"[" * 7 + b"]" * 7 + b"}}",
    b'{"name": ["x"], "device_type": {"y": 1}}', b'{"name": "x\\u0000", "device_type": "y"}', b'{"name": 1e999}',
    b'{"name": "\\ud83d", "device_type": "y"}', b'{"name": "' + b"x" * 70_000 + b'", "device_type": "y"}',
    b'{"config_key": "k", "config_value": "' + b"9" * 5000 + b'", "data_type": "integer"}',
    b'{"config_key": "k", "config_value": "' + b"[" * 5000 + b'", "data_type": "json"}',
    b'{"config_key": "k", "config_value": 1e308, "data_type": "integer"}', b'{"overlap": "' + b"9" * 5000 + b'd"}',
    b'{"devices": [' + b"{}," * 1000 + b"{}]}", b'{"devices": [null]}', b'{"scopes": [[]], "name": {}}',
    b'{"start_time": true, "stop_time": {}}', b'{"start_time": 1e400, "stop_time": -5}',
]  # fmt: skip
TYPES = [
    b"application/json", b"application/json; charset=utf-16", b"application/json;" + b"x" * 4000, b"text/html", b"",
    b"application/senml+json", b"application/cbor", b"application/senml+cbor", b"multipart/form-data; boundary=x",
    b"application/x-www-form-urlencoded", b"\xff\xfe", b"APPLICATION/JSON", b"a" * 5000,
    b"application/json, text/html",
]  # fmt: skip
BINARY = [
    b"\x9f" * 5000, b"\x81" * DEEP, b"\xbf" * 100, b"\x5f" * 1000, b"\x1b" + b"\xff" * 8, b"\x9b" + b"\xff" * 8,
    b"\x81\xa2\x00a\x68\x02\xfb\x7f\xf0" + b"\0" * 6, b"\x81\xa2\x00a\x68\x02\xf9\x7e\x00", b"\xc2\x58\xff",
    b"\xd9\xd9\xf7", b"\x7a\xff\xff\xff\xff", b"\xa1\x61a\xa1\x61b\xff", b"\xf8\x20", b"\x82\x00",
]  # fmt: skip
VALUES = [
    b"", b" ", b"\xff" * 200, b"\xc3\xa9", b"x" * 9000, b"\t", b"'; DROP TABLE device; --", b"${jndi:ldap://x}",
    b"%00", b"iotf_dev_" + b"a" * 5000, b"iotf_dev___", b"iotf_adm_\xe9_\xe9", b"Bearer " + b"\xff" * 100, b"admin",
    b"Bearer", b"0", b"wait=" + b"9" * 4000, b"wait=-1", b"wait=0;wait", b"gzip;q=x, *;q=\xff", b"W/", b'"' * 3000,
    b"," * 3000, b"-1", b"1e9",
]  # fmt: skip
NAMES = [
    b"X-API-Key", b"Authorization", b"X-Enrollment-Token", b"Content-Type", b"X-Request-Id", b"Idempotency-Key",
    b"Prefer", b"Accept-Encoding", b"If-None-Match", b"Origin", b"X-Forwarded-Proto", b"X-Forwarded-For", b"Cookie",
    b"Range", b"TE", b"Access-Control-Request-Method", b"X-" + b"y" * 500, b"Upgrade", b"Accept",
]  # fmt: skip
TARGETS = [
    b"/" + b"a" * 8192, b"//", b"/..", b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd",
    b"/api/v1/../v1/devices/status", b"/api/v1/telemetry/..", b"/api/v1/telemetry/%00", b"/api/v1/telemetry/%2F",
    b"/api/v1/telemetry/1%20", b"/%", b"/api/v1/telemetry/-1", b"/api/v1/telemetry/0", b"/api/v1/telemetry/1e3",
    b"/api/v1/telemetry/" + b"9" * 400, b"/%zz", b"/api/v1/telemetry/\xd9\xa1", b"/api/v1/telemetry/%D9%A1",
    b"/api/v1/telemetry/1;x=y", b"/api/v1/telemetry/%FF%FE", b"/api/v1/telemetry/1/latest/",
    b"/api/v1/telemetry//latest", b"/api/v1//telemetry/1", b"/API/V1/TELEMETRY/1", b"*", b"/api/v1/admin/tokens/%ff",
    b"/api/v1/admin/dead-letters/" + b"%41" * 1000, b"/api/v1/admin/dead-letters/'\"", b"http://evil.example/health",
    b"/health#x", b"/health?", b"/health?&&&", b"/health?=", b"/\xf0\x9f\x8c\xa1", b"/\\..\\",
]  # fmt: skip
QUERIES = [
    b"start_time=" + b"9" * 4000, b"start_time=%00", b"start_time=%FF", b"start_time=1&start_time=2",
    b"limit=" + b"9" * 4000, b"limit=1e9", b"limit=%D9%A1", b"limit[]=1", b"limit", b"=", b"&" * 4000, b"%", b"%%%",
    b"a=" * 2000, b"cursor=%00", b"cursor=d" + b"9" * 4000, b"fields=" + b"," * 4000, b"fields=" + b"x," * 1000,
    b"fields=%00", b"fields=%ED%A0%80", b"order=x", b"window=" + b"9" * 4000 + b"s",
    b"window=1s&fill=linear&start_time=1", b"window=12mo&start_time=0001-01-01", b"\xff=\xfe",
    b"aggregation=" + b"avg," * 2000, b"timezone=" + b"../" * 20 + b"etc/passwd", b"timezone=%00",
    b"timezone=\xc3\xa9", b"start_time=-9999999999w", b"start_time=0000-01-01",
    b"end_time=9999-12-31T23:59:59.999999999Z", b"search=%25%5F%00", b"__proto__=1", b"top=-1", b"online=2",
    b"detailed=%00", b"status=active%00", b"from=now&to=now",
]  # fmt: skip
FRAMINGS: list[tuple[Sequence[tuple[bytes, bytes]], bytes]] = [
    ([(b"Transfer-Encoding", b"chunked")], b"5\r\n{}   \r\n0\r\n\r\n"),
    ([(b"Transfer-Encoding", b"chunked")], b"xyz\r\n{}\r\n0\r\n\r\n"),
    ([(b"Transfer-Encoding", b"chunked")], b"-1\r\n{}\r\n0\r\n\r\n"),
    ([(b"Transfer-Encoding", b"chunked")], b"ffffffffffffffffff\r\n{}"),
    ([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"4")], b"0\r\n\r\n"),
    ([(b"Transfer-Encoding", b"gzip, chunked")], b"0\r\n\r\n"),
    ([(b"Transfer-Encoding", b"x")], b"{}"),
    ([(b"Content-Length", b"-1")], b"{}"),
    ([(b"Content-Length", b"2"), (b"Content-Length", b"3")], b"{} "),
    ([(b"Content-Length", b"abc")], b"{}"),
    ([(b"Content-Length", b"99999999999999999999")], b"{}"),
    ([(b"Content-Length", b"20000000")], b"{}"),
    ([(b"X", b"y" * 100_000)], b""),
    ([(b"X%d" % number, b"y") for number in range(3000)], b""),
]
