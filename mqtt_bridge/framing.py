"""Cuts a stream of bytes into MQTT packets."""

from collections.abc import Iterator

from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.wire import malformed

_NOTHING = bytearray()
"""Of most connections nothing waits most of the time; it is never added to."""


class Framing:
    """Bytes in, packets out; what is not yet complete waits.

    Args:
        max_packet_bytes: A packet that announces a longer body is refused before it is read.
    """

    __slots__ = ("_needed_bytes", "_rest", "max_packet_bytes")

    def __init__(self, max_packet_bytes: int) -> None:
        self.max_packet_bytes = max_packet_bytes
        self._rest = _NOTHING
        self._needed_bytes = 2

    @property
    def waiting_bytes(self) -> int:
        """How much is kept."""
        return len(self._rest)

    def feed(self, received: bytes) -> Iterator[tuple[int, bytes]]:
        """First byte and body of each packet that is complete now. Stop early, and the rest comes with the next call.

        Raises:
            ProtocolError: A length that is malformed or too large.
        """
        buffer = received
        if self._rest:
            self._rest += received
            if len(self._rest) < self._needed_bytes:
                return
            buffer = bytes(self._rest)
        at, end = 0, len(buffer)
        self._needed_bytes = 2
        try:
            while end - at >= 2:
                length, start = buffer[at + 1], at + 2
                if length > 0x7F:
                    length, start = _long_length(buffer, at + 1)
                    if not start:
                        return
                if length > self.max_packet_bytes:
                    raise ProtocolError(Reason.PACKET_TOO_LARGE, f"packets have at most {self.max_packet_bytes} bytes")
                if end - start < length:
                    self._needed_bytes = start - at + length
                    return
                first_byte = buffer[at]
                at = start + length
                yield first_byte, buffer[start:at]
        finally:
            self._rest = bytearray(buffer[at:]) if at < end else _NOTHING


def _long_length(buffer: bytes, at: int) -> tuple[int, int]:
    """A length of two to four bytes, and where the body begins: 0 while the length is not complete."""
    if at + 1 < len(buffer) and buffer[at + 1] < 0x80:  # two bytes, as of most readings
        return buffer[at] & 0x7F | buffer[at + 1] << 7, at + 2
    length = 0
    for count, byte in enumerate(buffer[at : at + 4]):
        length |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return length, at + count + 1
    if len(buffer) - at >= 4:
        raise malformed("a packet's length has more than four bytes")
    return 0, 0
