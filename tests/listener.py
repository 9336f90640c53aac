"""A server that answers what comes first as every MQTT server does that does not know its version, and hangs up."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CONNACK = b"\x20\x02\x00\x01"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def listening(answer: bytes = CONNACK) -> Iterator[int]:
    """The loopback port on which such a server listens until the block ends."""

    class Answers(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(answer)

    with _Server(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
