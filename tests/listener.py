"""A server that reads what comes and hangs up when nothing more does, as every broker."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Reader(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(4096):
            pass


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def listening() -> Iterator[int]:
    """The loopback port on which such a server listens until the block ends."""
    with _Server(("127.0.0.1", 0), _Reader) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
