"""What every `DeviceRepository` promises to several threads and objects at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from chalicelib.errors import Conflict
from chalicelib.model import Device, DeviceStatus
from chalicelib.ports import DeviceStats
from tests.contract.device_records import NOW_MS, RACING, Records, key, open_records
from tests.contract.dynamo_tables import Tables


@pytest.fixture(params=RACING)
def records(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Records:
    return open_records(request.param, tmp_path, tables)


def test_concurrent_add_of_one_name_has_one_winner(records: Records) -> None:
    """Eight threads over two repository objects: seven conflicts, one device, one key."""
    start, objects = Barrier(8), [records, records.again()]

    def add(number: int) -> str:
        start.wait()
        try:
            objects[number % 2].add("pump")
        except Conflict as refused:
            return refused.code
        return "added"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(add, range(8)))
    assert answers == ["added"] + ["name_taken"] * 7
    assert records.devices.stats("default", now_ms=NOW_MS) == DeviceStats({"active": 1}, {"sensor": 1}, keys=1)


def test_concurrent_updates_of_one_version_have_one_winner(records: Records) -> None:
    added, start, objects = records.add(), Barrier(6), [records, records.again()]

    def update(number: int) -> str:
        start.wait()
        try:
            return objects[number % 2].devices.update(replace(added, location=str(number)), now_ms=NOW_MS).location
        except Conflict as refused:
            return refused.code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(update, range(6)))
    assert answers.count("stale_version") == 5
    stored = records.devices.get(added.ref)
    assert stored is not None
    assert stored.version == 2
    assert stored.location in answers


def _in_a_thread(work: Callable[[], object]) -> None:
    thread = Thread(target=work)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()


@pytest.mark.parametrize("change", ["update", "remove"])
def test_change_in_another_thread_or_object_is_seen_at_once(records: Records, change: str) -> None:
    """The cache is warm before each change; the very next read is right."""
    for other in (records, records.again()):
        added = records.add()
        assert records.devices.get(added.ref) == added

        def act(added: Device = added, other: Records = other) -> None:
            if change == "remove":
                other.devices.remove(added.ref, now_ms=NOW_MS)
            else:
                other.devices.update(replace(added, status=DeviceStatus.INACTIVE), now_ms=NOW_MS)

        _in_a_thread(act)
        seen = records.devices.get(added.ref)
        assert (None if seen is None else seen.status) == (None if change == "remove" else "inactive")


@pytest.mark.parametrize(
    ("records", "times"), [("memory", 150), ("sqlite", 150), ("dynamodb", 25)], indirect=["records"]
)
def test_read_is_never_older_than_a_finished_write(records: Records, times: int) -> None:
    """One thread updates; readers over the same and another object must see at least the version it announced."""
    device = records.add()
    announced, stale, start = [1], list[tuple[int, int]](), Barrier(5)

    def read(own: Records) -> None:
        start.wait()
        while (expected := announced[0]) < times:
            seen = own.devices.get(device.ref)
            if seen is None or seen.version < expected:
                stale.append((expected, seen.version if seen else 0))

    readers = [Thread(target=read, args=(own,)) for own in (records, records, records.again(), records.again())]
    for reader in readers:
        reader.start()
    start.wait()
    try:
        for _ in range(times):
            device = records.devices.update(device, now_ms=NOW_MS)
            announced[0] = device.version
            assert records.devices.get(device.ref) == device
    finally:
        announced[0] = 1000
        for reader in readers:
            reader.join(timeout=10)
    assert stale == []


def test_concurrent_adds_never_pass_max_alive(records: Records) -> None:
    device, start, objects = records.add(), Barrier(6), [records, records.again()]

    def add(number: int) -> str:
        start.wait()
        try:
            objects[number % 2].credentials.add(key(device_id=device.id), now_ms=NOW_MS, max_alive=3)
        except Conflict as refused:
            return refused.code
        return "added"

    with ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(add, range(6)))
    assert answers == ["added"] * 2 + ["too_many_keys"] * 4
    assert len(records.credentials.of_device(device.ref)) == 3
