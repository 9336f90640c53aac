"""The way of readings: the queue, and the store behind it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from chalicelib.aggregates import AggregateQuery, AggregateRow, Survey
from chalicelib.model import DeadLetter, DeviceRef, Ledger, Message, Reading, Value


class TelemetryQueue(Protocol):
    """SQS semantics: at least once, no order promised, a received message is hidden until its visibility ends."""

    def send(self, body: str, *, readings: int, now_ms: int) -> str:
        """Make *body* durable and return the message's id.

        Within `tickets.collect()` a local adapter may return before its commit and leave a ticket instead.

        Raises:
            Unavailable: Not stored.
            TooLarge: Over the queue's message size.
        """
        ...

    def receive(self, *, limit: int, visibility_s: float, now_ms: int) -> list[Message]:
        """Take up to *limit* visible messages, oldest first, and hide them for *visibility_s*.

        A message that was received `max_receive_count` times already is moved to the dead letters instead.
        A clock that stepped back hides no message for longer than *visibility_s*.
        """
        ...

    def adopt(self, messages: Sequence[Message]) -> None:
        """Somebody else received *messages* from this queue for us, as Lambda does, and will delete them."""
        ...

    def settled(self, receipts: Sequence[str], *, now_ms: int) -> None:
        """The readings of those that were adopted are stored: for a ledger that is not kept with the messages."""
        ...

    def delete(self, receipts: Sequence[str], *, now_ms: int) -> None:
        """Their readings are stored. A stale receipt does nothing."""
        ...

    def release(self, receipts: Sequence[str], *, delay_s: float, now_ms: int, uncounted: bool = False) -> None:
        """Make them visible again after *delay_s*; the receive count stays.

        With *uncounted* this delivery does not count towards the dead letters: nothing was wrong with the messages,
        the store was away.
        """
        ...

    def bury(
        self, receipt: str, *, reason: str, now_ms: int, body: str | None = None, readings: int | None = None
    ) -> None:
        """Move a received message to the dead letters, atomically where the backend can.

        With *body* and *readings*, only that part of it is buried and the rest counts as stored.
        """
        ...

    def discard(self, receipt: str, *, readings: int, now_ms: int) -> None:
        """Delete a received message of which *readings* were dropped on purpose and the rest stored."""
        ...

    def dead_letters(self, *, after_id: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """Buried messages, in the order of their ids, after *after_id*."""
        ...

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """One buried message."""
        ...

    def replay(self, letter_id: str, *, now_ms: int) -> bool:
        """Queue a buried message again, receive count zero, reason forgotten. False: no such letter."""
        ...

    def discard_letter(self, letter_id: str, *, now_ms: int) -> bool:
        """Drop a buried message for good. False: no such letter."""
        ...

    def tidy(self, *, now_ms: int) -> None:
        """Every few minutes: what the backend set aside by itself becomes dead letters."""
        ...

    def ledger(self) -> Ledger:
        """Where every accepted reading is."""
        ...

    def oldest_age_s(self, *, now_ms: int) -> float:
        """Age of the oldest message that is still to be stored, 0.0 for an empty queue."""
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...

    def close(self) -> None:
        """Commit what waits and let go of files: the process ends."""
        ...


class Rejected(NamedTuple):
    """A reading that the store will never take: its place in the call's list, and the reason in words.

    `expired`: it is older than the store keeps readings, which is no fault of it.
    """

    position: int
    reason: str
    expired: bool = False


class ReadingStore(Protocol):
    """Telemetry. All calls name the device by (tenant, id); an unknown device simply has no readings.

    Ranges are half-open, ``start_ms <= timestamp < end_ms``. What was written is readable when `write` returns.
    """

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        """Upsert readings of any devices in any order; durable when it returns.

        Of two values for the same (device, measurement, timestamp) the later in the list wins; values of a
        reading that are not given stay as they are. A measurement may change its type at any time.

        Returns:
            The readings that can never be stored. All others are.

        Raises:
            Unavailable: Some may be stored; writing all again is safe.
        """
        ...

    def read(
        self,
        device: DeviceRef,
        *,
        start_ms: int,
        end_ms: int,
        limit: int,
        newest_first: bool = False,
        measurements: Sequence[str] | None = None,
    ) -> list[Reading]:
        """Up to *limit* readings in order of time. Page on by moving *start_ms* or *end_ms*.

        With *measurements*, only those values, and only readings that have at least one of them.
        """
        ...

    def latest(self, device: DeviceRef) -> dict[str, tuple[int, Value]]:
        """The newest value of every measurement, with its own timestamp in ms."""
        ...

    def aggregate(self, device: DeviceRef, query: AggregateQuery) -> list[AggregateRow]:
        """Numeric values in windows; see `aggregates`. Text and boolean values do not take part."""
        ...

    def survey(self, devices: Sequence[DeviceRef], *, start_ms: int, end_ms: int) -> Survey:
        """Counts and statistics over many devices, for the analytics page."""
        ...

    def count(self, device: DeviceRef) -> int:
        """How many readings (rows, not values) are stored."""
        ...

    def delete(
        self, device: DeviceRef, *, start_ms: int, end_ms: int, measurements: Sequence[str] | None = None
    ) -> int:
        """Delete values in the range; returns how many readings lost at least one value."""
        ...

    def retain(self, longest: int, devices: Sequence[tuple[DeviceRef, int]], *, now_ms: int) -> int:
        """Drop readings that are older than their device's days, or let the store do so itself; again and again.

        Args:
            longest: The most days of any device, known or not; 0 keeps for ever.
            devices: Every device with its days, 0 for ever; empty when there are no rules (any more).
            now_ms: Now; a store with rules of its own goes by its own clock.

        Returns:
            Readings that were deleted one by one.
        """
        ...

    def purge(self, device: DeviceRef) -> None:
        """Delete everything of the device."""
        ...

    def risks(self) -> list[str]:
        """What in the backend's settings can lose readings or lets strangers in, in sentences.

        Raises:
            Unavailable: It does not answer.
        """
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...
