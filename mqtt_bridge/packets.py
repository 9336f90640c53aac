"""MQTT 3.1.1 and 5.0 packets as a server reads and writes them. Pure: no sockets, no clock, no policy.

A reader takes the packet's body and the protocol level, 4 for 3.1.1 and 5; a writer gives the whole packet.

Source: MQTT Version 5.0 and MQTT Version 3.1.1, OASIS Standards, chapter 3.
"""

from dataclasses import dataclass
from typing import NamedTuple

from mqtt_bridge import wire
from mqtt_bridge.reasons import CONNECT_RETURN_CODES, ProtocolError, Reason
from mqtt_bridge.wire import NO_PROPERTIES, Properties, Reader, malformed

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = range(1, 9)
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(9, 16)
V311, V5 = 4, 5
PINGRESP_PACKET = b"\xd0\x00"

_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}
"""What the lower half of the first byte must be, where it is not 0 (PUBLISH has its own)."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes when the connection ends without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int
    delay_s: int = 0
    content_type: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Connect:
    """A client's first packet. Not shown in logs: it carries a secret."""

    level: int
    clean_start: bool
    keep_alive_s: int
    client_id: str
    will: Will | None
    username: str | None
    password: bytes | None
    properties: Properties


class Publish(NamedTuple):
    """An application message. `packet_id` is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    dup: bool = False
    retain: bool = False
    properties: Properties = NO_PROPERTIES


class Filter(NamedTuple):
    """One topic filter of a SUBSCRIBE."""

    text: str
    qos: int


class Subscribe(NamedTuple):
    """Filters that a client wants; MQTT 5 can number them."""

    packet_id: int
    filters: list[Filter]
    subscription_id: int | None = None


class Unsubscribe(NamedTuple):
    """Filters that a client no longer wants."""

    packet_id: int
    filters: list[str]


class Ack(NamedTuple):
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""

    packet_id: int
    reason: int = 0


class Disconnect(NamedTuple):
    """A goodbye; 4 asks for the will nevertheless."""

    reason: int = 0
    session_expiry_s: int | None = None


def require_flags(kind: int, first_byte: int) -> None:
    """Check the reserved bits of any packet but PUBLISH.

    Raises:
        ProtocolError: They are not what the standard says.
    """
    if first_byte & 0x0F != _FLAGS.get(kind, 0):
        raise malformed("reserved flags are set")


def read_connect(body: bytes) -> Connect:
    """Read a CONNECT of either version.

    Raises:
        ProtocolError: Malformed; `UNSUPPORTED_VERSION` when it is not one of ours.
    """
    reader = Reader(body)
    name, level = reader.binary(), reader.number(1)
    if name != b"MQTT" or level not in (V311, V5):
        raise ProtocolError(Reason.UNSUPPORTED_VERSION, "this is MQTT 3.1.1 and 5.0")
    flags, keep_alive_s = reader.number(1), reader.number(2)
    if flags & 1 or (flags >> 3) & 3 == 3 or (not flags & 4 and flags & 0x38):
        raise malformed("the connect flags contradict each other")
    if level == V311 and flags & 0x40 and not flags & 0x80:
        raise malformed("a password without a user name")
    properties = reader.properties() if level == V5 else NO_PROPERTIES
    client_id = reader.text()
    will = _read_will(reader, level, flags) if flags & 4 else None
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    if reader.rest:
        raise malformed("there is more behind the last field")
    return Connect(level, bool(flags & 2), keep_alive_s, client_id, will, username, password, properties)


def _read_will(reader: Reader, level: int, flags: int) -> Will:
    properties = reader.properties() if level == V5 else NO_PROPERTIES
    topic, payload = reader.text(), reader.binary()
    delay_s = properties.get(wire.Property.WILL_DELAY, 0)
    return Will(topic, payload, (flags >> 3) & 3, delay_s, properties.get(wire.Property.CONTENT_TYPE, ""))


def read_publish(first_byte: int, body: bytes, level: int) -> Publish:
    """Read a PUBLISH.

    Raises:
        ProtocolError: Malformed.
    """
    qos = (first_byte >> 1) & 3
    if qos == 3:
        raise malformed("there is no QoS 3")
    if first_byte & 8 and not qos:
        raise malformed("DUP with QoS 0")
    end = (body[0] << 8 | body[1] if len(body) > 1 else len(body)) + 2
    payload_at = end + 2 if qos else end
    if payload_at > len(body):
        raise malformed("the packet ends too early")
    packet_id = int.from_bytes(body[end:payload_at])
    if qos and not packet_id:
        raise malformed("packet identifier 0")
    properties = NO_PROPERTIES
    if level == V5:
        if body[payload_at : payload_at + 1] == b"\0":
            payload_at += 1
        else:
            reader = Reader(body, payload_at)
            properties, payload_at = reader.properties(), reader.at
    return Publish(
        wire.text_of(body[2:end]),
        body[payload_at:],
        qos,
        packet_id,
        bool(first_byte & 8),
        bool(first_byte & 1),
        properties,
    )


def read_ack(body: bytes, level: int) -> Ack:
    """Read a PUBACK, PUBREC, PUBREL or PUBCOMP.

    Raises:
        ProtocolError: Malformed.
    """
    reader = Reader(body)
    packet_id = _packet_id(reader)
    reason = 0
    if level == V5 and reader.rest:
        reason = reader.number(1)
        if reader.rest:
            reader.properties()
    if reader.rest:
        raise malformed("there is more behind the last field")
    return Ack(packet_id, reason)


def read_subscribe(body: bytes, level: int) -> Subscribe:
    """Read a SUBSCRIBE.

    Raises:
        ProtocolError: Malformed.
    """
    reader = Reader(body)
    packet_id = _packet_id(reader)
    properties = reader.properties() if level == V5 else NO_PROPERTIES
    filters = []
    while reader.rest:
        text, options = reader.text(), reader.number(1)
        if options & 3 == 3 or options & (0xC0 if level == V5 else 0xFC):
            raise malformed("subscription options that do not exist")
        filters.append(Filter(text, options & 3))
    if not filters:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a SUBSCRIBE without a filter")
    return Subscribe(packet_id, filters, properties.get(wire.Property.SUBSCRIPTION_ID))


def read_unsubscribe(body: bytes, level: int) -> Unsubscribe:
    """Read an UNSUBSCRIBE.

    Raises:
        ProtocolError: Malformed.
    """
    reader = Reader(body)
    packet_id = _packet_id(reader)
    if level == V5:
        reader.properties()
    filters = []
    while reader.rest:
        filters.append(reader.text())
    if not filters:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "an UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, filters)


def read_disconnect(body: bytes, level: int) -> Disconnect:
    """Read a DISCONNECT.

    Raises:
        ProtocolError: Malformed.
    """
    reader = Reader(body)
    reason, expiry_s = 0, None
    if level == V5 and reader.rest:
        reason = reader.number(1)
        expiry_s = reader.properties().get(wire.Property.SESSION_EXPIRY) if reader.rest else None
    if reader.rest:
        raise malformed("there is more behind the last field")
    return Disconnect(reason, expiry_s)


def _packet_id(reader: Reader) -> int:
    packet_id = reader.number(2)
    if not packet_id:
        raise malformed("packet identifier 0")
    return packet_id


def packet(first_byte: int, *parts: bytes) -> bytes:
    """A packet of its first byte and the parts of its body."""
    body = b"".join(parts)
    return bytes((first_byte,)) + wire.varint(len(body)) + body


def connack(
    level: int, reason: Reason, *, session_present: bool = False, properties: Properties = NO_PROPERTIES
) -> bytes:
    """A CONNACK."""
    if level == V311:
        return packet(0x20, bytes((session_present, CONNECT_RETURN_CODES.get(reason, 5))))
    return packet(0x20, bytes((session_present, reason)), wire.properties(properties))


def ack(kind: int, packet_id: int, level: int, reason: Reason = Reason.SUCCESS) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP; 3.1.1 has no reasons."""
    first_byte = kind << 4 | _FLAGS.get(kind, 0)
    if level == V311 or reason is Reason.SUCCESS:
        return bytes((first_byte, 2)) + packet_id.to_bytes(2)
    return packet(first_byte, packet_id.to_bytes(2), bytes((reason,)))


def publish(message: Publish, level: int) -> bytes:
    """A PUBLISH."""
    first_byte = 0x30 | message.dup << 3 | message.qos << 1 | message.retain
    parts = [wire.text(message.topic)]
    if message.qos:
        parts.append(message.packet_id.to_bytes(2))
    if level == V5:
        parts.append(wire.properties(message.properties))
    return packet(first_byte, *parts, message.payload)


def suback(packet_id: int, reasons: list[int], level: int) -> bytes:
    """A SUBACK."""
    return packet(0x90, packet_id.to_bytes(2), b"\0" if level == V5 else b"", bytes(reasons))


def unsuback(packet_id: int, reasons: list[int], level: int) -> bytes:
    """An UNSUBACK; 3.1.1 has no reasons."""
    if level == V311:
        return packet(0xB0, packet_id.to_bytes(2))
    return packet(0xB0, packet_id.to_bytes(2), b"\0", bytes(reasons))


def disconnect(reason: Reason) -> bytes:
    """A server's DISCONNECT, of MQTT 5 only."""
    return packet(0xE0, bytes((reason, 0)))
