"""What every `BrokerOutbox` promises, together with the records that write to it."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chalicelib.adapters.dynamo_credentials import DynamoCredentials
from chalicelib.adapters.dynamo_devices import DynamoDevices
from chalicelib.adapters.dynamo_outbox import DynamoBrokerOutbox
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.memory_devices import MemoryCredentials, MemoryDevices
from chalicelib.adapters.memory_outbox import MemoryBrokerOutbox
from chalicelib.adapters.sqlite_credentials import SqliteCredentials
from chalicelib.adapters.sqlite_devices import SqliteDevices
from chalicelib.adapters.sqlite_outbox import SqliteBrokerOutbox
from chalicelib.errors import Conflict
from chalicelib.model import Device, DeviceRef, DeviceStatus
from chalicelib.ports import BrokerChange, BrokerOutbox, CredentialRepository, DeviceFilter, DeviceRepository
from tests.contract.device_records import ADAPTERS, NOW_MS, draft, key, token
from tests.contract.device_records import dynamo as dynamo_records
from tests.contract.device_records import sqlite as sqlite_records
from tests.contract.dynamo_tables import SEMANTICS, Tables


@dataclass(frozen=True)
class Told:
    """The records and their outbox over one backend; `again()` makes new objects, as another process would."""

    devices: DeviceRepository
    credentials: CredentialRepository
    outbox: BrokerOutbox
    again: Callable[[], "Told"]

    def add(self, seed: str = "") -> Device:
        """A device; its first change is in the outbox."""
        return self.devices.add(draft(), key(), now_ms=NOW_MS, seed=seed)

    def settled(self, seed: str = "") -> Device:
        """A device of which the broker knows everything."""
        device = self.add(seed)
        self.outbox.settle(self.take())
        return device

    def take(self, *, limit: int = 100, hidden_s: float = 60, now_ms: int = NOW_MS) -> list[BrokerChange]:
        """Take entries."""
        return self.outbox.take(limit=limit, hidden_s=hidden_s, now_ms=now_ms)


def sqlite(path: Path) -> Told:
    devices, credentials = SqliteDevices(path, outbox=True), SqliteCredentials(path, outbox=True)
    return Told(devices, credentials, SqliteBrokerOutbox(path), lambda: sqlite(path))


def memory(devices: MemoryDevices, outbox: MemoryBrokerOutbox) -> Told:
    return Told(devices, MemoryCredentials(devices), outbox, lambda: memory(devices, outbox))


def dynamo(table: Table) -> Told:
    devices, credentials = DynamoDevices(table, outbox=True), DynamoCredentials(table, outbox=True)
    return Told(devices, credentials, DynamoBrokerOutbox(table), lambda: dynamo(table))


@pytest.fixture(params=ADAPTERS)
def told(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Told:
    if request.param in SEMANTICS:
        return dynamo(tables.new(request.param))
    if request.param == "sqlite":
        return sqlite(tmp_path / "devices.db")
    outbox = MemoryBrokerOutbox()
    return memory(MemoryDevices(outbox), outbox)


def _become(told: Told, device: Device, status: DeviceStatus) -> None:
    told.devices.update(replace(device, status=status), now_ms=NOW_MS)


def _with_a_key(told: Told, device: Device) -> str:
    return told.credentials.of_device(device.ref)[0].id


CHANGES: dict[str, Callable[[Told, Device], object]] = {
    "inactive": lambda told, device: _become(told, device, DeviceStatus.INACTIVE),
    "removed": lambda told, device: told.devices.remove(device.ref, now_ms=NOW_MS),
    "key added": lambda told, device: told.credentials.add(key(device_id=device.id), now_ms=NOW_MS),
    "key expired": lambda told, device: told.credentials.expire(_with_a_key(told, device), at_ms=NOW_MS + 1),
    "key removed": lambda told, device: told.credentials.remove("default", _with_a_key(told, device)),
}
NO_CHANGES: dict[str, Callable[[Told, Device], object]] = {
    "renamed": lambda told, device: told.devices.update(replace(device, name="other"), now_ms=NOW_MS),
    "token": lambda told, _device: told.credentials.add(token("ci"), now_ms=NOW_MS),
    "nobody removed": lambda told, _device: told.devices.remove(DeviceRef("default", 10**6), now_ms=NOW_MS),
    "foreign removed": lambda told, device: told.devices.remove(DeviceRef("other", device.id), now_ms=NOW_MS),
    "no such key": lambda told, _device: told.credentials.remove("default", "nobody"),
    "foreign key": lambda told, device: told.credentials.remove("other", _with_a_key(told, device)),
}


def test_new_device_is_one_entry_with_its_seed(told: Told) -> None:
    device = told.add("a seed")
    (entry,) = told.again().take()
    assert (entry.device, entry.seed) == (device.ref, "a seed")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_that_matters_to_a_broker_is_one_entry(told: Told, change: Callable[[Told, Device], object]) -> None:
    device = told.settled()
    change(told, device)
    assert [entry.device for entry in told.again().take()] == [device.ref]


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_does_not_matter_to_a_broker_is_none(told: Told, change: Callable[[Told, Device], object]) -> None:
    change(told, told.settled())
    assert told.take() == []


def test_change_that_is_refused_is_none(told: Told) -> None:
    told.devices.add(draft("pump"), key(), now_ms=NOW_MS)
    told.outbox.settle(told.take())
    with pytest.raises(Conflict):
        told.devices.add(draft("pump"), key(), now_ms=NOW_MS, seed="s")
    assert told.outbox.count() == 0


@pytest.mark.parametrize("adapter", ["sqlite", "dynamodb"])
def test_nothing_is_written_where_no_broker_is_told(adapter: str, tmp_path: Path, tables: Tables) -> None:
    if adapter == "sqlite":
        records = sqlite_records(tmp_path / "devices.db")
        outbox: BrokerOutbox = SqliteBrokerOutbox(tmp_path / "devices.db")
    else:
        table = tables.new(adapter)
        records, outbox = dynamo_records(table), DynamoBrokerOutbox(table)
    device = records.devices.add(draft(), key(), now_ms=NOW_MS, seed="s")
    records.devices.remove(device.ref, now_ms=NOW_MS)
    assert outbox.count() == 0


def test_changes_of_one_device_are_one_entry_with_the_newest_seed(told: Told) -> None:
    device = told.add("first")
    told.credentials.add(key(device_id=device.id), now_ms=NOW_MS, seed="second")
    for _ in range(50):
        device = told.devices.update(replace(device, status=DeviceStatus.INACTIVE), now_ms=NOW_MS)
        device = told.devices.update(replace(device, status=DeviceStatus.ACTIVE), now_ms=NOW_MS)
    assert told.outbox.count() == 1
    (entry,) = told.take()
    assert entry.seed == "second"


def test_seed_of_a_removed_device_is_gone(told: Told) -> None:
    device = told.add("secret")
    told.devices.remove(device.ref, now_ms=NOW_MS)
    assert [(entry.device, entry.seed) for entry in told.take()] == [(device.ref, "")]


def test_entries_come_the_longest_unchanged_first_and_limited(told: Told) -> None:
    first, second, third = told.add(), told.add(), told.add()
    _become(told, first, DeviceStatus.INACTIVE)
    assert [entry.device for entry in told.take(limit=2)] == [second.ref, third.ref]
    assert [entry.device for entry in told.take(limit=2)] == [first.ref]


def test_taken_entry_is_hidden_until_its_worker_must_be_dead(told: Told) -> None:
    told.add("s")
    taken = told.take(hidden_s=5)
    assert told.again().take(hidden_s=5, now_ms=NOW_MS + 4999) == []
    assert told.again().take(hidden_s=5, now_ms=NOW_MS + 5000) == taken


def test_clock_that_steps_back_hides_nothing_for_longer(told: Told) -> None:
    told.add()
    taken = told.take(hidden_s=5)
    assert told.take(hidden_s=5, now_ms=NOW_MS - 3_600_000) == taken


def test_settled_entry_is_gone(told: Told) -> None:
    told.add()
    told.outbox.settle(told.take())
    assert (told.take(), told.outbox.count()) == ([], 0)


def test_change_while_taken_waits_for_its_turn_and_outlives_the_settling(told: Told) -> None:
    """The broker is never told of one device by two at once, and the last state is told last."""
    device = told.add("s")
    taken = told.take()
    _become(told, device, DeviceStatus.INACTIVE)
    assert told.again().take() == [], "another worker does not get what is just being told"
    told.outbox.settle(taken)
    (entry,) = told.again().take()
    assert entry.device == device.ref
    assert entry.number > taken[0].number
    assert entry.seed == "s", "it may have been told after all; again does no harm"


def test_released_entry_is_there_at_once(told: Told) -> None:
    told.add("s")
    taken = told.take()
    told.outbox.release(taken)
    assert told.again().take() == taken


def test_settling_twice_drops_no_later_entry(told: Told) -> None:
    device = told.add()
    taken = told.take()
    told.outbox.settle(taken)
    _become(told, device, DeviceStatus.INACTIVE)
    told.outbox.settle(taken)
    assert [entry.device for entry in told.take()] == [device.ref]


def test_waiting_names_those_with_an_entry(told: Told) -> None:
    settled, taken, shown = told.settled(), told.add(), told.add()
    told.take(limit=1)
    asked = [settled.ref, taken.ref, shown.ref, DeviceRef("other", shown.id)]
    assert told.outbox.waiting(asked) == {taken.ref, shown.ref}


class Broker:
    """What three workers told, and whether two ever told of one device at once."""

    def __init__(self) -> None:
        self.known: dict[DeviceRef, DeviceStatus] = {}
        self.clashes: list[DeviceRef] = []
        self.all_changed = threading.Event()
        self._held: set[DeviceRef] = set()

    def work(self, told: Told) -> None:
        """Tell until everything is told."""
        while not self.all_changed.is_set() or told.outbox.count():
            taken = told.take(limit=3)
            for entry in taken:
                self._tell(told, entry.device)
            if taken:
                told.outbox.settle(taken)

    def _tell(self, told: Told, device: DeviceRef) -> None:
        if device in self._held:
            self.clashes.append(device)
        self._held.add(device)
        found = told.devices.get(device)
        assert found is not None
        self.known[device] = found.status
        self._held.discard(device)


def _change(told: Told, devices: list[Device], times: int) -> None:
    words = [DeviceStatus.INACTIVE, DeviceStatus.ACTIVE, DeviceStatus.ERROR]
    for step in range(times):
        devices = [told.devices.update(replace(each, status=words[step % 3]), now_ms=NOW_MS) for each in devices]


@pytest.mark.parametrize(("told", "times"), [("memory", 40), ("sqlite", 40), ("dynamodb", 4)], indirect=["told"])
def test_many_workers_tell_the_last_state_of_every_device_and_none_at_once(told: Told, times: int) -> None:
    """Three threads change 12 devices; three workers tell. What was told last is what is."""
    devices, broker = [told.settled() for _ in range(12)], Broker()
    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(broker.work, told.again()) for _ in range(3)]
        changers = [pool.submit(_change, told.again(), devices[part::3], times) for part in range(3)]
        try:
            for changer in changers:
                changer.result(60)
        finally:
            broker.all_changed.set()
        for worker in workers:
            worker.result(60)
    assert broker.clashes == []
    assert broker.known == {device.ref: DeviceStatus.INACTIVE for device in devices}


REGISTRATIONS = """
import sys
from itertools import count
from pathlib import Path
from tests.contract.device_records import NOW_MS, draft, key
from tests.contract.test_broker_outbox import sqlite
told = sqlite(Path(sys.argv[1]))
for number in count():
    device = told.devices.add(draft(f"d{number}"), key(), now_ms=NOW_MS, seed="s")
    print(device.id, flush=True)
    if number % 3 == 0:
        told.devices.remove(device.ref, now_ms=NOW_MS)
"""


@pytest.mark.parametrize("after", [1, 7, 20])
def test_killed_registration_leaves_device_and_entry_or_neither(after: int, tmp_path: Path) -> None:
    path = tmp_path / "devices.db"
    with subprocess.Popen([sys.executable, "-c", REGISTRATIONS, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        process.kill()
    told = sqlite(path)
    there = {device.id for device in told.devices.page("default", DeviceFilter(), limit=1000)}
    gone = {ref.id for ref in told.devices.removed(before_ms=NOW_MS + 1)}
    assert there | gone
    assert {entry.device.id for entry in told.take(limit=1000)} == there | gone
