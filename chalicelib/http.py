"""Turns a declaration into a chalice route: the one place where HTTP meets the use cases.

An exception inside a view never reaches chalice, which would answer in its own words; every answer is made here.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from chalice.app import Blueprint, Request
from chalice.app import Response as ChaliceResponse
from pydantic import BaseModel

from chalicelib import access, answers, tickets
from chalicelib.access import Access, Who
from chalicelib.calls import Call, network_of, read_body, read_query, request_id
from chalicelib.declare import Endpoint, Text, endpoint, limit_key
from chalicelib.errors import AppError, Forbidden, InvalidInput, NotFound, TooLarge, TooMany, Unauthorized, Unavailable
from chalicelib.model import AuditEntry
from chalicelib.ports import Limit
from chalicelib.wiring import Services, services

log = logging.getLogger("iotflow.http")

Handler = TypeVar("Handler", bound=Callable[..., Any])
ANY_CONTENT_TYPE = ["*/*"]
"""Chalice would answer a foreign content type in its own words, also on a GET; ours are in `calls.read_body`."""


def clock_ms() -> int:
    """Epoch milliseconds UTC, read once at the edge and passed on."""
    return time.time_ns() // 1_000_000


class Resource:
    """The endpoints of one resource: a chalice blueprint whose routes are declarations.

    Args:
        import_name: The module's ``__name__``.
        prefix: Path in front of every route.
        tag: How the documentation groups them.
    """

    def __init__(self, import_name: str, *, prefix: str, tag: str) -> None:
        self.blueprint = Blueprint(import_name)
        self.endpoints: list[Endpoint] = []
        self._prefix = prefix
        self._tag = tag

    def get(self, path: str, *, access: Access, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a GET endpoint; see `declare.Endpoint` for the options."""
        return self._route("GET", path, access, options)

    def post(self, path: str, *, access: Access, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a POST endpoint."""
        return self._route("POST", path, access, options)

    def put(self, path: str, *, access: Access, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a PUT endpoint."""
        return self._route("PUT", path, access, options)

    def delete(self, path: str, *, access: Access, **options: Any) -> Callable[[Handler], Handler]:
        """Declare a DELETE endpoint."""
        return self._route("DELETE", path, access, options)

    def _route(self, method: str, path: str, policy: Access, options: dict[str, Any]) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            declared = endpoint(
                handler, method=method, path=self._prefix + path, access=policy, tag=self._tag, **options
            )
            self.endpoints.append(declared)

            def view(**path_values: str) -> ChaliceResponse:
                request = self.blueprint.current_request
                return respond(declared, request, path_values)

            view.__name__ = handler.__name__
            view.endpoint = declared  # type: ignore[attr-defined]
            route = self.blueprint.route(
                declared.path, methods=[method], name=handler.__name__, content_types=ANY_CONTENT_TYPE
            )
            route(view)
            return handler

        return declare


def endpoint_of(view: Callable[..., Any]) -> Endpoint:
    """The declaration behind a chalice view function."""
    declared: Endpoint = view.endpoint  # type: ignore[attr-defined]
    return declared


def respond(declared: Endpoint, request: Request, path_values: Mapping[str, str]) -> ChaliceResponse:
    """Answer one request: admit, authenticate, limit, parse, run, translate errors, count and log."""
    started = time.perf_counter()
    event = request.to_original_event()
    context = event["requestContext"]
    headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
    call = Call(
        now_ms=clock_ms(),
        request_id=request_id(headers, context.get("requestId", "")),
        headers=headers,
        address=network_of((context.get("identity") or {}).get("sourceIp") or ""),
    )
    current = services()
    try:
        answer = _answer(declared, call, request, path_values, current)
    except AppError as error:
        _audit_refusal(declared, call, error, current)
        answer = answers.of_error(error, call.request_id)
    except Exception:
        log.exception("%s met a bug, request %s", declared.name, call.request_id)
        answer = answers.of_bug(call.request_id)
    seconds = time.perf_counter() - started
    answers.record(declared, call, answer, seconds, current.counters)
    return ChaliceResponse(answer.body, {**call.answer_headers, **answer.headers}, answer.status)


def _answer(
    declared: Endpoint, call: Call, request: Request, path_values: Mapping[str, str], current: Services
) -> answers.Answer:
    settings = current.settings
    _take(current, f"address:{call.address}", _per_minute(settings.address_rate_per_minute), call)
    raw = request.raw_body or b""
    call.payload = raw.encode() if isinstance(raw, str) else raw
    require(call, declared.access)
    _limit(declared, call, current)
    if len(call.payload) > settings.max_body_bytes and declared.payload_schema is None:
        message = f"The body has {len(call.payload)} bytes, the limit is {settings.max_body_bytes}"
        raise TooLarge(message, field="body", limit=f"{settings.max_body_bytes} bytes")
    arguments = _arguments(declared, call, request, path_values, settings.max_body_bytes)
    answer = _run(declared, call, arguments, current)
    return answers.conditional(answer, call) if declared.conditional else answer


def require(call: Call, policy: Access) -> None:
    """Identify the caller under *policy* and refuse him if it is not met.

    Raises:
        Unauthorized: No credential, or one that is not valid.
        Forbidden: Known, but not for this.
        TooMany: Too many refused credentials from this address.
    """
    current = services()
    offered = call.presented
    try:
        if access.is_open(policy, offered, current.openness):
            return
        call.principal = access.authenticate(
            offered.key,
            credentials=current.credentials,
            devices=current.devices,
            pepper=current.pepper,
            now_ms=call.now_ms,
        )
    except Unauthorized:
        _take(current, f"auth:{call.address}", _per_minute(current.settings.failed_auth_per_minute), call)
        raise
    access.permit(call.principal, policy)


def _limit(declared: Endpoint, call: Call, current: Services) -> None:
    rate = declared.limit
    if rate is None:
        return
    device = call.principal.device
    limit = rate.pick(current.settings)
    remaining = _take(current, limit_key(rate, device.ref if device else None, call.address), limit, call)
    call.answer_headers["RateLimit-Limit"] = str(limit.burst)
    call.answer_headers["RateLimit-Remaining"] = str(remaining)


def _per_minute(calls: int) -> Limit:
    return Limit(max(1, calls), calls / 60)


def _take(current: Services, key: str, limit: Limit, call: Call) -> int:
    decision = current.limiter.take(key, limit, now_ms=call.now_ms)
    if not decision.allowed:
        call.answer_headers["RateLimit-Limit"] = str(limit.burst)
        call.answer_headers["RateLimit-Remaining"] = "0"
        call.answer_headers["RateLimit-Reset"] = str(int(decision.reset_s) + 1)
        message = "Too many requests; slow down"
        window_s = max(1, round(limit.burst / limit.per_s))
        raise TooMany(message, retry_after_s=int(decision.retry_after_s) + 1, limit=str(limit.burst), window_s=window_s)
    return decision.remaining


def _arguments(
    declared: Endpoint, call: Call, request: Request, path_values: Mapping[str, str], max_bytes: int
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, kind in declared.parameters.items():
        if name == "body":
            arguments[name] = read_body(kind, call, max_bytes=max_bytes)
        elif name == "query":
            values = request.to_original_event().get("multiValueQueryStringParameters")
            arguments[name] = read_query(kind, values)
        else:
            arguments[name] = _path_value(name, kind, path_values[name])
    return arguments


def _path_value(name: str, kind: type, text: str) -> Any:
    if kind is str:
        return text
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        message = f"There is nothing under this {name}: it is a whole number"
        raise NotFound(message, field=name)
    return int(text)


def _run(declared: Endpoint, call: Call, arguments: dict[str, Any], current: Services) -> answers.Answer:
    key = call.headers.get("idempotency-key")
    if key is None or declared.idempotent is None:
        result = declared.handler(call, **arguments)
        return _serialised(call.status or declared.status, result)
    if not 1 <= len(key) <= 64:
        message = "Idempotency-Key must have 1 to 64 characters"
        raise InvalidInput(message, field="Idempotency-Key", limit="64 characters")
    who = call.principal
    caller = f"{who.tenant}/{who.name}" if who is not access.ANONYMOUS else f"{who.tenant}/{call.address}"
    fingerprint = hashlib.sha256(declared.name.encode() + b"\0" + call.payload).hexdigest()
    now_ms = current.stamps.take(who.device.ref, call.now_ms) if who.device else call.now_ms
    attempt = current.idempotency.begin(caller, key, fingerprint, now_ms=now_ms)
    if attempt.answer is not None and declared.idempotent == "answer":
        return answers.Answer(declared.status, attempt.answer, {"Idempotent-Replay": "true"})
    call.now_ms, call.repeatable = attempt.started_ms, f"{caller}/{key}"
    with tickets.wait_at_once():
        answer = _serialised(declared.status, declared.handler(call, **arguments))
    current.idempotency.finish(caller, key, answer.body if declared.idempotent == "answer" else "{}")
    return answer


def _serialised(status: int, result: Any) -> answers.Answer:
    if isinstance(result, BaseModel):
        return answers.Answer(status, result.model_dump_json(by_alias=True), answers.JSON)
    if isinstance(result, Text):
        return answers.Answer(status, result.text, {"Content-Type": result.content_type})
    return answers.Answer(status, json.dumps(result, ensure_ascii=False), answers.JSON)


def _audit_refusal(declared: Endpoint, call: Call, error: AppError, current: Services) -> None:
    """Keep who tried what they may not: refused identities and rights, not every anonymous call without a key."""
    known = call.principal is not access.ANONYMOUS
    if not isinstance(error, Forbidden | Unauthorized) or (declared.access.who is Who.READER and not known):
        return
    if not known and not call.presented.key:
        return
    entry = AuditEntry(
        call.principal.tenant, call.now_ms, call.principal.name, declared.name, "", error.code, call.address
    )
    try:
        current.audit.append(entry)
    except Unavailable:
        log.warning("The audit log does not answer; a refusal of %s is not recorded", declared.name)
