"""What the adapters on Redis do while it is away: wait for little, say so once, come back by themselves."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.adapters.redis_limiter import RedisLimiter
from chalicelib.adapters.redis_presence import RedisPresence
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Sighting
from chalicelib.ports import Limit
from tests.contract.eventually import eventually
from tests.contract.redis_server import RedisServer, require_redis

NOW_MS = 1_700_000_000_000
DEVICE = DeviceRef("default", 1)
SLOW = Limit(burst=3, per_s=0.001)
LOGGER = "chalicelib.adapters.redis_connection"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    require_redis()
    with RedisServer() as server:
        yield server


def test_limiter_falls_back_when_redis_is_killed_and_comes_back(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    limiter = RedisLimiter(server.url, MemoryLimiter(), pause_s=0.05)
    assert limiter.take("a", SLOW, now_ms=NOW_MS, cost=2).allowed
    server.kill()
    allowed = [limiter.take("a", SLOW, now_ms=NOW_MS).allowed for _ in range(10)]
    assert allowed == [True] * 3 + [False] * 7, "the fallback has a bucket of its own, neither open nor closed"
    with pytest.raises(Unavailable):
        limiter.check()
    server.start()
    assert eventually(lambda: limiter.take("a", SLOW, now_ms=NOW_MS, cost=0).remaining == 3), "Redis is asked again"
    assert [record.getMessage() for record in caplog.records] == [
        "Rate limits: Redis is away (ConnectionError)",
        "Rate limits: Redis is back",
    ]
    limiter.close()


def test_limiter_uses_a_restarted_redis_at_once(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A pooled connection that died while it was idle is not a failure."""
    limiter = RedisLimiter(server.url, MemoryLimiter())
    limiter.take("a", SLOW, now_ms=NOW_MS)
    server.kill()
    server.start()
    assert limiter.take("a", SLOW, now_ms=NOW_MS).remaining == 2
    assert not caplog.records
    limiter.close()


def test_limiter_waits_once_for_a_redis_that_hangs(server: RedisServer) -> None:
    limiter = RedisLimiter(server.url, MemoryLimiter(), pause_s=60)
    limiter.take("a", SLOW, now_ms=NOW_MS)
    with server.stopped():
        start_s = time.monotonic()
        assert limiter.take("a", SLOW, now_ms=NOW_MS).allowed
        first_s = time.monotonic() - start_s
        for _ in range(100):
            limiter.take("a", SLOW, now_ms=NOW_MS)
        others_s = time.monotonic() - start_s - first_s
    assert 0.15 < first_s < 1.0
    assert others_s < 0.15
    limiter.check()
    remaining = limiter.take("a", SLOW, now_ms=NOW_MS).remaining
    assert remaining <= 1, "a check that succeeds ends the pause; Redis may have counted the call that was given up"
    limiter.close()


def test_limiter_lets_one_caller_at_a_time_try_a_hanging_redis(server: RedisServer) -> None:
    """After the pause, one of eight threads waits for Redis and the others go on with the fallback."""
    limiter = RedisLimiter(server.url, MemoryLimiter(), pause_s=0.5)
    limiter.take("a", SLOW, now_ms=NOW_MS)
    barrier = Barrier(8)
    rounds: list[int] = []

    def is_slow(_: int) -> bool:
        barrier.wait(10)
        start_s = time.monotonic()
        limiter.take("a", SLOW, now_ms=NOW_MS)
        return time.monotonic() - start_s > 0.15

    def somebody_tried() -> bool:
        rounds.append(sum(pool.map(is_slow, range(8))))
        return rounds[-1] > 0

    with server.stopped(), ThreadPoolExecutor(8) as pool:
        limiter.take("a", SLOW, now_ms=NOW_MS)
        assert eventually(somebody_tried)
        assert eventually(somebody_tried)
    assert max(rounds) <= 2, "one, and one more for a busy machine"
    limiter.close()


def test_limiter_with_a_wrong_password_falls_back_and_never_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    require_redis()
    with RedisServer(password="right") as server:
        right = RedisLimiter(server.url, MemoryLimiter())
        assert right.take("a", SLOW, now_ms=NOW_MS, cost=3).allowed
        assert not right.take("a", SLOW, now_ms=NOW_MS).allowed
        right.close()
        wrong = RedisLimiter(server.url.replace("right", "wr0ng-s3cret"), MemoryLimiter())
        assert wrong.take("a", SLOW, now_ms=NOW_MS).remaining == 2
        wrong.close()
    assert [record.getMessage() for record in caplog.records] == ["Rate limits: Redis is away (AuthenticationError)"]
    assert "wr0ng-s3cret" not in caplog.text


def test_limiter_falls_back_when_redis_is_full(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RedisLimiter(server.url, MemoryLimiter())
    with server.client() as client:
        client.config_set("maxmemory", "1")
    allowed = [limiter.take("a", SLOW, now_ms=NOW_MS).allowed for _ in range(5)]
    assert allowed == [True] * 3 + [False] * 2
    assert "OutOfMemoryError" in caplog.text
    limiter.close()


def test_presence_raises_unavailable_while_redis_is_away(server: RedisServer) -> None:
    presence = RedisPresence(server.url, pause_s=0.05)
    presence.mark([Sighting(DEVICE, NOW_MS)])
    server.kill()
    for call in (
        lambda: presence.mark([Sighting(DEVICE, NOW_MS)]),
        lambda: presence.read([DEVICE]),
        lambda: presence.online("default", since_ms=0),
        lambda: presence.forget([DEVICE]),
        presence.check,
    ):
        with pytest.raises(Unavailable):
            call()
    server.start()
    presence.check()
    presence.mark([Sighting(DEVICE, NOW_MS)])
    assert presence.online("default", since_ms=0) == {1}
    presence.close()


def test_adapters_connect_to_nothing_when_built() -> None:
    """Nobody listens on port 1, and building an adapter does not mind."""
    url = "redis://127.0.0.1:1"
    assert RedisLimiter(url, MemoryLimiter()).take("a", SLOW, now_ms=NOW_MS).allowed
    with pytest.raises(Unavailable):
        RedisPresence(url).check()


def test_missing_redis_is_skipped_with_the_remedy_unless_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("IOTFLOW_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install redis-server"):
        require_redis()
    monkeypatch.setenv("IOTFLOW_TEST_REQUIRE", "iotdb,redis")
    with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"):
        require_redis()
