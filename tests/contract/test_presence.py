"""Presence: the newest sighting of every device, in memory, SQLite, DynamoDB and a real Redis."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters import redis_presence
from chalicelib.adapters.dynamo_presence import DynamoPresence
from chalicelib.adapters.memory_presence import MemoryPresence
from chalicelib.adapters.redis_presence import RedisPresence
from chalicelib.adapters.sqlite_presence import SqlitePresence
from chalicelib.model import DeviceRef, Sighting
from chalicelib.ports import Presence
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.processes import in_processes, see
from tests.contract.redis_server import RedisServer, require_redis

NOW_MS = 1_700_000_000_123
ONE, TWO = DeviceRef("default", 1), DeviceRef("default", 2)
ELSEWHERE = DeviceRef("other", 1)

_tenants = (f"tenant-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    require_redis()
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis", *SEMANTICS])
def presence(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Iterator[Presence]:
    if request.param == "memory":
        yield MemoryPresence()
    elif request.param in SEMANTICS:
        yield DynamoPresence(tables.new(request.param))
    elif request.param == "sqlite":
        adapter = SqlitePresence(tmp_path / "presence.db")
        yield adapter
        adapter.database.close()
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        server.flush()
        redis_adapter = RedisPresence(server.url)
        yield redis_adapter
        redis_adapter.close()


def test_presence_remembers_when_a_device_was_seen(presence: Presence) -> None:
    presence.mark([Sighting(ONE, NOW_MS), Sighting(TWO, NOW_MS + 1, online=False)])
    assert presence.read([ONE, TWO, DeviceRef("default", 3)]) == {
        ONE: Sighting(ONE, NOW_MS),
        TWO: Sighting(TWO, NOW_MS + 1, online=False),
    }


def test_presence_of_nobody_is_empty(presence: Presence) -> None:
    presence.mark([])
    presence.forget([])
    assert presence.read([]) == {}
    assert presence.read([ONE]) == {}
    assert presence.online("default", since_ms=0) == frozenset()


def test_presence_online_is_who_was_seen_since_and_did_not_leave(presence: Presence) -> None:
    presence.mark(
        [
            Sighting(DeviceRef("default", 1), NOW_MS - 1),
            Sighting(DeviceRef("default", 2), NOW_MS),
            Sighting(DeviceRef("default", 3), NOW_MS + 1),
            Sighting(DeviceRef("default", 4), NOW_MS + 1, online=False),
        ]
    )
    assert presence.online("default", since_ms=NOW_MS) == {2, 3}


def test_presence_goodbye_and_return(presence: Presence) -> None:
    presence.mark([Sighting(ONE, NOW_MS)])
    presence.mark([Sighting(ONE, NOW_MS + 1, online=False)])
    assert presence.online("default", since_ms=0) == frozenset()
    presence.mark([Sighting(ONE, NOW_MS + 2)])
    assert presence.online("default", since_ms=0) == {1}


def test_presence_older_sighting_never_replaces_a_newer_one(presence: Presence) -> None:
    presence.mark([Sighting(ONE, NOW_MS)])
    presence.mark([Sighting(ONE, NOW_MS - 1, online=False)])
    assert presence.read([ONE]) == {ONE: Sighting(ONE, NOW_MS)}


def test_presence_keeps_tenants_apart(presence: Presence) -> None:
    presence.mark([Sighting(ONE, NOW_MS), Sighting(ELSEWHERE, NOW_MS + 5)])
    assert presence.online("default", since_ms=NOW_MS + 1) == frozenset()
    assert presence.online("other", since_ms=NOW_MS + 1) == {1}
    assert presence.read([ONE, ELSEWHERE]) == {ONE: Sighting(ONE, NOW_MS), ELSEWHERE: Sighting(ELSEWHERE, NOW_MS + 5)}
    presence.forget([ELSEWHERE])
    assert presence.read([ONE, ELSEWHERE]) == {ONE: Sighting(ONE, NOW_MS)}


def test_presence_forgets_removed_devices(presence: Presence) -> None:
    presence.mark([Sighting(ONE, NOW_MS), Sighting(TWO, NOW_MS, online=False)])
    presence.forget([ONE, TWO, DeviceRef("default", 3)])
    assert presence.read([ONE, TWO]) == {}
    assert presence.online("default", since_ms=0) == frozenset()


@pytest.mark.parametrize("presence", ["memory", "sqlite", "redis", "dynamodb"], indirect=True)
def test_presence_takes_more_devices_than_one_chunk(presence: Presence) -> None:
    devices = [DeviceRef("default", number) for number in range(1, 2 * redis_presence.CHUNK + 2)]
    presence.mark([Sighting(device, NOW_MS + device.id) for device in devices])
    assert len(presence.read(devices)) == len(devices)
    assert presence.online("default", since_ms=NOW_MS) == {device.id for device in devices}
    presence.forget(devices)
    assert presence.read(devices) == {}


@pytest.mark.parametrize("presence", ["memory", "sqlite", "redis", "dynamodb"], indirect=True)
def test_presence_marked_by_threads_keeps_the_newest(presence: Presence) -> None:
    def mark(thread: int) -> None:
        for step in range(50):
            presence.mark([Sighting(ONE, NOW_MS + step * 4 + thread)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(mark, range(4)))
    assert presence.read([ONE]) == {ONE: Sighting(ONE, NOW_MS + 199)}


def test_presence_check_returns_when_all_is_well(presence: Presence) -> None:
    presence.check()


@pytest.mark.parametrize("presence", ["memory", "sqlite", "redis", "dynamodb"], indirect=True)
@given(data=st.data(), chunk=st.integers(1, 5))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_presence_newest_wins_whatever_the_order(presence: Presence, data: st.DataObject, chunk: int) -> None:
    """Few devices and few instants, so that ties and out-of-order marks are common; at a tie the goodbye wins."""
    tenant = next(_tenants)
    devices = [DeviceRef(tenant, number) for number in (1, 2, 3)]
    times = st.integers(0, 4).map(lambda step: NOW_MS + step)
    sightings = data.draw(st.lists(st.builds(Sighting, st.sampled_from(devices), times, st.booleans()), max_size=12))
    for start in range(0, len(sightings), chunk):
        presence.mark(sightings[start : start + chunk])
    newest: dict[DeviceRef, Sighting] = {}
    for sighting in sorted(sightings, key=lambda seen: (seen.at_ms, not seen.online)):
        newest[sighting.device] = sighting
    assert presence.read(devices) == newest
    since_ms = data.draw(times)
    assert presence.online(tenant, since_ms=since_ms) == {
        seen.device.id for seen in newest.values() if seen.online and seen.at_ms >= since_ms
    }


def test_sqlite_presence_is_shared_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "presence.db"
    in_processes(2, see, str(path), [NOW_MS + step for step in (5, 1, 9, 3)] * 25)
    presence = SqlitePresence(path)
    assert presence.read([ONE]) == {ONE: Sighting(ONE, NOW_MS + 9)}
    presence.database.close()


def test_redis_presence_is_shared_between_objects(redis_server: RedisServer) -> None:
    redis_server.flush()
    one, other = RedisPresence(redis_server.url), RedisPresence(redis_server.url)
    one.mark([Sighting(ONE, NOW_MS)])
    assert other.online("default", since_ms=NOW_MS) == {1}
    one.close()
    other.close()
