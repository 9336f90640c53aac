"""RateLimiter: token buckets, in memory, in DynamoDB and in a real Redis."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.dynamo_limiter import DynamoLimiter
from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.adapters.redis_limiter import RedisLimiter
from chalicelib.ports import Decision, Limit, RateLimiter
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.eventually import eventually
from tests.contract.processes import in_processes, take
from tests.contract.redis_server import RedisServer, require_redis

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
SLOW = Limit(burst=3, per_s=0.001)
"""So slow that nothing is refilled while a test runs, whoever's clock it is."""

_keys = (f"key-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    require_redis()
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis", *SEMANTICS])
def limiter(request: pytest.FixtureRequest, tables: Tables) -> Iterator[RateLimiter]:
    if request.param in SEMANTICS:
        yield DynamoLimiter(tables.new(request.param), Refuses())
        return
    if request.param == "memory":
        yield MemoryLimiter()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    server.flush()
    redis_limiter = RedisLimiter(server.url, Refuses())
    yield redis_limiter
    redis_limiter.close()


class Refuses:
    """A fallback that must not be asked."""

    def take(self, key: str, limit: Limit, *, now_ms: int, cost: int = 1) -> Decision:
        raise AssertionError((key, limit, now_ms, cost))

    def check(self) -> None: ...


def test_limiter_lets_a_burst_through_and_no_more(limiter: RateLimiter) -> None:
    decisions = [limiter.take("a", SLOW, now_ms=NOW_MS) for _ in range(5)]
    assert [decision.allowed for decision in decisions] == [True, True, True, False, False]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]


def test_limiter_says_when_to_come_back(limiter: RateLimiter) -> None:
    first = limiter.take("a", SLOW, now_ms=NOW_MS)
    assert first.retry_after_s == 0.0
    assert first.reset_s == pytest.approx(1000, abs=60)
    limiter.take("a", SLOW, now_ms=NOW_MS, cost=2)
    refused = limiter.take("a", SLOW, now_ms=NOW_MS)
    assert refused.retry_after_s == pytest.approx(1000, abs=60)
    assert refused.reset_s == pytest.approx(3000, abs=60)


def test_limiter_refusal_takes_nothing(limiter: RateLimiter) -> None:
    limiter.take("a", SLOW, now_ms=NOW_MS)
    assert not limiter.take("a", SLOW, now_ms=NOW_MS, cost=3).allowed
    assert limiter.take("a", SLOW, now_ms=NOW_MS, cost=2).allowed


def test_limiter_cost_zero_only_looks(limiter: RateLimiter) -> None:
    assert limiter.take("a", SLOW, now_ms=NOW_MS, cost=0) == Decision(True, 3, 0.0, 0.0)
    limiter.take("a", SLOW, now_ms=NOW_MS, cost=3)
    looked = limiter.take("a", SLOW, now_ms=NOW_MS, cost=0)
    assert (looked.allowed, looked.remaining) == (True, 0)


def test_limiter_never_allows_more_than_the_burst_at_once(limiter: RateLimiter) -> None:
    assert not limiter.take("a", SLOW, now_ms=NOW_MS, cost=4).allowed


def test_limiter_keeps_keys_apart(limiter: RateLimiter) -> None:
    limiter.take("a", SLOW, now_ms=NOW_MS, cost=3)
    assert limiter.take("b", SLOW, now_ms=NOW_MS, cost=3).allowed


def test_limiter_copes_with_a_limit_that_was_lowered(limiter: RateLimiter) -> None:
    limiter.take("a", SLOW, now_ms=NOW_MS, cost=3)
    decision = limiter.take("a", Limit(1, 0.001), now_ms=NOW_MS)
    assert (decision.allowed, decision.remaining) == (False, 0)


def test_limiter_refills(limiter: RateLimiter) -> None:
    quick = Limit(burst=2, per_s=20.0)
    assert limiter.take("a", quick, now_ms=NOW_MS, cost=2).allowed
    start_s = time.monotonic()

    def allowed() -> bool:
        return limiter.take("a", quick, now_ms=NOW_MS + int(1000 * (time.monotonic() - start_s))).allowed

    assert eventually(allowed)


@pytest.mark.parametrize(("limit", "cost"), [(Limit(1, 0.0), 1), (Limit(1, -1.0), 1), (SLOW, -1)])
def test_limiter_refuses_a_limit_without_meaning(limiter: RateLimiter, limit: Limit, cost: int) -> None:
    with pytest.raises(ValueError, match="rate above 0"):
        limiter.take("a", limit, now_ms=NOW_MS, cost=cost)


@pytest.mark.parametrize("limiter", ["memory", "redis", "dynamodb"], indirect=True)
def test_limiter_counts_exactly_over_threads(limiter: RateLimiter) -> None:
    with ThreadPoolExecutor(8) as pool:
        decisions = pool.map(lambda _: limiter.take("a", Limit(100, 0.001), now_ms=NOW_MS), range(400))
    assert sum(decision.allowed for decision in decisions) == 100


def test_limiter_check_returns_when_all_is_well(limiter: RateLimiter) -> None:
    limiter.check()


@pytest.mark.parametrize("limiter", ["memory", "redis", "dynamodb"], indirect=True)
@given(costs=st.lists(st.integers(0, 6), max_size=20), burst=st.integers(1, 12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_limiter_counts_like_a_bucket_of_tokens(limiter: RateLimiter, costs: list[int], burst: int) -> None:
    """Without time passing, the bucket is an integer."""
    key, tokens = next(_keys), burst
    for cost in costs:
        decision = limiter.take(key, Limit(burst, 0.0001), now_ms=NOW_MS, cost=cost)
        assert decision.allowed == (cost <= tokens)
        tokens -= cost if decision.allowed else 0
        assert decision.remaining == tokens


@given(
    steps=st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(0, 3)), max_size=60),
    burst=st.integers(1, 20),
    per_s=st.floats(0.01, 1000),
)
def test_memory_limiter_grants_no_more_than_burst_and_refill(
    steps: list[tuple[int, int]], burst: int, per_s: float
) -> None:
    """Whatever the clock does: only the time that it ran forward is refilled."""
    limiter, now_ms, forward_ms, granted = MemoryLimiter(), NOW_MS, 0, 0
    for step_ms, cost in steps:
        now_ms += step_ms
        forward_ms += max(0, step_ms)
        decision = limiter.take("a", Limit(burst, per_s), now_ms=now_ms, cost=cost)
        granted += cost if decision.allowed else 0
        assert 0 <= decision.remaining <= burst
        assert granted <= burst + per_s * forward_ms / 1000 + 1e-3


@given(
    waits_ms=st.lists(st.integers(-HOUR_MS, 10_000), max_size=10),
    burst=st.integers(1, 20),
    per_s=st.floats(0.01, 1000),
)
def test_memory_limiter_locks_nobody_out(waits_ms: list[int], burst: int, per_s: float) -> None:
    """Whoever waits as long as he was told is let through, also when the clock was set back before."""
    limiter, now_ms, limit = MemoryLimiter(), NOW_MS, Limit(burst, per_s)
    for wait_ms in waits_ms:
        now_ms += wait_ms
        while (decision := limiter.take("a", limit, now_ms=now_ms)).allowed:
            pass
        # a step back of less than the tolerated jitter may cost that much time once
        now_ms += int(decision.retry_after_s * 1000) + 1 + 1000
        assert limiter.take("a", limit, now_ms=now_ms).allowed


def test_memory_limiter_is_exact_about_the_wait() -> None:
    limiter, limit = MemoryLimiter(), Limit(1, 0.3)
    limiter.take("a", limit, now_ms=NOW_MS)
    refused = limiter.take("a", limit, now_ms=NOW_MS)
    assert refused.retry_after_s == pytest.approx(1 / 0.3)
    assert not limiter.take("a", limit, now_ms=NOW_MS + 3333).allowed
    assert limiter.take("a", limit, now_ms=NOW_MS + 3334).allowed


def test_memory_limiter_goes_on_when_the_clock_steps_back() -> None:
    limiter, limit = MemoryLimiter(), Limit(burst=3, per_s=1.0)
    limiter.take("a", limit, now_ms=NOW_MS, cost=3)
    assert not limiter.take("a", limit, now_ms=NOW_MS - HOUR_MS).allowed
    assert limiter.take("a", limit, now_ms=NOW_MS - HOUR_MS + 1000).allowed


def test_memory_limiter_keeps_a_bounded_number_of_keys() -> None:
    limiter = MemoryLimiter(max_keys=100)
    for number in range(1000):
        limiter.take(f"flood-{number}", SLOW, now_ms=NOW_MS)
        assert len(limiter._full_at_s) <= 100


def test_memory_limiter_flood_of_keys_does_not_reset_an_empty_bucket() -> None:
    limiter = MemoryLimiter(max_keys=100)
    limiter.take("attacker", SLOW, now_ms=NOW_MS, cost=3)
    for number in range(10_000):
        limiter.take(f"flood-{number}", SLOW, now_ms=NOW_MS + number)
    assert not limiter.take("attacker", SLOW, now_ms=NOW_MS + 10_000).allowed


def test_memory_limiter_forgets_full_buckets_first() -> None:
    limiter = MemoryLimiter(max_keys=100)
    limiter.take("slow", SLOW, now_ms=NOW_MS)
    for number in range(99):
        limiter.take(f"quick-{number}", Limit(3, 1000.0), now_ms=NOW_MS)
    limiter.take("new", SLOW, now_ms=NOW_MS + 1000)
    assert set(limiter._full_at_s) == {"slow", "new"}


def test_redis_limiter_shares_buckets_between_objects(redis_server: RedisServer) -> None:
    redis_server.flush()
    one, other = RedisLimiter(redis_server.url, Refuses()), RedisLimiter(redis_server.url, Refuses())
    assert one.take("a", SLOW, now_ms=NOW_MS, cost=3).allowed
    assert not other.take("a", SLOW, now_ms=NOW_MS).allowed
    one.close()
    other.close()


def test_redis_limiter_shares_buckets_between_processes(redis_server: RedisServer) -> None:
    redis_server.flush()
    assert sum(in_processes(2, take, redis_server.url, 60, Limit(50, 0.001))) == 50


def test_redis_limiter_key_lives_until_its_bucket_is_full(redis_server: RedisServer) -> None:
    redis_server.flush()
    limiter = RedisLimiter(redis_server.url, Refuses())
    limiter.take("a", SLOW, now_ms=NOW_MS)
    limiter.take("looked", SLOW, now_ms=NOW_MS, cost=0)
    limiter.close()
    with redis_server.client() as client:
        assert client.keys() == [b"iotflow:limit:a"]
        assert 900_000 < client.pttl("iotflow:limit:a") <= 1_000_001


def test_redis_limiter_goes_on_when_the_servers_clock_steps_back(redis_server: RedisServer) -> None:
    """A bucket written an hour ahead of the server's clock: not refilled by that, and refilled from now on."""
    redis_server.flush()
    limiter, limit = RedisLimiter(redis_server.url, Refuses()), Limit(burst=2, per_s=20.0)
    with redis_server.client() as client:
        seconds, _ = client.time()
        client.set("iotflow:limit:a", f"100000.000:{(seconds + 3600) * 1_000_000}")
    assert not limiter.take("a", limit, now_ms=NOW_MS, cost=2).allowed
    assert eventually(lambda: limiter.take("a", limit, now_ms=NOW_MS, cost=2).allowed)
    limiter.close()


def test_redis_limiter_survives_a_server_that_forgot_the_script(redis_server: RedisServer) -> None:
    limiter = RedisLimiter(redis_server.url, Refuses())
    limiter.take("a", SLOW, now_ms=NOW_MS, cost=0)
    with redis_server.client() as client:
        client.script_flush()
    assert limiter.take("a", SLOW, now_ms=NOW_MS, cost=0).allowed
    limiter.close()
