"""An HTTP request as API Gateway's REST Lambda proxy event (payload format 1.0), and the answer back to HTTP.

Source: AWS, "Set up Lambda proxy integrations in API Gateway", input and output format. Where AWS surprises, we
follow: path parameters stay percent-encoded, query parameters are decoded, empty maps are null, the last of repeated
values wins in the single-value maps.
"""

import base64
import gzip
import time
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from infra.local.router import Match

Event = dict[str, Any]
Response = dict[str, Any]

ACCOUNT_ID = "000000000000"
API_ID = "local"
COMPRESS_FROM_BYTES = 1024
GZIP_LEVEL = 4
"""Of JSON rows, level 4 leaves 2 % more than level 6 for half the time."""

_HOP_BY_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
_NO_BODY = frozenset({204, 304})
_COMPRESSIBLE = (
    "text/*",
    "application/json",
    "application/*+json",
    "application/x-ndjson",
    "application/xml",
    "application/javascript",
)


class HttpRequest(NamedTuple):
    """What the wire said. `raw_path` and `query` are percent-encoded; header names are lower-case."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    address: str
    http_version: str


class HttpAnswer(NamedTuple):
    """What goes to the wire. `body` is empty for HEAD, while Content-Length is what GET would say."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def to_event(
    request: HttpRequest,
    match: Match | None,
    *,
    request_id: str,
    now_s: float,
    stage: str,
    is_binary: Callable[[str], bool],
) -> Event:
    """Build the proxy event; `resource` is null for a path that nobody declared, which AWS would not pass on."""
    many: dict[str, list[str]] = {}
    for name, value in request.headers:
        many.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    headers = {name: values[-1] for name, values in many.items()}
    query = parse_qs(request.query.decode("utf-8", "replace"), keep_blank_values=True) if request.query else None
    path = request.raw_path.decode("ascii")
    body, encoded = _body(request.body, headers.get("content-type", ""), is_binary)
    resource = match.resource if match else None
    return {
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": (match.parameters or None) if match else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": headers.get("host", "localhost"),
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": _identity(request.address, headers.get("user-agent")),
            "path": path,
            "protocol": f"HTTP/{request.http_version}",
            "requestId": request_id,
            "requestTime": _clf_time(int(now_s)),
            "requestTimeEpoch": int(now_s * 1000),
            "resourceId": _resource_id(resource),
            "resourcePath": resource,
            "stage": stage,
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def to_http(response: Response, *, method: str, accept_encoding: str = "") -> HttpAnswer:
    """Translate a Lambda's proxy answer, compressed when the caller asked and it is worth it.

    Raises:
        KeyError, TypeError, ValueError: It is not a proxy answer; AWS says 502 then.
    """
    status = int(response["statusCode"])
    content = response.get("body") or ""
    body = base64.b64decode(content, validate=True) if response.get("isBase64Encoded") else content.encode()
    headers = _headers(response)
    names = dict(headers)
    if "content-type" not in names and status not in _NO_BODY:
        names["content-type"] = "application/json"
        headers.append(("content-type", "application/json"))
    if len(body) >= COMPRESS_FROM_BYTES and "content-encoding" not in names and _compressible(names["content-type"]):
        headers.append(("vary", "accept-encoding"))
        if accepts_gzip(accept_encoding):
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            headers = [(name, f"W/{value}" if _strong(name, value) else value) for name, value in headers]
            headers.append(("content-encoding", "gzip"))
    if status in _NO_BODY:
        body = b""
    elif body or method != "HEAD":  # an app that left the body of a HEAD away does not tell its length
        headers.append(("content-length", str(len(body))))
    raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    return HttpAnswer(status, raw, b"" if method == "HEAD" else body)


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip: named, or ``*``, and not with ``q=0``."""
    weights = {"gzip": 0.0}
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        weight = parameters.strip().removeprefix("q=") or "1"
        try:
            weights[coding.strip()] = float(weight)
        except ValueError:
            continue
    named = "gzip" in accept_encoding.lower()
    return weights["gzip"] > 0 if named else weights.get("*", 0.0) > 0


def binary_matcher(binary_types: Iterable[str]) -> Callable[[str], bool]:
    """A predicate on Content-Type values: is the body one of *binary_types* (``image/png``, ``image/*``)?"""
    patterns = tuple(binary_types)

    @lru_cache(maxsize=256)
    def is_binary(content_type: str) -> bool:
        essence = content_type.partition(";")[0].strip().lower()
        return bool(essence) and any(fnmatchcase(essence, pattern) for pattern in patterns)

    return is_binary


def _body(body: bytes, content_type: str, is_binary: Callable[[str], bool]) -> tuple[str | None, bool]:
    if not body:
        return None, False
    if not is_binary(content_type):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # AWS would garble it; the handler shall see, and refuse, what was sent
    return base64.b64encode(body).decode("ascii"), True


def _identity(address: str, user_agent: str | None) -> dict[str, Any]:
    return {
        "accessKey": None,
        "accountId": None,
        "caller": None,
        "sourceIp": address,
        "user": None,
        "userAgent": user_agent,
        "userArn": None,
    }


def _headers(response: Response) -> list[tuple[str, str]]:
    headers = [(name.lower(), str(value)) for name, value in (response.get("headers") or {}).items()]
    for name, values in (response.get("multiValueHeaders") or {}).items():
        headers.extend((name.lower(), str(value)) for value in values)
    return [item for item in headers if item[0] not in _HOP_BY_HOP]


def _strong(name: str, value: str) -> bool:
    return name == "etag" and not value.startswith("W/")  # two encodings may not share a strong ETag (RFC 9110, 8.8.3)


@lru_cache(maxsize=256)
def _compressible(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return any(fnmatchcase(essence, pattern) for pattern in _COMPRESSIBLE)


@lru_cache(maxsize=1)
def _clf_time(now_s: int) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now_s))


@lru_cache(maxsize=1024)
def _resource_id(resource: str | None) -> str | None:
    return None if resource is None else base64.b32encode(resource.encode()).decode()[:10].lower().rstrip("=")
