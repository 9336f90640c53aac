"""What is asked or told at every call: limits, presence, audit, repeated requests, counts."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from chalicelib.model import AuditEntry, DeviceRef, Sighting


class Limit(NamedTuple):
    """A token bucket: `burst` calls at once, refilled at `per_s` calls a second."""

    burst: int
    per_s: float


class Decision(NamedTuple):
    """What a limiter said. `retry_after_s` is 0.0 when allowed; `reset_s` is the time until the bucket is full."""

    allowed: bool
    remaining: int
    retry_after_s: float
    reset_s: float


class RateLimiter(Protocol):
    """Token buckets by key."""

    def take(self, key: str, limit: Limit, *, now_ms: int, cost: int = 1) -> Decision:
        """Take *cost* tokens; a refusal takes none. `cost=0` only looks.

        A clock that steps back refills nothing and locks nobody out.
        """
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class Presence(Protocol):
    """When devices were last seen, and whether they said goodbye. An older sighting never replaces a newer one."""

    def mark(self, sightings: Sequence[Sighting]) -> None:
        """Record signs of life; several of one device in one call are fine."""
        ...

    def read(self, devices: Sequence[DeviceRef]) -> dict[DeviceRef, Sighting]:
        """The newest sighting of each device that was ever seen."""
        ...

    def online(self, tenant: str, *, since_ms: int) -> frozenset[int]:
        """Ids of devices whose newest sighting is at or after *since_ms* and online."""
        ...

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        """Drop what is known of removed devices."""
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class AuditLog(Protocol):
    """Append-only record of who did what."""

    def append(self, entry: AuditEntry) -> None:
        """Add one entry; its `id` is given by the log."""
        ...

    def page(self, tenant: str, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Newest first, with ids below *before_id*."""
        ...


class Attempt(NamedTuple):
    """One use of an idempotency key: when it was first tried, and the first answer once there is one (JSON)."""

    started_ms: int
    answer: str | None


class Idempotency(Protocol):
    """First answers by (caller, key), kept for 24 hours."""

    def begin(self, caller: str, key: str, fingerprint: str, *, now_ms: int) -> Attempt:
        """Remember the first use durably, or return what is known of it.

        Raises:
            Unprocessable: The same key came with another *fingerprint* within 24 h.
        """
        ...

    def finish(self, caller: str, key: str, answer: str) -> None:
        """Keep the answer for later uses of the key."""
        ...

    def expire(self, *, before_ms: int) -> int:
        """Forget keys first used before *before_ms*; returns how many, or 0 where the backend does it by itself."""
        ...


Labels = tuple[tuple[str, str], ...]
"""Label names and values in a fixed order, for example ``(("reason", "too_large"),)``."""


class Counters(Protocol):
    """Counts that only grow, right over all processes; kept in total and by hour.

    A crash may lose the last second: these are for people and dashboards, the ledger is the queue's.
    """

    def add(self, name: str, labels: Labels = (), amount: float = 1, *, now_ms: int) -> None:
        """Count; cheap, may buffer for up to a second."""
        ...

    def flush(self) -> None:
        """Make buffered counts visible to everybody."""
        ...

    def totals(self) -> dict[tuple[str, Labels], float]:
        """Every counter since the beginning."""
        ...

    def since(self, name: str, *, since_ms: int) -> dict[Labels, float]:
        """One counter by labels, from the hour that contains *since_ms* on."""
        ...

    def expire(self, *, before_ms: int) -> None:
        """Drop hourly counts before *before_ms*; totals stay."""
        ...
