"""Redis killed or stopped in mid-load: the limits are kept by each process itself, and nothing else changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.redis_server import RedisServer
from tests.e2e.instance import Instance, eventually
from tests.e2e.load import Fleet
from tests.e2e.posting import NO_LIMITS


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A real Redis of the test's own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def instance(tmp_path: Path, redis: RedisServer) -> Iterator[Instance]:
    """Keeps limits and presence in it."""
    with Instance(tmp_path / "var", {**NO_LIMITS, "REDIS_URL": redis.url}) as running:
        yield running


def says(instance: Instance, words: str, times: int) -> bool:
    """Whether front and consumer come to have written so that often, in one line each time."""
    logs = [instance.data / "logs" / f"{process}.log" for process in ("front", "consumer")]
    return eventually(lambda: all(log.read_text(encoding="utf-8").count(words) == times for log in logs))


def test_killed_and_stopped_redis_costs_no_reading(instance: Instance, redis: RedisServer) -> None:
    """A stopped one takes calls and does not answer: worse than none."""
    with Fleet(instance.url) as fleet:
        assert fleet.sends()
        redis.kill()
        assert says(instance, "Redis is away", 1)
        redis.start()
        assert says(instance, "Redis is back", 1)
        with redis.stopped():
            assert says(instance, "Redis is away", 2)
            assert fleet.sends()
        assert says(instance, "Redis is back", 2)
    fleet.assert_kept()
    assert fleet.outcomes.keys() == {"201"}
    consumer = (instance.data / "logs" / "consumer.log").read_text(encoding="utf-8").splitlines()
    assert len(consumer) == 4, consumer
