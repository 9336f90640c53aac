"""Whether an MQTT server is there and awake."""

import socket

from chalicelib.errors import Unavailable

TIMEOUT_S = 0.5
_QUESTION = b"\x10\x0c\x00\x04MQTT\x00\x02\x00\x00\x00\x00"
"""A CONNECT of a protocol level that does not exist, so that no credential is needed. Every server must answer it.

Source: MQTT Version 3.1.1, OASIS Standard, requirement MQTT-3.1.2-2: CONNACK with return code 1, then it hangs up.
"""
_CONNACK = b"\x20"


class MqttProbe:
    """`Reachable` for an MQTT server, the gateway or a broker.

    A connection alone proves nothing: the listening socket belongs to the supervisor and outlives a server that died or
    hangs. Only an answer in MQTT's own words does.

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
                connection.sendall(_QUESTION)
                answer = connection.recv(1)
        except TimeoutError as error:
            message = f"Nothing moves on port {self._port}"
            raise Unavailable(message) from error
        except OSError as error:
            message = f"Nothing answers on port {self._port}"
            raise Unavailable(message) from error
        if answer != _CONNACK:
            message = f"What answers on port {self._port} does not speak MQTT"
            raise Unavailable(message)
