"""What came from a broker in one go: gathered message by message, then made durable as a whole."""

import zlib
from typing import NamedTuple

from chalicelib import codec
from chalicelib.errors import TooLarge

MAX_JOINED_CHARACTERS = 65_536
"""About so long a message of the queue becomes by joining; one that is longer by itself stays as it is."""
MAX_REMEMBERED = 65_535
"""So many packet ids there are, and so many messages a broker may have sent of which it does not know what became.
Mosquitto 2.0.11 forgets the bridge's own limit when it goes on with an earlier session."""


class Refused(NamedTuple):
    """A message that can never be accepted, and why; its sender was told otherwise by the broker."""

    body: str
    reason: str


class Delivery:
    """An `Outlet` that only gathers; `Inbox.take` makes it durable.

    Args:
        max_message_bytes: The largest message that the queue takes.

    Attributes:
        refused: What becomes dead letters.
        marks: Packet id and digest of every message, accepted or not, that the broker may repeat.
        stamped_ms: The latest time that the service gave to a reading, in this delivery or before; see `Stamps`.
        size_bytes: Of what came, for limits on memory.
    """

    __slots__ = (
        "_bodies",
        "_characters",
        "_max_message_bytes",
        "_messages",
        "_readings",
        "marks",
        "refused",
        "size_bytes",
        "stamped_ms",
    )

    def __init__(self, max_message_bytes: int = 1_048_576) -> None:
        self._max_message_bytes = max_message_bytes
        self._messages: list[tuple[str, int]] = []
        self._bodies: list[str] = []
        self._characters = self._readings = 0
        self.refused: list[Refused] = []
        self.marks: list[tuple[int, int]] = []
        self.size_bytes = 0
        self.stamped_ms = 0

    def send(self, body: str, *, readings: int, now_ms: int) -> None:  # noqa: ARG002 - the port's
        """Gather a message of `codec`.

        Raises:
            TooLarge: Over the queue's message size.
        """
        if len(body) > self._max_message_bytes:
            message = f"The message has {len(body)} bytes, the queue takes {self._max_message_bytes}"
            raise TooLarge(message, field="body", limit=f"{self._max_message_bytes} bytes")
        if self._characters + len(body) > MAX_JOINED_CHARACTERS:
            self._join()
        self._bodies.append(body)
        self._characters += len(body)
        self._readings += readings

    def messages(self) -> list[tuple[str, int]]:
        """Bodies for the queue with their numbers of readings: what was sent, joined to fewer messages."""
        self._join()
        return self._messages

    def _join(self) -> None:
        if self._bodies:
            self._messages.append((codec.joined(self._bodies), self._readings))
            self._bodies, self._characters, self._readings = [], 0, 0


def digest(topic: str, payload: bytes) -> int:
    """Tells, together with the packet id and the broker's word that it repeats itself, one message from another."""
    return zlib.crc32(payload, zlib.crc32(topic.encode()))
