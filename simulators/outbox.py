"""The readings that a device has made and the service has not accepted yet, in order."""

from collections import deque
from itertools import islice

from simulators.client import MAX_READINGS_PER_REQUEST, TimedReading
from simulators.totals import Counts


class Outbox:
    """A queue of readings that counts what becomes of them; each is counted as due, sent and delayed once.

    Args:
        counts: where they are counted.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._readings: deque[TimedReading] = deque()
        self._sent = 0
        self._delayed = 0

    def __len__(self) -> int:
        return len(self._readings)

    @property
    def full(self) -> bool:
        """Whether one request cannot carry more."""
        return len(self._readings) >= MAX_READINGS_PER_REQUEST

    def put(self, reading: TimedReading) -> None:
        """Add a reading that is due now."""
        self._readings.append(reading)
        self._counts.due += 1

    def batch(self) -> list[TimedReading]:
        """Return the oldest readings, as many as one request carries; they stay until they are settled."""
        batch = list(islice(self._readings, MAX_READINGS_PER_REQUEST))
        self._counts.sent += max(0, len(batch) - self._sent)
        self._sent = max(self._sent, len(batch))
        return batch

    def delay(self) -> None:
        """Hold everything back for now."""
        self._counts.delayed += len(self._readings) - self._delayed
        self._delayed = len(self._readings)

    def accept(self, count: int) -> None:
        """Take out the oldest readings: the service has them."""
        self._remove(count)
        self._counts.accepted += count

    def lose(self, count: int, reason: str) -> None:
        """Take out the oldest readings: the service will never have them."""
        self._remove(count)
        if count:
            self._counts.lost[reason] += count

    def _remove(self, count: int) -> None:
        for _ in range(count):
            self._readings.popleft()
        self._sent = max(0, self._sent - count)
        self._delayed = max(0, self._delayed - count)
