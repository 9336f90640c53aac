"""Token buckets in this process's memory."""

import math
import threading
from operator import itemgetter

from chalicelib.ports import Decision, Limit

JITTER_MS = 1000.0
"""Callers on several threads read the clock before they get here, so it may seem to run back a little."""

_GRACE_S = 1e-9
"""For rounding: a caller who waits exactly `retry_after_s` is let through."""


class MemoryLimiter:
    """Token buckets by key, bounded in number.

    A bucket is one number, the instant at which it will be full again (GCRA, the generic cell rate algorithm): a
    key that was never seen and a key whose bucket is full are the same, so full buckets can be forgotten freely.
    When there are too many others, those that are full soonest go first: a flood of new keys forgets its own
    nearly full buckets, not the empty one that it wants to be rid of.

    Args:
        max_keys: How many buckets are kept; about 150 bytes each.
    """

    def __init__(self, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        self._full_at_s: dict[str, float] = {}
        self._clock_ms = 0.0
        self._offset_ms: float | None = None
        self._lock = threading.Lock()

    def take(self, key: str, limit: Limit, *, now_ms: int, cost: int = 1) -> Decision:
        if cost < 0 or limit.per_s <= 0:
            message = "a rate limit needs a rate above 0 and a cost of 0 or more"
            raise ValueError(message)
        with self._lock:
            now_s = self._advance(now_ms) / 1000
            owed_s = max(0.0, self._full_at_s.get(key, 0.0) - now_s)
            decision, owed_s = decide(owed_s, limit, cost)
            if cost and decision.allowed:
                if len(self._full_at_s) >= self._max_keys and key not in self._full_at_s:
                    self._forget(now_s)
                self._full_at_s[key] = now_s + owed_s
        return decision

    def check(self) -> None:
        """Memory is always there."""

    def _advance(self, now_ms: int) -> float:
        """Milliseconds since the first call, never running back: a clock that is set back goes on from where it was."""
        if self._offset_ms is None:
            self._offset_ms = -float(now_ms)
        elapsed_ms = now_ms + self._offset_ms
        if elapsed_ms >= self._clock_ms:
            self._clock_ms = elapsed_ms
        elif elapsed_ms < self._clock_ms - JITTER_MS:
            self._offset_ms += self._clock_ms - elapsed_ms
        return self._clock_ms

    def _forget(self, now_s: float) -> None:
        """Make room for an eighth more keys, so that the work of looking at all of them is shared by many calls."""
        keep = self._max_keys - self._max_keys // 8 - 1
        self._full_at_s = {key: full_at_s for key, full_at_s in self._full_at_s.items() if full_at_s > now_s}
        if len(self._full_at_s) > keep:
            emptiest_first = sorted(self._full_at_s.items(), key=itemgetter(1), reverse=True)
            self._full_at_s = dict(emptiest_first[:keep])


def decide(owed_s: float, limit: Limit, cost: int) -> tuple[Decision, float]:
    """Whether *cost* tokens are there in a bucket that needs *owed_s* seconds to be full, and what it owes then."""
    capacity_s = limit.burst / limit.per_s
    after_s = owed_s + cost / limit.per_s
    short_s = after_s - capacity_s
    allowed = short_s <= _GRACE_S
    if allowed:
        owed_s = after_s
    return describe(owed_s, limit, retry_after_s=0.0 if allowed else short_s), owed_s


def describe(owed_s: float, limit: Limit, *, retry_after_s: float) -> Decision:
    """The decision in the port's words; *retry_after_s* is 0.0 when the call was allowed."""
    remaining = max(0, math.floor(limit.burst - (owed_s - _GRACE_S) * limit.per_s))
    return Decision(retry_after_s == 0.0, min(limit.burst, remaining), retry_after_s, owed_s)
