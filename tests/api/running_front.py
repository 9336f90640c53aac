"""A front on a free loopback port, in a thread of the test, and a client that shows every byte."""

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chalice.app import Chalice, Response

from chalicelib import tickets
from chalicelib.errors import AppError
from infra.local.gateway import Gateway
from infra.local.protocol import ConnectionLimits
from infra.local.server import FrontServer, listen

DEADLINE_S = 10.0


@dataclass
class Small:
    """A small app, and the strings it hangs on.

    Attributes:
        hold_commits: The tickets that POST /ticket leaves are ended by the test, not at once.
        patience_s: How long /hang waits at most.
        entered: Set when /hang has begun.
        leave: Lets /hang answer.
        pending: The tickets.
        threads: Names of the threads that ran POST /ticket.
    """

    hold_commits: bool = False
    patience_s: float = DEADLINE_S
    entered: threading.Event = field(default_factory=threading.Event)
    leave: threading.Event = field(default_factory=threading.Event)
    pending: list[Future[None]] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def app(self) -> Any:
        """The chalice app."""
        app: Any = Chalice("small", configure_logs=False)
        app.api.binary_types = ["application/cbor", "image/png"]
        app.route("/echo", methods=["GET", "POST"], name="echo", content_types=["*/*"])(
            lambda: app.current_request.to_original_event()
        )
        app.route("/ticket", methods=["POST"], content_types=["*/*"])(self.ticket)
        app.route("/hang")(self.hang)
        app.route("/items/{name}", name="item")(lambda name: {"name": name})
        app.route("/crash", name="crash")(lambda: {"body": {1, 2}})
        app.route("/big", name="big")(lambda: Response("x" * 5000, {"Content-Type": "text/plain"}))
        app.route("/image", name="image")(lambda: Response(b"\x89PNG\x00\xff", {"Content-Type": "image/png"}))
        return app

    def ticket(self) -> Response:
        """Leave a ticket with the invocation."""
        self.threads.append(threading.current_thread().name)
        commit: Future[None] = Future()
        self.pending.append(commit)
        if not self.hold_commits:
            commit.set_result(None)
        tickets.redeem(commit, DEADLINE_S)
        return Response({"stored": True}, {}, 201)

    def hang(self) -> dict[str, bool]:
        """Block until the test says go."""
        self.entered.set()
        return {"left": self.leave.wait(self.patience_s)}


def refusal(event: Mapping[str, Any], error: AppError) -> dict[str, Any]:
    """Words a refusal like the product does, as far as these tests look."""
    body = {"message": error.message, "code": error.code, "request_id": event["requestContext"]["requestId"]}
    retry = getattr(error, "retry_after_s", None)
    headers = {} if retry is None else {"Retry-After": str(retry)}
    return {"statusCode": error.status, "headers": headers, "body": json.dumps(body)}


class Reply:
    """One HTTP response, read off the wire."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Wire:
    """A connection that sends what it is told and reads responses."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._stream = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self.socket.sendall(data)

    def request(self, head: str, body: bytes = b"", *, method: str = "GET") -> Reply:
        """Send the lines of *head* and *body*, and read the response."""
        self.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return self.reply(method=method)

    def reply(self, *, method: str = "GET") -> Reply:
        """Read one response.

        Raises:
            EOFError: The server closed instead.
        """
        line = self._stream.readline()
        if not line:
            raise EOFError
        headers = {}
        while (text := self._stream.readline().decode().rstrip()) != "":
            name, _, value = text.partition(": ")
            headers[name.lower()] = value
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        return Reply(int(line.split()[1]), headers, self._stream.read(length))

    def ended(self) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self.socket.close()


class Front:
    """A server that runs, and how to talk to it."""

    def __init__(self, port: int, server: FrontServer) -> None:
        self.port = port
        self.server = server

    @contextmanager
    def wire(self) -> Iterator[Wire]:
        """A new connection."""
        wire = Wire(self.port)
        try:
            yield wire
        finally:
            wire.close()

    def get(self, path: str, *headers: str, method: str = "GET") -> Reply:
        """One request on its own connection."""
        with self.wire() as wire:
            return wire.request("\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers]), method=method)

    def post(self, path: str, body: bytes, *headers: str) -> Reply:
        """One request with a body on its own connection."""
        length = f"Content-Length: {len(body)}"
        with self.wire() as wire:
            return wire.request("\n".join([f"POST {path} HTTP/1.1", "Host: x", length, *headers]), body)


def _is_inline(view: Any) -> bool:
    return bool(view.__name__ != "hang")


@contextmanager
def running(small: Small, *, limits: ConnectionLimits | None = None, **options: Any) -> Iterator[Front]:
    """Serve *small* until the block ends; *options* go to the gateway."""
    gateway = Gateway(small.app(), **{"is_inline": _is_inline, "refuse": refusal, **options})
    started = threading.Event()
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = FrontServer(gateway, limits=limits, on_started=started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="front")
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    thread.start()
    try:
        if not started.wait(DEADLINE_S):
            raise TimeoutError
        yield Front(port, server)
    finally:
        small.leave.set()
        server.stop()
        thread.join(DEADLINE_S)
        gateway.close()
        if thread.is_alive():
            raise TimeoutError
