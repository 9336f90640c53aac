"""The HTTP front: `python -m infra.local.front`, one process of `python3 -m infra up`.

uvicorn (uvloop, httptools) speaks HTTP, `Gateway` makes Lambda events of it, and the app's handlers run here.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from app import app
from chalicelib import edge
from chalicelib.errors import Unavailable
from chalicelib.http import endpoint_of
from infra.local import garbage
from infra.local.child import Child
from infra.local.gateway import Gateway
from infra.local.opening import open_services
from infra.local.server import listen, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code is 0 after a drain."""
    options = _options(arguments)
    child = Child(os.environ)
    current = open_services(stamps_as="front")
    settings = current.settings
    try:
        listener = _listener(options, settings.host, settings.port)
    except OSError as error:
        print(f"The HTTP front cannot listen: {error.strerror}", file=sys.stderr)
        return 1
    gateway = Gateway(
        app,
        is_inline=lambda view: endpoint_of(view).inline,
        refuse=edge.refusal,
        unknown=app.no_route,
        stage=settings.stage,
    )
    garbage.settle()
    serve(gateway, listener, child)
    gateway.close()
    current.queue.close()
    with suppress(Unavailable):  # counts of the last second, for dashboards only
        current.counters.flush()
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.front", description="Serve the HTTP API.")
    parser.add_argument("--fd", type=int, help="an inherited listening socket, instead of --host and --port")
    parser.add_argument("--host", help="address to bind to (default: HOST)")
    parser.add_argument("--port", type=int, help="port to bind to, 0 for a free one (default: PORT)")
    return parser.parse_args(arguments)


def _listener(options: argparse.Namespace, host: str, port: int) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    return listen(options.host or host, port if options.port is None else options.port)


if __name__ == "__main__":
    raise SystemExit(main())
