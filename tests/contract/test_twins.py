"""Twins: compare-and-set on the version, and who follows all changes misses none, in memory, SQLite and DynamoDB."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.adapters.dynamo_twins import DynamoTwins
from chalicelib.adapters.memory_commands import MemoryTwins
from chalicelib.adapters.sqlite_twins import SqliteTwins
from chalicelib.errors import Conflict
from chalicelib.model import DeviceRef, Twin
from chalicelib.ports import TwinRepository
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.processes import in_processes

ONE, TWO, ELSEWHERE = DeviceRef("default", 1), DeviceRef("default", 2), DeviceRef("other", 1)


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def twins(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Iterator[TwinRepository]:
    if request.param in SEMANTICS:
        yield DynamoTwins(tables.new(request.param))
        return
    if request.param == "memory":
        yield MemoryTwins()
        return
    adapter = SqliteTwins(tmp_path / "commands.db")
    yield adapter
    adapter.database.close()


def test_a_twin_that_was_never_written_is_empty(twins: TwinRepository) -> None:
    assert twins.get(ONE) == Twin(device=ONE)
    assert twins.get(ONE).version == 0


def test_a_twin_comes_back_as_it_was_put(twins: TwinRepository) -> None:
    wanted = Twin(device=ONE, desired={"a": {"b": [1, None]}}, reported={"ü": 1.5}, desired_updated_ms=7)
    written = twins.put(wanted)
    assert written == replace(wanted, version=1)
    assert twins.get(ONE) == written
    assert twins.get(ELSEWHERE).version == twins.get(TWO).version == 0
    again = twins.put(replace(written, desired={}, reported_updated_ms=8))
    assert twins.get(ONE) == again
    assert (again.version, again.desired, again.reported_updated_ms) == (2, {}, 8)


@pytest.mark.parametrize("version", [0, 2, -1])
def test_a_stale_version_is_refused_and_changes_nothing(twins: TwinRepository, version: int) -> None:
    written = twins.put(Twin(device=ONE, desired={"a": 1}))
    with pytest.raises(Conflict) as refused:
        twins.put(replace(written, version=version, desired={"a": 2}))
    assert (refused.value.code, refused.value.field) == ("stale_version", "version")
    assert twins.get(ONE) == written


def test_changes_since_a_revision_are_told_in_order_each_twin_once(twins: TwinRepository) -> None:
    start = twins.revision()
    first = twins.put(Twin(device=ONE))
    second = twins.put(Twin(device=TWO))
    middle = twins.revision()
    newest = twins.put(replace(first, desired={"a": 1}))
    assert twins.changed(since=start) == [second, newest]
    assert twins.changed(since=start, limit=1) == [second]
    assert twins.changed(since=middle) == [newest]
    assert twins.changed(since=twins.revision()) == []


def test_revision_grows_with_every_change_and_stays_otherwise(twins: TwinRepository) -> None:
    before = twins.revision()
    written = twins.put(Twin(device=ONE))
    after = twins.revision()
    assert after > before
    with pytest.raises(Conflict):
        twins.put(replace(written, version=5))
    assert twins.revision() == after
    twins.purge([ONE])
    assert twins.revision() > after


def test_purge_drops_the_twins_of_removed_devices(twins: TwinRepository) -> None:
    for device in (ONE, TWO, ELSEWHERE):
        twins.put(Twin(device=device, desired={"a": 1}))
    twins.purge([ONE, TWO, DeviceRef("default", 9)])
    assert [twins.get(device).version for device in (ONE, TWO, ELSEWHERE)] == [0, 0, 1]


def count_up(twins: TwinRepository, times: int) -> None:
    """Raise one number in the desired state, again after each collision."""
    done = 0
    while done < times:
        twin = twins.get(ONE)
        try:
            twins.put(replace(twin, desired={"count": twin.desired.get("count", 0) + 1}))
        except Conflict:
            continue
        done += 1


@pytest.mark.parametrize(("twins", "times"), [("memory", 25), ("sqlite", 25), ("dynamodb", 5)], indirect=["twins"])
def test_no_change_is_lost_between_threads(twins: TwinRepository, times: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: count_up(twins, times), range(4)))
    assert (twins.get(ONE).desired, twins.get(ONE).version) == ({"count": 4 * times}, 4 * times)


def count_up_in(path: str) -> None:
    count_up(SqliteTwins(path), 25)


def test_no_change_is_lost_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "commands.db"
    in_processes(2, count_up_in, str(path))
    twins = SqliteTwins(path)
    assert twins.get(ONE).desired == {"count": 50}
    assert twins.revision() == 50
    twins.database.close()


def test_check_returns_when_all_is_well(twins: TwinRepository) -> None:
    twins.check()
