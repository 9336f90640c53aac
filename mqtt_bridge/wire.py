"""The primitives of MQTT's encoding: integers, strings, properties. Pure functions over bytes.

Source: MQTT Version 5.0, OASIS Standard, sections 1.5 and 2.2.2.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from mqtt_bridge.reasons import ProtocolError, Reason


class Property(IntEnum):
    """Identifiers of properties."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_ID_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


Properties = Mapping[int, Any]
"""By identifier. A user property is left out when read: nothing here looks at one."""
NO_PROPERTIES: Properties = MappingProxyType({})

_WIDTHS = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_TEXTS = frozenset({0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F})
_BINARIES = frozenset({0x09, 0x16})
MAX_VARINT = 268_435_455


def malformed(what: str) -> ProtocolError:
    """The error for bytes that cannot be read."""
    return ProtocolError(Reason.MALFORMED, what)


class Reader:
    """Reads one packet's body from its beginning on; whatever is missing is a `ProtocolError`."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes, at: int = 0) -> None:
        self.body = body
        self.at = at

    @property
    def rest(self) -> int:
        """How many bytes are left."""
        return len(self.body) - self.at

    def take(self, count: int) -> bytes:
        """The next *count* bytes."""
        end = self.at + count
        if end > len(self.body):
            raise malformed("the packet ends too early")
        found = self.body[self.at : end]
        self.at = end
        return found

    def number(self, width: int) -> int:
        """A big-endian integer of *width* bytes."""
        return int.from_bytes(self.take(width))

    def varint(self) -> int:
        """A variable byte integer."""
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 21:
                raise malformed("a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        """Bytes with a length of two before them."""
        return self.take(self.number(2))

    def text(self) -> str:
        """A UTF-8 string, without the characters that MQTT forbids."""
        return text_of(self.binary())

    def properties(self) -> dict[int, Any]:
        """The properties, each at most once but subscription identifiers and user properties."""
        end = self.varint() + self.at
        if end > len(self.body):
            raise malformed("the properties are longer than the packet")
        found: dict[int, Any] = {}
        while self.at < end:
            identifier = self.varint()
            if identifier == Property.USER_PROPERTY:
                self.text(), self.text()
                continue
            if identifier in found:
                raise ProtocolError(Reason.PROTOCOL_ERROR, f"property {identifier} comes twice")
            found[identifier] = self._value(identifier)
        if self.at != end:
            raise malformed("a property is longer than the properties")
        return found

    def _value(self, identifier: int) -> Any:
        if identifier in _WIDTHS:
            return self.number(_WIDTHS[identifier])
        if identifier in _TEXTS:
            return self.text()
        if identifier in _BINARIES:
            return self.binary()
        if identifier == Property.SUBSCRIPTION_ID:
            return self.varint()
        raise malformed(f"there is no property {identifier}")


def text_of(raw: bytes) -> str:
    """UTF-8 to text.

    Raises:
        ProtocolError: Not UTF-8, or with the character U+0000.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8") from None
    if "\0" in text:
        raise malformed("a string contains U+0000")
    return text


def varint(value: int) -> bytes:
    """A variable byte integer."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def binary(value: bytes) -> bytes:
    """Bytes with their length before them."""
    return len(value).to_bytes(2) + value


def text(value: str) -> bytes:
    """A UTF-8 string."""
    return binary(value.encode())


def properties(values: Mapping[Property, Any] | Properties) -> bytes:
    """The properties with their length before them."""
    body = b"".join(varint(identifier) + _encoded(identifier, value) for identifier, value in values.items())
    return varint(len(body)) + body


def _encoded(identifier: int, value: Any) -> bytes:
    if identifier in _WIDTHS:
        return int(value).to_bytes(_WIDTHS[identifier])
    if identifier == Property.SUBSCRIPTION_ID:
        return varint(value)
    return binary(value) if identifier in _BINARIES else text(value)
