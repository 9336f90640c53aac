"""What goes back to a caller: bodies and headers of answers and errors, and the line that each leaves in the log."""

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from chalicelib.calls import Call
from chalicelib.declare import Endpoint
from chalicelib.errors import AppError, TooMany, Unauthorized, Unavailable, WrongMethod
from chalicelib.ports import Counters
from chalicelib.status import BUCKETS_S, REJECTED

log = logging.getLogger("iotflow.http")

JSON: Mapping[str, str] = {"Content-Type": "application/json"}
SECURITY: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""On every answer; an endpoint may set its own instead. Source: OWASP REST Security Cheat Sheet."""


class Answer(NamedTuple):
    """A finished answer."""

    status: int
    body: str
    headers: Mapping[str, str] = JSON


def of_error(error: AppError, request_id: str) -> Answer:
    """The published shape of a failure."""
    body: dict[str, Any] = {"error": error.title, "message": error.message, "code": error.code}
    headers = dict(JSON)
    if error.field is not None:
        body["field"] = error.field
    if error.limit is not None:
        body["limit"] = error.limit
    if isinstance(error, TooMany | Unavailable):
        body["retry_after"] = error.retry_after_s
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, TooMany) and error.window_s is not None:
        body["window"] = error.window_s
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="iotflow"'
    if isinstance(error, WrongMethod):
        headers["Allow"] = error.allow
    body["request_id"] = request_id
    return Answer(error.status, json.dumps(body), headers)


def of_bug(request_id: str) -> Answer:
    """The answer to a bug: a fixed text; what happened is in the log under the request id."""
    body = {
        "error": "Internal error",
        "message": "Something went wrong on our side; the request id finds it in the log",
        "code": "internal_error",
        "request_id": request_id,
    }
    return Answer(500, json.dumps(body))


def conditional(answer: Answer, call: Call) -> Answer:
    """Give the answer an ETag, or say 304 when the caller has it already."""
    tag = f'"{hashlib.blake2s(answer.body.encode(), digest_size=12).hexdigest()}"'
    call.answer_headers["ETag"] = tag
    call.answer_headers["Cache-Control"] = "no-cache"
    wanted = call.headers.get("if-none-match", "")
    if answer.status == 200 and {tag, "*"} & {part.strip().removeprefix("W/") for part in wanted.split(",")}:
        return Answer(304, "", {})
    return answer


def record(
    declared: Endpoint, call: Call, answer: Answer, seconds: float, counters: Counters, *, code: str = ""
) -> None:
    """Count the outcome and write one line about it: accepted device writes at DEBUG, all else at INFO.

    *code* is the reason of a refusal; those of telemetry are counted by it.
    """
    with suppress(Unavailable):  # counts are for dashboards; they fail no call
        _count(declared, call, answer, seconds, counters, code)
    level = logging.DEBUG if declared.inline and answer.status < 400 else logging.INFO
    if log.isEnabledFor(level):
        fields = {
            "request_id": call.request_id,
            "endpoint": declared.name,
            "status": answer.status,
            **({"code": code} if code else {}),
            "ms": round(seconds * 1000, 2),
            "caller": call.principal.name,
            "address": call.address,
        }
        log.log(level, "%s %s", declared.name, answer.status, extra={"fields": fields})


def _count(declared: Endpoint, call: Call, answer: Answer, seconds: float, counters: Counters, code: str) -> None:
    labels = (("endpoint", declared.name), ("status", str(answer.status)))
    counters.add("iotflow_requests_total", labels, now_ms=call.now_ms)
    bucket = next((str(bound) for bound in BUCKETS_S if seconds <= bound), "+Inf")
    counters.add("iotflow_request_seconds_bucket", (("endpoint", declared.name), ("le", bucket)), now_ms=call.now_ms)
    counters.add("iotflow_request_seconds_sum", (("endpoint", declared.name),), seconds, now_ms=call.now_ms)
    if code and declared.payload_schema is not None:
        counters.add(REJECTED, (("code", code),), now_ms=call.now_ms)
