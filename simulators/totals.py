"""What happened in a run, counted: per device, then summed."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields


@dataclass
class Counts:
    """The counts of one device, or of many together.

    Every reading that was due is in the end accepted or lost: ``due == accepted + lost_readings``. An answer that
    refuses a request counts in `refused` by its status even when the request succeeds later.
    """

    due: int = 0
    sent: int = 0
    """Readings that were in a request at least once."""
    accepted: int = 0
    delayed: int = 0
    """Readings that a simulated network failure held back, and that were sent late."""
    lost: Counter[str] = field(default_factory=Counter)
    """Readings that were due and never accepted, by reason."""
    requests: int = 0
    retried: int = 0
    """Requests that repeated an earlier one."""
    unanswered: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Answers other than success, by status."""
    heartbeats: int = 0
    heartbeats_accepted: int = 0
    commands: int = 0
    """Commands that reached a device; over HTTP none is listened for."""
    commands_carried_out: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    """Of every telemetry request that was answered, whatever the answer."""

    @property
    def lost_readings(self) -> int:
        """How many readings were lost, for any reason."""
        return self.lost.total()


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of all counts."""
    result = Counts()
    for count in counts:
        for one in fields(Counts):
            setattr(result, one.name, getattr(result, one.name) + getattr(count, one.name))
    return result


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least `percent` % of the values do not exceed (nearest rank); None of none."""
    if not values:
        return None
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]
