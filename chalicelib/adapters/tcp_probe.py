"""Whether a server is there and awake."""

import socket

from chalicelib.errors import Unavailable

TIMEOUT_S = 0.5


class TcpProbe:
    """`Reachable` for any server that reads before it speaks, an MQTT broker for one, here or elsewhere.

    It connects, says at once that nothing will come, and waits for the server to hang up. Connecting alone proves
    nothing: the listening socket belongs to the supervisor and outlives a server that died or hangs.

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
            with socket.create_connection((self._host, self._port), timeout=TIMEOUT_S) as connection:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
        except ConnectionResetError:
            return  # hung up, too
        except TimeoutError as error:
            message = f"Nothing moves on port {self._port}"
            raise Unavailable(message) from error
        except OSError as error:
            message = f"Nothing answers on port {self._port}"
            raise Unavailable(message) from error
