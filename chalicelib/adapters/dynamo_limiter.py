"""Token buckets in DynamoDB, one for all functions."""

import logging
from contextlib import suppress

from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_requests import Key, path, update
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.memory_limiter import MemoryLimiter, describe
from chalicelib.errors import Unavailable
from chalicelib.ports import Decision, Limit, RateLimiter

OWN_PART = 64
"""One part in so many of a limit is let through without asking: a device that keeps to its limit costs no write.

With N processes at once, N/64 of the limit may pass beyond it. A limit of fewer than 64 calls is never divided.
"""
_GRACE_US = 1
"""For rounding: a caller who waits exactly as long as he was told is let through."""
_KEPT_S = 60
"""A bucket is forgotten so long after it is full again, by whatever clock."""
_TRIES = 5
_FILL = "SET #full_at_us = :after, #expires_s = :expires_s"
_log = logging.getLogger(__name__)
_FULL = "attribute_not_exists(#pk) OR #full_at_us < :now"


class DynamoLimiter:
    """Token buckets that all processes share; when DynamoDB is away, those of *fallback*: never open, never closed.

    A process lets its own part of a limit through by itself, see `OWN_PART`, and takes the rest from the bucket: one
    number, the instant at which it is full again by the clocks of the callers. A full bucket takes one write, others
    two. One that claims to owe more than it can hold was written by a clock that was ahead, or under a higher limit: it
    counts as empty from now on.
    """

    def __init__(self, table: Table, fallback: RateLimiter) -> None:
        self._table = table
        self._fallback = fallback
        self._own = MemoryLimiter()
        self._failing = False

    def take(self, key: str, limit: Limit, *, now_ms: int, cost: int = 1) -> Decision:
        if cost < 0 or limit.per_s <= 0:
            message = "a rate limit needs a rate above 0 and a cost of 0 or more"
            raise ValueError(message)
        own, shared = _parts(limit)
        if own is not None and 0 < cost <= own.burst:
            decision = self._own.take(key, own, now_ms=now_ms, cost=cost)
            if decision.allowed:
                return decision._replace(remaining=shared.burst + decision.remaining)
        return self._take(key, limit if cost > shared.burst else shared, now_ms, cost)

    def check(self) -> None:
        self._table.check()

    def _take(self, key: str, limit: Limit, now_ms: int, cost: int) -> Decision:
        bucket = _Bucket(self._table, key, limit, now_us=now_ms * 1000)
        try:
            decision = bucket.take(cost) if 0 < cost <= limit.burst else bucket.look(cost)
        except Unavailable as error:
            if not self._failing:
                _log.warning("Rate limits hold by process only: %s", error.message)
            self._failing = True
            return self._fallback.take(key, limit, now_ms=now_ms, cost=cost)
        self._failing = False
        return decision


def _parts(limit: Limit) -> tuple[Limit | None, Limit]:
    """What a process lets through by itself, if anything, and what all share."""
    burst, per_s = limit.burst // OWN_PART, limit.per_s / OWN_PART
    return (Limit(burst, per_s), Limit(limit.burst - burst, limit.per_s - per_s)) if burst else (None, limit)


class _Bucket:
    """One bucket at one instant, in microseconds."""

    def __init__(self, table: Table, key: str, limit: Limit, *, now_us: int) -> None:
        self._table = table
        self._key = Key(path("limit", key))
        self._price_us = max(1, round(1e6 / limit.per_s))
        self._limit = Limit(limit.burst, 1e6 / self._price_us)  # in whole microseconds a call, as they are stored
        self._now_us = now_us
        self._capacity_us = self._price(limit.burst)

    def look(self, cost: int) -> Decision:
        item = self._table.get(self._key)
        owed_us = min(self._capacity_us, max(0, item["full_at_us"] - self._now_us)) if item else 0
        return self._decision(owed_us, cost)

    def take(self, cost: int) -> Decision:
        price_us = self._price(cost)
        for _ in range(_TRIES):
            try:
                self._write(_FILL, _FULL, after=self._now_us + price_us)
            except Refused as refused:
                full_at_us = refused.found["full_at_us"] if refused.found else None
            else:
                return self._granted(price_us)
            if full_at_us is None:
                continue  # the table forgot it in between
            most_us = self._now_us + self._capacity_us
            if full_at_us > most_us + _GRACE_US:
                with suppress(Refused):
                    self._write(_FILL, "#full_at_us = :seen", after=most_us, seen=full_at_us)
                return self._decision(self._capacity_us, cost)
            if full_at_us + price_us > most_us + _GRACE_US:
                return self._decision(full_at_us - self._now_us, cost)
            with suppress(Refused):
                return self._granted(self._add(price_us, most_us + _GRACE_US - price_us) - self._now_us)
        raise Unavailable("The record store is busy", retry_after_s=1)

    def _add(self, price_us: int, at_most_us: int) -> int:
        change = "ADD #full_at_us :price SET #expires_s = :expires_s"
        expires_s = (at_most_us + price_us) // 1_000_000 + _KEPT_S
        written = self._table.write(
            update(self._key, change, "#full_at_us <= :most", price=price_us, most=at_most_us, expires_s=expires_s),
            tell="UPDATED_NEW",
        )
        return int(written["full_at_us"])

    def _write(self, change: str, condition: str, *, after: int, seen: int = 0) -> None:
        expires_s = after // 1_000_000 + _KEPT_S
        self._table.write(
            update(self._key, change, condition, after=after, now=self._now_us, seen=seen, expires_s=expires_s)
        )

    def _granted(self, owed_us: int) -> Decision:
        return describe(owed_us / 1e6, self._limit, retry_after_s=0.0)

    def _decision(self, owed_us: int, cost: int) -> Decision:
        """What a caller is told who took nothing."""
        short_us = owed_us + self._price(cost) - self._capacity_us
        retry_after_s = 0.0 if short_us <= _GRACE_US else short_us / 1e6
        return describe(owed_us / 1e6, self._limit, retry_after_s=retry_after_s)

    def _price(self, calls: int) -> int:
        return calls * self._price_us
