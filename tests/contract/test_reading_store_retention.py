"""Retention in every store: what is older than its device's days goes, by deletes or by rules of the store."""

import time
from collections.abc import Iterator

import pytest

from chalicelib.adapters import iotdb_retention
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.adapters.iotdb_retention import Rules
from chalicelib.ingest import Sinks, store
from chalicelib.model import DeviceRef, Reading
from chalicelib.ports import ReadingStore
from chalicelib.retention import DAY_MS, EXPIRED, Retention
from infra.iotdb.server import Server
from tests.builders import a_device, memory_services, received, send
from tests.contract import iotdb_server

SHORT, LONG, NEW = DeviceRef("default", 7), DeviceRef("default", 8), DeviceRef("other", 9)
AGES_DAYS = (0.5, 3, 20, 400)


@pytest.fixture
def kept(reading_store: ReadingStore) -> Iterator[ReadingStore]:
    """A store that forgets its rules afterwards: IoTDB's outlive the readings, even the database."""
    yield reading_store
    reading_store.retain(0, [], now_ms=now_ms())


def now_ms() -> int:
    """The real time: a server goes by its own clock."""
    return int(time.time() * 1000)


def aged(device: DeviceRef) -> list[Reading]:
    """Readings of these ages."""
    return [Reading(device, now_ms() - int(age * DAY_MS), {"age": age}) for age in AGES_DAYS]


def ages(store: ReadingStore, device: DeviceRef) -> list[object]:
    """Of the readings that are still there, the newest first."""
    found = store.read(device, start_ms=0, end_ms=2 * now_ms(), limit=99, newest_first=True)
    assert len(found) == store.count(device)
    return [reading.values["age"] for reading in found]


def test_readings_are_kept_as_many_days_as_their_device_has(kept: ReadingStore) -> None:
    kept.write([*aged(SHORT), *aged(LONG)])
    kept.retain(30, [(SHORT, 7), (LONG, 30)], now_ms=now_ms())
    assert (ages(kept, SHORT), ages(kept, LONG)) == ([0.5, 3], [0.5, 3, 20])
    assert kept.latest(SHORT)["age"][1] == 0.5
    kept.retain(7, [(SHORT, 1), (LONG, 7)], now_ms=now_ms())
    assert (ages(kept, SHORT), ages(kept, LONG)) == ([0.5], [0.5, 3])


def test_without_a_rule_readings_are_kept_for_ever(kept: ReadingStore) -> None:
    kept.retain(0, [(SHORT, 7), (LONG, 0)], now_ms=now_ms())
    kept.write([*aged(LONG), *aged(NEW)])
    kept.retain(0, [(SHORT, 7), (LONG, 0)], now_ms=now_ms())
    assert (ages(kept, LONG), ages(kept, NEW)) == (list(AGES_DAYS), list(AGES_DAYS))
    kept.retain(0, [], now_ms=now_ms())
    kept.write(aged(SHORT))
    assert ages(kept, SHORT) == list(AGES_DAYS)


def test_device_that_no_rule_knows_yet_loses_nothing_that_any_rule_would_keep(kept: ReadingStore) -> None:
    kept.retain(30, [(SHORT, 7)], now_ms=now_ms())
    kept.write(aged(NEW)[:3])
    assert ages(kept, NEW) == [0.5, 3, 20]


def test_expired_readings_that_are_written_go_and_their_neighbours_stay(kept: ReadingStore) -> None:
    """A store may say so at once, or delete them next time; none says that they are faulty."""
    kept.retain(30, [(SHORT, 7), (LONG, 30)], now_ms=now_ms())
    rejected = kept.write([*aged(SHORT), *aged(LONG)])
    assert all(one.expired for one in rejected)
    assert {one.position for one in rejected} in (set(), {2, 3, 7})
    kept.retain(30, [(SHORT, 7), (LONG, 30)], now_ms=now_ms())
    assert (ages(kept, SHORT), ages(kept, LONG)) == ([0.5, 3], [0.5, 3, 20])


def test_ledger_and_counter_account_for_expired_readings(kept: ReadingStore) -> None:
    """Whether ingestion finds them, or the store does, by rules that ingestion does not know."""
    services = memory_services()
    camera = a_device(services, "c", "camera").device
    sensor = a_device(services, "s", "sensor").device
    for known in (Retention({"camera": 7, "": 30}, services.devices), Retention({}, services.devices)):
        kept.retain(30, [(camera.ref, 7), (sensor.ref, 30)], now_ms=now_ms())
        before = services.queue.ledger()
        counted = services.counters.totals().get((EXPIRED, ()), 0)
        for device in (camera, sensor):
            send(services, device, *aged(device.ref))
        sinks = Sinks(
            services.queue, kept, services.devices, services.presence, retention=known, counters=services.counters
        )
        kept.purge(camera.ref)
        kept.purge(sensor.ref)
        messages = received(services)
        store(messages, sinks, now_ms=now_ms())
        services.queue.delete([message.receipt for message in messages], now_ms=now_ms())
        ledger = services.queue.ledger()
        expired = ledger.discarded - before.discarded
        assert expired == services.counters.totals().get((EXPIRED, ()), 0) - counted
        assert expired == (3 if known.days_by_type or isinstance(kept, IotdbReadings) else 0)
        assert ledger.dead_lettered == 0
        assert ledger.accepted == ledger.stored + ledger.discarded
        kept.retain(30, [(camera.ref, 7), (sensor.ref, 30)], now_ms=now_ms())
        assert (ages(kept, camera.ref), ages(kept, sensor.ref)) == ([0.5, 3], [0.5, 3, 20])


def test_rules_of_iotdb_are_exactly_those_that_are_wanted(iotdb: Server) -> None:
    with iotdb_server.administrator(iotdb) as client:
        rules = Rules(client, "root.iotflow")
        client.execute("SET TTL TO root.iotflow.devices.device_99 1000")
        client.execute("SET TTL TO root.another.** 5000000")
        try:
            assert rules.make(30, [(SHORT, 7), (NEW, 1)])
            assert rules.ages_ms([SHORT, LONG, NEW, DeviceRef("default", 99)]) == {
                SHORT: 7 * DAY_MS,
                LONG: 30 * DAY_MS,
                NEW: DAY_MS,
                DeviceRef("default", 99): 30 * DAY_MS,
            }
            assert rules.make(0, [])
            assert rules.ages_ms([SHORT]) == {SHORT: None}
            assert "5000000" in str(client.rows("SHOW ALL TTL").blocks)
        finally:
            client.execute("UNSET TTL FROM root.another.**")


def test_devices_beyond_the_limit_of_rules_are_left_to_deletes(iotdb: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iotdb_retention, "MAX_RULES", 1)
    iotdb_server.empty(iotdb)
    with iotdb_server.store_of(iotdb) as found:
        found.write([*aged(SHORT), *aged(LONG), *aged(NEW)])
        deleted = found.retain(30, [(SHORT, 7), (NEW, 1), (LONG, 30)], now_ms=now_ms())
        assert deleted == 3
        assert (ages(found, SHORT), ages(found, NEW), ages(found, LONG)) == ([0.5, 3], [0.5], [0.5, 3, 20])
        found.retain(0, [], now_ms=now_ms())
