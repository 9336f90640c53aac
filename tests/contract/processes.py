"""What tests run in processes of their own: light imports, plain arguments and results."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.adapters.redis_limiter import RedisLimiter
from chalicelib.adapters.sqlite_counters import SqliteCounters
from chalicelib.adapters.sqlite_idempotency import SqliteIdempotency
from chalicelib.adapters.sqlite_lease import SqliteLease
from chalicelib.adapters.sqlite_presence import SqlitePresence
from chalicelib.model import DeviceRef, Sighting
from chalicelib.ports import Limit

P = ParamSpec("P")
Result = TypeVar("Result")


def in_processes(count: int, work: Callable[P, Result], *arguments: P.args, **keywords: P.kwargs) -> Sequence[Result]:
    """The results of *count* new processes that do the same *work* at the same time."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(work, *arguments, **keywords) for _ in range(count)]
        return [future.result(timeout=60) for future in futures]


def count(path: str, times: int) -> None:
    """Count one by one, with a clock that makes every tenth call flush."""
    counters = SqliteCounters(path)
    for step in range(times):
        counters.add("readings", (("source", "http"),), now_ms=step * 100)
    counters.flush()


def begin(path: str, keys: Sequence[str], now_ms: int) -> list[int]:
    """When each key was first used."""
    idempotency = SqliteIdempotency(path)
    return [idempotency.begin("device:1", key, "body", now_ms=now_ms + n).started_ms for n, key in enumerate(keys)]


def take(url: str, times: int, limit: Limit) -> int:
    """How many of *times* calls on one key were allowed."""
    limiter = RedisLimiter(url, MemoryLimiter())
    allowed = sum(limiter.take("shared", limit, now_ms=0).allowed for _ in range(times))
    limiter.close()
    return allowed


def acquire(path: str, now_ms: int) -> bool:
    """Whether this process got the lease."""
    lease = SqliteLease(path)
    return lease.acquire("bridge", str(os.getpid()), ttl_s=3.0, now_ms=now_ms) is not None


def see(path: str, times_ms: Sequence[int]) -> None:
    """Mark one device at each of these times."""
    presence = SqlitePresence(path)
    for at_ms in times_ms:
        presence.mark([Sighting(DeviceRef("default", 1), at_ms)])
