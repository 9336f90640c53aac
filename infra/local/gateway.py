"""API Gateway REST with Lambda proxy integration, in front of a chalice app, as an ASGI application.

    request -> proxy event -> app(event, context) -> tickets committed? -> answer

A handler that never blocks runs on the event loop; any other in a small pool of threads. The queue leaves tickets
(`chalicelib.tickets`) with the invocation, and no byte of an answer is sent before all of them are committed.
"""

import asyncio
import itertools
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from chalicelib import tickets
from chalicelib.errors import AppError, TooLarge, Unavailable
from infra.local.lambda_context import LambdaContext
from infra.local.per_thread import per_thread
from infra.local.proxy_event import Event, HttpAnswer, HttpRequest, Response, binary_matcher, to_event, to_http
from infra.local.redeem import TicketOffice
from infra.local.router import Match, Router

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SLOW_INLINE_MS = 20.0
"""A handler that holds the event loop longer than this is reported: everybody waits for it."""


_BLOCKING = frozenset({"idempotency-key", "prefer"})
"""Headers that make a handler wait: for the record of its first answer, for storage. Names are lower-case here."""


class _Gone(Exception):
    """The client closed the connection before its request was complete."""


class _Endpoint(NamedTuple):
    name: str
    inline: bool


class _Outcome(NamedTuple):
    answer: HttpAnswer
    pending: list[Future[None]]


MAX_INLINE_CHARACTERS = 65_536
"""Larger bodies are parsed in a thread: a hostile megabyte of JSON takes half a second, measured."""

_ANSWERS_FOR_THE_APP = _Endpoint("api_handler", inline=True)
"""A declared path with an undeclared method: the app says 405, or answers HEAD and OPTIONS."""


class Gateway:
    """The ASGI application.

    Args:
        app: A chalice app; from here on it may be called from several threads.
        is_inline: Whether an endpoint, given by its view function, never blocks.
        refuse: Words a failure that the gateway finds before the app is called, or after: 413, 503.
        unknown: Answers an event whose path nobody declared; by default in AWS's words.
        stage: The name of the stage in events.
        threads: How many handlers may block at the same time.
        max_body_bytes: Larger bodies get 413; API Gateway's limit is 10 MB.
        max_concurrent: Requests in progress beyond this get 503.
        timeout_s: A handler that takes longer gets 504; API Gateway's limit is 29 s.
        ticket_timeout_s: A commit that takes longer gets 503.
    """

    def __init__(
        self,
        app: Any,
        *,
        is_inline: Callable[[Callable[..., Any]], bool],
        refuse: Callable[[Event, AppError], Response],
        unknown: Callable[[Event], Response] | None = None,
        stage: str = "local",
        threads: int = 16,
        max_body_bytes: int = 10 * 1024 * 1024,
        max_concurrent: int = 1024,
        timeout_s: float = 29.0,
        ticket_timeout_s: float = 10.0,
    ) -> None:
        self._app = per_thread(app)
        self._router = Router(app.routes)
        self._endpoints = _endpoints(app, is_inline)
        self._is_binary = binary_matcher(app.api.binary_types)
        self._refuse = refuse
        self._unknown = unknown or missing_authentication_token
        self._stage = stage
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="handler")
        self._office = TicketOffice(ticket_timeout_s)
        self._max_body_bytes = max_body_bytes
        self._max_concurrent = max_concurrent
        self._timeout_s = timeout_s
        self._in_progress = 0
        self._request_ids = _request_ids()
        self._watchdog = _Watchdog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request_id = next(self._request_ids)
        self._in_progress += 1
        try:
            answer = await self._answer(scope, receive, request_id)
        except _Gone:
            return
        except asyncio.CancelledError:  # only a drain that has waited long enough cancels
            answer = self._answer_cut_off(scope, request_id)
        finally:
            self._in_progress -= 1
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def close(self) -> None:
        """Take no more work. Handlers that still run are not waited for: only the end of the process stops them."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer_cut_off(self, scope: Scope, request_id: str) -> HttpAnswer:
        event = self._event(_request_without_body(scope), None, request_id)
        error = Unavailable("The server stops before it has finished this", retry_after_s=5)
        return to_http(self._refuse(event, error), method=scope["method"])

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> HttpAnswer:
        request = _request_without_body(scope)
        match = self._router.match(request.raw_path.decode("ascii"))
        try:
            self._admit()
            request = request._replace(body=await self._read_body(scope, receive))
            event = self._event(request, match, request_id)
            if match is None:
                return to_http(self._unknown(event), method=request.method)
            return await self._serve(event, match.resource)
        except (TooLarge, Unavailable) as error:
            response = self._refuse(self._event(request, match, request_id), error)
            return to_http(response, method=request.method)

    def _admit(self) -> None:
        if self._in_progress > self._max_concurrent:
            raise Unavailable("Too many requests are in progress", retry_after_s=1)

    def _event(self, request: HttpRequest, match: Match | None, request_id: str) -> Event:
        return to_event(
            request, match, request_id=request_id, now_s=time.time(), stage=self._stage, is_binary=self._is_binary
        )

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(length) > self._max_body_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _serve(self, event: Event, resource: str) -> HttpAnswer:
        endpoint = self._endpoints.get((resource, event["httpMethod"]), _ANSWERS_FOR_THE_APP)
        context = LambdaContext(endpoint.name, event["requestContext"]["requestId"], self._timeout_s)
        if endpoint.inline and not _blocks(event):
            started_s = time.perf_counter()
            outcome = self._invoke(event, context)
            self._watchdog.look(endpoint.name, (time.perf_counter() - started_s) * 1000)
        else:
            running = asyncio.get_running_loop().run_in_executor(self._pool, self._invoke, event, context)
            done, _ = await asyncio.wait({running}, timeout=self._timeout_s)
            if not done:
                running.cancel()  # of use only while it is still waiting for a thread
                log.error("%s did not answer within %g s", endpoint.name, self._timeout_s)
                return _in_the_words_of_aws(504, "Endpoint request timed out", event["httpMethod"])
            outcome = running.result()
        if outcome.pending:
            await self._office.redeem(outcome.pending)
        return outcome.answer

    def _invoke(self, event: Event, context: LambdaContext) -> _Outcome:
        """Call the app as Lambda would, in the calling thread; what comes out of it as an exception is AWS's 502."""
        headers, method = event["headers"], event["httpMethod"]
        with tickets.collect() as pending:
            try:
                response = self._app(event, context)
                answer = to_http(response, method=method, accept_encoding=headers.get("accept-encoding", ""))
            except Exception:
                log.exception("%s %s failed outside every handler", method, event["resource"])
                answer = _in_the_words_of_aws(502, "Internal server error", method)
        return _Outcome(answer, pending)

    def _too_large(self) -> TooLarge:
        limit = f"{self._max_body_bytes} bytes"
        return TooLarge(f"The body is larger than {limit}", limit=limit)


def _in_the_words_of_aws(status: int, message: str, method: str) -> HttpAnswer:
    return to_http({"statusCode": status, "headers": {}, "body": json.dumps({"message": message})}, method=method)


def _request_without_body(scope: Scope) -> HttpRequest:
    client = scope.get("client")
    return HttpRequest(
        scope["method"],
        scope["raw_path"],
        scope["query_string"],
        scope["headers"],
        b"",
        client[0] if client else "",
        scope["http_version"],
    )


def missing_authentication_token(_event: Event) -> Response:
    """What API Gateway says of a path that does not exist."""
    return {"statusCode": 403, "headers": {}, "body": '{"message":"Missing Authentication Token"}'}


def _blocks(event: Event) -> bool:
    """Whether this request of an inline endpoint would hold up the event loop, and with it everybody else."""
    headers = event["headers"]
    large = len(event["body"] or "") > MAX_INLINE_CHARACTERS
    return large or "idempotency-key" in headers or "prefer" in headers


def _endpoints(app: Any, is_inline: Callable[[Callable[..., Any]], bool]) -> dict[tuple[str, str], _Endpoint]:
    endpoints = {}
    for resource, methods in app.routes.items():
        for method, route in methods.items():
            endpoints[resource, method] = _Endpoint(route.view_name, is_inline(route.view_function))
        if "GET" in methods and "HEAD" not in methods:
            endpoints[resource, "HEAD"] = endpoints[resource, "GET"]
    return endpoints


def _request_ids() -> "itertools.chain[str]":
    """Unique ids in the form of a UUID: random per process, counted within it."""
    prefix = f"{os.urandom(4).hex()}-{os.urandom(2).hex()}-4{os.urandom(2).hex()[1:]}-a{os.urandom(2).hex()[1:]}"
    return itertools.chain(f"{prefix}-{number:012x}" for number in itertools.count())


class _Watchdog:
    """Reports handlers that hold the event loop, each at most once a minute."""

    def __init__(self) -> None:
        self._quiet_until_s: dict[str, float] = {}

    def look(self, name: str, took_ms: float) -> None:
        if took_ms < SLOW_INLINE_MS:
            return
        now_s = time.monotonic()
        if now_s >= self._quiet_until_s.get(name, 0.0):
            self._quiet_until_s[name] = now_s + 60.0
            log.warning("The inline handler %s held the event loop for %.0f ms", name, took_ms)
