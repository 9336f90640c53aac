"""MQTT 5 packets as a client writes and reads them, beside what `packets` has of both sides. Pure.

Source: MQTT Version 5.0, OASIS Standard, chapter 3.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mqtt_bridge import wire
from mqtt_bridge.packets import V5, Will, packet
from mqtt_bridge.wire import Properties, Property, Reader, malformed

PINGREQ_PACKET = b"\xc0\x00"
RETAIN_HANDLING_NEVER = 0x20
"""A subscription that does not bring what is retained."""


class SignIn(NamedTuple):
    """What a client says in its CONNECT; the session of an earlier connection goes on.

    Attributes:
        will: Retained, with its QoS.
    """

    client_id: str
    username: str
    password: str
    keep_alive_s: int
    session_expiry_s: int
    receive_maximum: int
    max_packet_bytes: int
    will: Will

    def __repr__(self) -> str:
        """Without the password."""
        return f"SignIn({self.client_id!r})"


class Connack(NamedTuple):
    """The server's answer to a CONNECT."""

    session_present: bool
    reason: int
    properties: Properties


def connect(sign_in: SignIn) -> bytes:
    """A CONNECT."""
    will = sign_in.will
    flags = 0x24 | will.qos << 3 | bool(sign_in.username) << 7 | bool(sign_in.password) << 6
    properties = {
        Property.SESSION_EXPIRY: sign_in.session_expiry_s,
        Property.RECEIVE_MAXIMUM: sign_in.receive_maximum,
        Property.MAXIMUM_PACKET_SIZE: sign_in.max_packet_bytes,
    }
    return packet(
        0x10,
        wire.text("MQTT"),
        bytes((V5, flags)),
        sign_in.keep_alive_s.to_bytes(2),
        wire.properties(properties),
        wire.text(sign_in.client_id),
        wire.properties({}),
        wire.text(will.topic),
        wire.binary(will.payload),
        *(wire.text(text) for text in (sign_in.username, sign_in.password) if text),
    )


def read_connack(body: bytes) -> Connack:
    """Read a CONNACK; that of a server that speaks only 3.1.1 has no properties.

    Raises:
        ProtocolError: Malformed.
    """
    reader = Reader(body)
    flags, reason = reader.number(1), reader.number(1)
    properties = reader.properties() if reader.rest else wire.NO_PROPERTIES
    return Connack(bool(flags & 1), reason, properties)


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """A SUBSCRIBE of filters with their options: QoS, and how retained messages are handled."""
    wanted = [part for text, options in filters for part in (wire.text(text), bytes((options,)))]
    return packet(0x82, packet_id.to_bytes(2), b"\0", *wanted)


def unsubscribe(packet_id: int, text: str) -> bytes:
    """An UNSUBSCRIBE of one filter."""
    return packet(0xA2, packet_id.to_bytes(2), b"\0", wire.text(text))


def read_codes(body: bytes) -> tuple[int, list[int]]:
    """Read a SUBACK or UNSUBACK: the packet id, and a reason for each filter.

    Raises:
        ProtocolError: Malformed.
    """
    reader = Reader(body)
    packet_id = reader.number(2)
    reader.properties()
    codes = list(reader.take(reader.rest))
    if not packet_id or not codes:
        raise malformed("an answer without a packet identifier, or without a reason")
    return packet_id, codes
