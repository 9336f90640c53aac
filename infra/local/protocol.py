"""Limits that uvicorn does not set (silent clients, endless headers, many connections), and a gentle drain."""

import asyncio
import json
import logging
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chalicelib.answers import SECURITY

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one client may take.

    Attributes:
        connections: Open ones, of all clients together; beyond that 503.
        header_bytes: Request line and header values; API Gateway's limit. Beyond that 431.
        silence_s: A client that owes bytes, or reads none, for this long is cut.
        request_s: A request must be complete after this long, however lively the client trickles.
        linger_s: How long an idle connection is kept for one last request when the server drains.
    """

    connections: int = 4096
    header_bytes: int = 10_240
    silence_s: float = 30.0
    request_s: float = 120.0
    linger_s: float = 0.5


class LimitedProtocol(HttpToolsProtocol):
    """One connection, limited."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._receiving = False
        self._in_headers = False
        self._header_bytes = 0
        self._draining = False
        self._began_s = self._heard_s = self._read_s = self.loop.time()
        self._unread_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Too many connections are open", retry_after_s=1
            )

    def data_received(self, data: bytes) -> None:
        """Note that the client is alive; end a header that grows without end."""
        self._heard_s = self.loop.time()
        if not self._receiving:
            self._began_s = self._heard_s
        super().data_received(data)
        if self._in_headers and not self.transport.is_closing():
            self._header_bytes += len(data)
            self._check_headers()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._receiving = self._in_headers = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request line came."""
        super().on_url(url)
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Hand the request to the app, unless its headers are too large."""
        self._in_headers = False
        if not self.transport.is_closing() and self._check_headers():
            super().on_headers_complete()
            if self._draining:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Part of the body came."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._receiving = False
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, "invalid_input", msg)

    def shutdown(self) -> None:
        """Begin to drain: answer what was asked, and what an idle client may be asking just now, then close."""
        self._draining = True
        if self._idle():
            self.loop.call_later(self.limits.linger_s, self._close_if_idle)
        elif self.cycle is not None:  # otherwise the first request is still coming in
            self.cycle.keep_alive = False

    def sweep(self, now_s: float) -> None:
        """Cut the client if it owes bytes, or takes none, for too long. Called once a second."""
        if self._unread_bytes == 0 or self.transport.get_write_buffer_size() != self._unread_bytes:
            self._unread_bytes, self._read_s = self.transport.get_write_buffer_size(), now_s
        owes = not self.flow.read_paused and (self._receiving or self.cycle is None)
        silent = owes and now_s - self._heard_s > self.limits.silence_s
        slow = owes and now_s - self._began_s > self.limits.request_s
        deaf = self._unread_bytes > 0 and now_s - self._read_s > self.limits.silence_s
        if deaf:
            self.transport.abort()
        elif silent or slow:
            self.transport.close()

    def _idle(self) -> bool:
        return not self._receiving and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]

    def _close_if_idle(self) -> None:
        if self._idle():
            self.transport.close()

    def _check_headers(self) -> bool:
        if self._header_bytes <= self.limits.header_bytes:
            return True
        limit = f"{self.limits.header_bytes} bytes"
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too_large", f"The headers are larger than {limit}", limit=limit
        )
        return False

    def _refuse(
        self, status: HTTPStatus, code: str, message: str, *, retry_after_s: int | None = None, limit: str | None = None
    ) -> None:
        """Answer without the app, and close."""
        content: dict[str, Any] = {"error": status.phrase, "message": message, "code": code}
        content["request_id"] = request_id = str(uuid.uuid4())
        headers = ["content-type: application/json", "connection: close", f"x-request-id: {request_id}"]
        headers += [f"{name.lower()}: {value}" for name, value in SECURITY.items()]
        if limit is not None:
            content["limit"] = limit
        if retry_after_s is not None:
            content["retry_after"] = retry_after_s
            headers.append(f"retry-after: {retry_after_s}")
        body = json.dumps(content).encode()
        headers.append(f"content-length: {len(body)}")
        head = "\r\n".join([f"HTTP/1.1 {status.value} {status.phrase}", *headers, "", ""])
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def limited(limits: ConnectionLimits) -> type[LimitedProtocol]:
    """The protocol with other limits: uvicorn builds it itself, so they are given by class."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits})
