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

from chalicelib import access, admission, answers, ingest, tickets
from chalicelib.access import Access
from chalicelib.calls import Call, network_of, read_body, read_query, request_id
from chalicelib.declare import Endpoint, Text, endpoint
from chalicelib.errors import AppError, InvalidInput, NotFound
from chalicelib.wiring import services

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
    call = _call(request)
    code = ""
    try:
        answer = _answer(declared, call, request, path_values)
    except AppError as error:
        code = error.code
        admission.audit_refusal(declared, call, error)
        answer = answers.of_error(error, call.request_id)
    except Exception:
        log.exception("%s met a bug, request %s", declared.name, call.request_id)
        answer = answers.of_bug(call.request_id)
    seconds = time.perf_counter() - started
    answers.record(declared, call, answer, seconds, services().counters, code=code)
    return ChaliceResponse(answer.body, {**call.answer_headers, **answer.headers}, answer.status)


def _call(request: Request) -> Call:
    event = request.to_original_event()
    context = event["requestContext"]
    headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
    raw = request.raw_body or b""
    return Call(
        now_ms=clock_ms(),
        request_id=request_id(headers, context.get("requestId", "")),
        headers=headers,
        address=network_of((context.get("identity") or {}).get("sourceIp") or ""),
        payload=raw.encode() if isinstance(raw, str) else raw,
    )


def _answer(declared: Endpoint, call: Call, request: Request, path_values: Mapping[str, str]) -> answers.Answer:
    admission.limit_address(call)
    admission.require(call, declared.access)
    admission.limit_caller(declared, call)
    answer = _run(declared, call, _arguments(declared, call, request, path_values))
    return answers.conditional(answer, call) if declared.conditional else answer


def _arguments(declared: Endpoint, call: Call, request: Request, path_values: Mapping[str, str]) -> dict[str, Any]:
    settings = services().settings
    max_bytes = settings.max_batch_bytes if declared.bulk else settings.max_body_bytes
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


def _run(declared: Endpoint, call: Call, arguments: dict[str, Any]) -> answers.Answer:
    key = call.headers.get("idempotency-key")
    if key is None or declared.idempotent is None:
        result = declared.handler(call, **arguments)
        return _serialised(call.status or declared.status, result)
    if not (1 <= len(key) <= 64 and key.isascii() and key.isprintable()):
        message = "Idempotency-Key must have 1 to 64 printable ASCII characters"
        raise InvalidInput(message, field="Idempotency-Key", limit="64 characters")
    current, who = services(), call.principal
    caller = f"{who.tenant}/{who.name}" if who is not access.ANONYMOUS else f"{who.tenant}/{call.address}"
    path = "/".join(str(value) for name, value in arguments.items() if name not in {"body", "query"})
    fingerprint = hashlib.sha256(f"{declared.name}{path}\0".encode() + call.payload).hexdigest()
    now_ms = call.now_ms
    if who.device:
        now_ms = current.stamps.take(who.device.ref, now_ms, ingest.most_readings(call.payload, current.limits))
    attempt = current.idempotency.begin(caller, key, fingerprint, now_ms=now_ms)
    if attempt.answer is not None and declared.idempotent == "answer":
        return answers.Answer(declared.status, attempt.answer, {"Idempotent-Replay": "true"})
    call.now_ms, call.repeatable = attempt.started_ms, f"{caller}/{key}/{attempt.started_ms}/{fingerprint}"
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
