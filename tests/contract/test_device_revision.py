"""The revision of the device records: who keeps devices connected learns of every change from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.model import Credential, DeviceStatus
from chalicelib.ports import DeviceFilter
from tests.contract.device_records import ADAPTERS, NOW_MS, Records, draft, key, open_records, sqlite
from tests.contract.dynamo_tables import Tables
from tests.contract.processes import in_processes


@pytest.fixture(params=ADAPTERS)
def records(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Records:
    return open_records(request.param, tmp_path, tables)


def disable(records: Records) -> Callable[[], object]:
    device = records.add()
    changed = replace(device, status=DeviceStatus.INACTIVE)
    return lambda: records.devices.update(changed, now_ms=NOW_MS)


def remove(records: Records) -> Callable[[], object]:
    device = records.add()
    return lambda: records.devices.remove(device.ref, now_ms=NOW_MS)


def second_key(records: Records) -> Credential:
    device = records.add()
    added = replace(key(), device_id=device.id)
    records.credentials.add(added, now_ms=NOW_MS)
    return added


def revoke(records: Records) -> Callable[[], object]:
    added = second_key(records)
    return lambda: records.credentials.remove(added.tenant, added.id)


def expire(records: Records) -> Callable[[], object]:
    added = second_key(records)
    return lambda: records.credentials.expire(added.id, at_ms=NOW_MS)


@pytest.mark.parametrize("change", [disable, remove, revoke, expire])
def test_revision_is_another_after_every_change(
    records: Records, change: Callable[[Records], Callable[[], object]]
) -> None:
    apply = change(records)
    before = records.devices.revision()
    assert records.devices.revision() == before
    apply()
    assert records.devices.revision() != before


def test_revision_tells_of_a_change_that_a_look_up_met_first(records: Records) -> None:
    """Reading rows drops what is cached; whoever only asks for the revision still learns of the change."""
    added = second_key(records)
    device = records.devices.page("default", DeviceFilter())[0]
    before = records.devices.revision()
    records.credentials.remove(added.tenant, added.id)
    records.devices.get(device.ref)
    assert records.devices.revision() != before


def add_one(path: str) -> None:
    records = sqlite(Path(path) / "devices.db")
    records.devices.add(draft("elsewhere"), key(), now_ms=NOW_MS)


def test_revision_is_another_after_a_change_by_another_process(tmp_path: Path) -> None:
    records = sqlite(tmp_path / "devices.db")
    before = records.devices.revision()
    in_processes(1, add_one, str(tmp_path))
    assert records.devices.revision() != before


def test_devices_are_found_by_a_tag_exactly(records: Records) -> None:
    for name, tags in (("one", ("floor", "hall-1")), ("two", ("floor",)), ("three", ("floor 2", "hall"))):
        records.devices.add(replace(draft(name), tags=tags), key(), now_ms=NOW_MS)
    for tag, names in {
        "floor": ["one", "two"],
        "hall-1": ["one"],
        "hall": ["three"],
        "fl": [],
        "": [],
        '"': [],
    }.items():
        where = DeviceFilter(tag=tag)
        assert [device.name for device in records.devices.page("default", where)] == names
        assert records.devices.count("default", where) == len(names)
