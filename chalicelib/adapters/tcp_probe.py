"""Whether a server listens."""

import socket

from chalicelib.errors import Unavailable

TIMEOUT_S = 0.5


class TcpProbe:
    """`Reachable` by opening and closing a TCP connection: right for any broker, in this installation or elsewhere.

    Args:
        host: Where the server listens; an address that means all of them is asked on loopback.
        port: Its port; 0 when it is not known, and so nobody can be asked.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        self._port = port

    def check(self) -> None:
        if self._port == 0:
            raise Unavailable("Its port is not known")
        try:
            socket.create_connection((self._host, self._port), timeout=TIMEOUT_S).close()
        except OSError as error:
            message = f"Nothing answers on port {self._port}"
            raise Unavailable(message) from error
