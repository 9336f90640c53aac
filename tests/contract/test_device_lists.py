"""Pages, filters, counts: what every `DeviceRepository` promises about many devices at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.model import Device, DeviceRef, DeviceStatus
from chalicelib.ports import DeviceFilter, DeviceStats
from tests.contract.device_records import ADAPTERS, NOW_MS, RACING, Records, draft, key, open_records
from tests.contract.dynamo_tables import Tables


@pytest.fixture(params=ADAPTERS)
def records(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Records:
    return open_records(request.param, tmp_path, tables)


def names(devices: list[Device]) -> list[str]:
    return [device.name for device in devices]


def test_existing_tells_a_thousand_devices_in_one_call(records: Records) -> None:
    refs = [records.add().ref for _ in range(20)]
    records.devices.remove(refs[7], now_ms=NOW_MS)
    absent = [DeviceRef("default", 10_000 + number) for number in range(980)]
    assert records.devices.existing([*refs, *absent]) == set(refs) - {refs[7]}
    assert records.devices.existing([]) == set()


def test_page_is_complete_and_without_duplicates_while_devices_come_and_go(records: Records) -> None:
    before = [records.add() for _ in range(25)]
    seen: list[Device] = []
    while page := records.devices.page("default", DeviceFilter(), after_id=seen[-1].id if seen else 0, limit=4):
        assert len(page) <= 4
        seen += page
        if len(seen) < 40:
            records.add()
            records.add(tenant="other")
            records.devices.remove(page[0].ref, now_ms=NOW_MS)
    ids = [device.id for device in seen]
    assert ids == sorted(set(ids))
    assert set(ids) >= {device.id for device in before}
    assert {device.tenant for device in seen} == {"default"}


@pytest.fixture(scope="module", params=RACING)
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, all_tables: Tables) -> Records:
    """A few devices whose names try to be patterns; only looked at."""
    return furnished(open_records(request.param, tmp_path_factory.mktemp("fleet"), all_tables))


def furnished(records: Records) -> Records:
    """Add a few devices whose names try to be patterns."""
    for name, location, status, device_type in (
        ("100%", "Hall_A", DeviceStatus.ACTIVE, "pump"),
        ("100x", "HallXA", DeviceStatus.ERROR, "pump"),
        ("Übung\\1", "straße", DeviceStatus.ACTIVE, "fan"),
        ("ЩИТ", "[abc]*?", DeviceStatus.INACTIVE, "fan"),
    ):
        wanted = replace(draft(name, location=location), status=status, device_type=device_type)
        records.devices.add(wanted, key(), now_ms=NOW_MS)
    records.add("100% other", "other")
    return records


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (DeviceFilter(), ["100%", "100x", "Übung\\1", "ЩИТ"]),
        (DeviceFilter(search=""), ["100%", "100x", "Übung\\1", "ЩИТ"]),
        (DeviceFilter(search="100"), ["100%", "100x"]),
        (DeviceFilter(search="%"), ["100%"]),
        (DeviceFilter(search="_"), ["100%"]),
        (DeviceFilter(search="hall_a"), ["100%"]),
        (DeviceFilter(search="HALL"), ["100%", "100x"]),
        (DeviceFilter(search="üBUNG\\"), ["Übung\\1"]),
        (DeviceFilter(search="STRASSE"), ["Übung\\1"]),
        (DeviceFilter(search="щит"), ["ЩИТ"]),
        (DeviceFilter(search="[abc]*?"), ["ЩИТ"]),
        (DeviceFilter(search="100%hall"), []),
        (DeviceFilter(search="' OR 1 --"), []),
        (DeviceFilter(status=DeviceStatus.ACTIVE), ["100%", "Übung\\1"]),
        (DeviceFilter(status=DeviceStatus.MAINTENANCE), []),
        (DeviceFilter(device_type="fan"), ["Übung\\1", "ЩИТ"]),
        (DeviceFilter(device_type="FAN"), []),
        (DeviceFilter(device_type="fan", status=DeviceStatus.ACTIVE, search="s"), ["Übung\\1"]),
        (DeviceFilter(ids=frozenset({1, 3, 5, 99})), ["100%", "Übung\\1"]),
        (DeviceFilter(ids=frozenset()), []),
        (DeviceFilter(exclude_ids=frozenset({1, 3, 99})), ["100x", "ЩИТ"]),
        (DeviceFilter(exclude_ids=frozenset()), ["100%", "100x", "Übung\\1", "ЩИТ"]),
        (DeviceFilter(ids=frozenset({1, 2}), exclude_ids=frozenset({2})), ["100%"]),
        (DeviceFilter(ids=frozenset(range(2, 100_002))), ["100x", "Übung\\1", "ЩИТ"]),
        (DeviceFilter(exclude_ids=frozenset(range(2, 100_002))), ["100%"]),
    ],
    ids=lambda value: None if isinstance(value, list) else _short(value),
)
def test_filter_finds_exactly_what_it_says(fleet: Records, where: DeviceFilter, found: list[str]) -> None:
    assert names(fleet.devices.page("default", where)) == found
    assert names(fleet.devices.page("default", where, after_id=1)) == [name for name in found if name != "100%"]
    assert fleet.devices.count("default", where) == len(found)


def _short(where: DeviceFilter) -> str:
    given = ((name, value) for name, value in where._asdict().items() if value is not None)
    return ",".join(f"{name}={f'{len(value)} ids' if isinstance(value, frozenset) else value}" for name, value in given)


def test_stats_count_devices_and_live_keys(records: Records) -> None:
    fleet = furnished(records)
    dying = key(device_id=1)
    fleet.credentials.add(replace(dying, expires_ms=NOW_MS + 10), now_ms=NOW_MS)
    by_status, by_type = {"active": 2, "error": 1, "inactive": 1}, {"pump": 2, "fan": 2}
    assert fleet.devices.stats("default", now_ms=NOW_MS + 9) == DeviceStats(by_status, by_type, keys=5)
    assert fleet.devices.stats("default", now_ms=NOW_MS + 10) == DeviceStats(by_status, by_type, keys=4)


def test_tenants_are_those_with_devices(records: Records) -> None:
    assert records.devices.tenants() == []
    gone = records.add(tenant="gone")
    records.add(tenant="b")
    records.add(tenant="a")
    records.devices.remove(gone.ref, now_ms=NOW_MS)
    assert records.devices.tenants() == ["a", "b"]
