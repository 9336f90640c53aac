"""Counters in this process's memory."""

import threading
from collections import defaultdict

from chalicelib.ports import Labels

HOUR_MS = 3600 * 1000


class MemoryCounters:
    """Counts in total and by hour; gone with the process."""

    def __init__(self) -> None:
        self._totals: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        self._hours: defaultdict[tuple[str, Labels, int], float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, name: str, labels: Labels = (), amount: float = 1, *, now_ms: int) -> None:
        with self._lock:
            self._totals[name, labels] += amount
            self._hours[name, labels, hour_of(now_ms)] += amount

    def flush(self) -> None:
        """Counts are visible at once."""

    def totals(self) -> dict[tuple[str, Labels], float]:
        with self._lock:
            return dict(self._totals)

    def since(self, name: str, *, since_ms: int) -> dict[Labels, float]:
        first_ms = hour_of(since_ms)
        sums: defaultdict[Labels, float] = defaultdict(float)
        with self._lock:
            for (counter, labels, hour_ms), amount in self._hours.items():
                if counter == name and hour_ms >= first_ms:
                    sums[labels] += amount
        return dict(sums)

    def expire(self, *, before_ms: int) -> None:
        first_ms = hour_of(before_ms)
        with self._lock:
            for key in [key for key in self._hours if key[2] < first_ms]:
                del self._hours[key]


def hour_of(at_ms: int) -> int:
    """The start of the UTC hour that contains *at_ms*, in ms."""
    return at_ms - at_ms % HOUR_MS
