"""The MQTT gateway: `python -m infra.local.mqtt`, one process of `python3 -m infra up`."""

import argparse
import asyncio
import os
import resource
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvloop

from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.errors import Unavailable
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.local import garbage
from infra.local.child import Child
from infra.local.opening import open_services
from infra.local.server import listen
from mqtt_bridge.gateway import Gateway
from mqtt_bridge.reasons import Reason
from mqtt_bridge.watch import Watch
from mqtt_bridge.websocket import WebSocketTransport

BACKLOG = 4096
DRAIN_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code is 0 after a drain."""
    options = _options(arguments)
    child = Child(os.environ)
    current = open_services(stamps_as="mqtt")
    try:
        tls = _tls(current.settings) if options.tls_fd is not None else None
        plain = _socket(options.fd) or listen(current.settings.mqtt_host, current.settings.mqtt_port)
    except (OSError, ssl.SSLError) as error:
        print(f"The MQTT gateway cannot listen: {error}", file=sys.stderr)
        return 1
    _allow_many_files()
    garbage.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(current, child, plain, (_socket(options.tls_fd), tls), _socket(options.websocket_fd)))
    current.queue.close()
    with suppress(Unavailable):  # counts of the last second, for dashboards only
        current.counters.flush()
    return 0


async def _serve(
    current: Services,
    child: Child,
    plain: socket.socket,
    secured: tuple[socket.socket | None, ssl.SSLContext | None],
    websocket: socket.socket | None,
) -> None:
    loop = asyncio.get_running_loop()
    drained = asyncio.Event()

    def drain() -> None:
        loop.call_soon_threadsafe(drained.set)

    child.on_drain(drain)
    gateway = Gateway(current, MemoryLimiter(), loop)
    opening_s = float(current.settings.mqtt_connect_timeout_s)
    servers = [await loop.create_server(gateway.protocol, sock=plain, backlog=BACKLOG)]
    secure, context = secured
    if secure is not None and context is not None:
        servers.append(
            await loop.create_server(
                gateway.protocol, sock=secure, ssl=context, backlog=BACKLOG, ssl_handshake_timeout=opening_s
            )
        )
    if websocket is not None:
        servers.append(
            await loop.create_server(
                lambda: WebSocketTransport(gateway.protocol, opening_s), sock=websocket, backlog=BACKLOG
            )
        )
    watching = asyncio.create_task(Watch(gateway, current).run())
    child.ready()
    await drained.wait()
    for server in servers:
        server.close()
    await _drain(gateway)
    watching.cancel()
    gateway.close()


async def _drain(gateway: Gateway) -> None:
    """Let begun commits end and be acknowledged, then say goodbye."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + DRAIN_S
    for connection in list(gateway.connections):
        connection.stop_reading()
    while gateway.commits.pending and loop.time() < deadline_s:
        await asyncio.sleep(0.01)
    for connection in list(gateway.connections):
        connection.end(Reason.SERVER_SHUTTING_DOWN)
    while gateway.connections and loop.time() < deadline_s:
        await asyncio.sleep(0.01)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.mqtt", description="Serve MQTT.")
    parser.add_argument("--fd", type=int, help="an inherited listening socket (default: MQTT_HOST and MQTT_PORT)")
    parser.add_argument("--tls-fd", type=int, help="an inherited listening socket for TLS")
    parser.add_argument("--websocket-fd", type=int, help="an inherited listening socket for WebSocket")
    return parser.parse_args(arguments)


def _socket(descriptor: int | None) -> socket.socket | None:
    return None if descriptor is None else socket.socket(fileno=descriptor)


def _tls(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or newer, with the certificate of the settings."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.mqtt_certificate or Path(), settings.mqtt_private_key)
    return context


def _allow_many_files() -> None:
    """Every connection takes a descriptor: ask for all that are to be had."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise SystemExit(main())
