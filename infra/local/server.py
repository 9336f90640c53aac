"""uvicorn, told when to stop by the supervisor, with the limits of `protocol`, and an end with exit code 0."""

import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn

from infra.local.child import Child
from infra.local.protocol import ConnectionLimits, LimitedProtocol, limited

DRAIN_S = 8
"""Requests that are not answered this long after SIGTERM are given up; the process is gone before 10 s."""
FAREWELL_S = 1.5
"""What is left for closing files after that."""
KEEP_ALIVE_S = 75
BACKLOG = 2048
SPARE_DESCRIPTORS = 256


class FrontServer(uvicorn.Server):
    """uvicorn, told when to stop by us, and sweeping its connections.

    Args:
        application: The ASGI application.
        limits: What clients may take.
        on_started: Called once connections are accepted.
    """

    def __init__(
        self,
        application: Any,
        *,
        limits: ConnectionLimits | None = None,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        config = uvicorn.Config(
            application,
            http=limited(limits or ConnectionLimits()),
            loop="uvloop",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
        super().__init__(config)
        self._on_started = on_started

    def stop(self) -> None:
        """Begin to drain. From any thread."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `Child`: uvicorn would end the process by the signal, not with exit code 0."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Sweep the connections once a second; uvicorn ticks ten times as often."""
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.sweep(connection.loop.time())
        return await super().on_tick(counter)


def serve(application: Any, listener: socket.socket, child: Child) -> None:
    """Serve on *listener* until *child* drains and every request in progress is answered.

    The process ends soon after, with exit code 0, even if a handler hangs: Python would wait for its thread for ever.
    """
    server = FrontServer(application, limits=_affordable(ConnectionLimits()), on_started=child.ready)
    child.on_drain(server.stop)
    server.run(sockets=[listener])
    last_resort = threading.Timer(FAREWELL_S, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on *host* and *port*; port 0 takes a free one.

    Raises:
        OSError: The address is in use, or not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _affordable(limits: ConnectionLimits) -> ConnectionLimits:
    """As many connections as there are file descriptors for, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return replace(limits, connections=min(limits.connections, max(soft - SPARE_DESCRIPTORS, 16)))
    return limits
