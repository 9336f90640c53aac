"""A client that speaks MQTT byte by byte, so that tests decide what comes when; and one device's view of it."""

import itertools
import socket
from types import TracebackType
from typing import NamedTuple, Self

from mqtt_bridge import packets, wire
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, Publish

TIMEOUT_S = 10.0


class Packet(NamedTuple):
    """What the server sent: the kind of packet, the first byte, the body."""

    kind: int
    first_byte: int
    body: bytes

    @property
    def reason(self) -> int:
        """The reason code of a CONNACK, DISCONNECT, or of an acknowledgement that has one."""
        if self.kind == packets.CONNACK:
            return self.body[1]
        if self.kind == packets.DISCONNECT:
            return self.body[0] if self.body else 0
        return self.body[2] if len(self.body) > 2 else 0


def connect_packet(
    username: str,
    password: str,
    *,
    level: int = V5,
    client_id: str = "peer",
    clean: bool = True,
    keep_alive_s: int = 60,
    properties: wire.Properties = wire.NO_PROPERTIES,
    will: tuple[str, bytes] | None = None,
) -> bytes:
    """A CONNECT."""
    flags = clean << 1 | bool(username) << 7 | bool(password) << 6 | (0x0C if will else 0)
    body = [wire.text("MQTT"), bytes((level, flags)), keep_alive_s.to_bytes(2)]
    if level == V5:
        body.append(wire.properties(properties))
    body.append(wire.text(client_id))
    if will:
        body += [wire.properties({}) if level == V5 else b"", wire.text(will[0]), wire.binary(will[1])]
    body += [wire.text(text) for text in (username, password) if text]
    return packets.packet(0x10, *body)


class Peer:
    """One connection. Use it in a with statement, which closes it without a goodbye.

    Args:
        port: The gateway's, on loopback.
        level: 4 for MQTT 3.1.1, 5 for MQTT 5.
    """

    def __init__(self, port: int, *, level: int = V5) -> None:
        self.level = level
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._framing = Framing(4_000_000)
        self._arrived: list[Packet] = []
        self._ids = itertools.cycle(range(1, 65_536))

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(raw)

    def receive(self, timeout_s: float = TIMEOUT_S) -> Packet | None:
        """The next packet; None when the server closed the connection.

        Raises:
            TimeoutError: Nothing came.
        """
        self._socket.settimeout(timeout_s)
        while not self._arrived:
            try:
                received = self._socket.recv(65_536)
            except ConnectionError:
                return None
            if not received:
                return None
            self._arrived += [Packet(first >> 4, first, body) for first, body in self._framing.feed(received)]
        return self._arrived.pop(0)

    def is_silent(self, for_s: float = 0.3) -> bool:
        """Whether nothing comes for so long."""
        try:
            packet = self.receive(for_s)
        except TimeoutError:
            return True
        assert packet is not None, "the connection was closed"
        self._arrived.insert(0, packet)
        return False

    def connect(self, username: str, password: str, **more: object) -> Packet:
        """Connect; returns the CONNACK."""
        self.send(connect_packet(username, password, level=self.level, **more))  # type: ignore[arg-type]
        answer = self.receive()
        assert answer is not None, "closed without a CONNACK"
        return answer

    def receive_connack(self, username: str, password: str) -> bool:
        """Connect to a server that may be on its end; False when it was."""
        self.send(connect_packet(username, password, level=self.level))
        answer = self.receive()
        return answer is not None and answer.reason == 0

    def publish(self, topic: str, payload: bytes, qos: int = 1, **more: object) -> Packet | None:
        """Publish; returns the acknowledgement, or None when the connection was closed instead."""
        packet_id = next(self._ids) if qos else 0
        message = Publish(topic, payload, qos, packet_id)._replace(**more)  # type: ignore[arg-type]
        self.send(packets.publish(message, self.level))
        return self.receive() if qos else None

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """Subscribe; returns the codes of the SUBACK."""
        body = [next(self._ids).to_bytes(2), b"\0" if self.level == V5 else b""]
        for text in filters:
            body += [wire.text(text), bytes((qos,))]
        self.send(packets.packet(0x82, *body))
        answer = self.receive()
        assert answer is not None, "closed without a SUBACK"
        assert answer.kind == packets.SUBACK
        return list(answer.body[3 if self.level == V5 else 2 :])

    def message(self, timeout_s: float = TIMEOUT_S) -> Publish:
        """The next message, acknowledged."""
        packet = self.receive(timeout_s)
        assert packet is not None, "the connection was closed"
        assert packet.kind == packets.PUBLISH, packet
        found = packets.read_publish(packet.first_byte, packet.body, self.level)
        if found.qos:
            self.send(packets.ack(packets.PUBACK, found.packet_id, self.level))
        return found

    def disconnect(self) -> None:
        """Say goodbye, and close."""
        self.send(b"\xe0\x00")
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
