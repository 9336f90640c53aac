"""What every `DeviceRepository` promises."""

from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.errors import AppError, Conflict, NotFound
from chalicelib.model import (
    MAX_INT64,
    MAX_NAME_LENGTH,
    MIN_INT64,
    ConfigEntry,
    Device,
    DeviceDraft,
    DeviceRef,
    DeviceStatus,
)
from chalicelib.ports import DeviceFilter, DeviceStats
from tests.contract.device_records import ADAPTERS, NOW_MS, Records, draft, key, open_records
from tests.contract.dynamo_tables import Tables

EVERYTHING = DeviceDraft(
    tenant="täglich",
    name="ß" * (MAX_NAME_LENGTH - 1) + "🌡",
    device_type="weather station",
    description="two\nlines, a NUL \x00 and 'quotes\"",
    location="50 % of 100_000 \\ rooms",
    firmware_version="1.2.3-rc.1+build",
    hardware_version="",
    status=DeviceStatus.MAINTENANCE,
    configuration={
        "whole": ConfigEntry(MAX_INT64, "integer", NOW_MS),
        "least": ConfigEntry(MIN_INT64, "integer", 0),
        "part": ConfigEntry(0.1, "float", NOW_MS),
        "yes": ConfigEntry(True, "boolean", NOW_MS),
        "text": ConfigEntry("", "string", NOW_MS),
        "tree": ConfigEntry({"a": [1, None, {"b": "ü"}]}, "json", NOW_MS),
        "": ConfigEntry(None, "json", NOW_MS),
    },
    tags=("hall 7", "", "ölig"),
)


@pytest.fixture(params=ADAPTERS)
def records(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Records:
    return open_records(request.param, tmp_path, tables)


def test_device_comes_back_with_every_field(records: Records) -> None:
    added = records.devices.add(EVERYTHING, key("täglich"), now_ms=NOW_MS)
    assert added == Device.added(EVERYTHING, device_id=added.id, now_ms=NOW_MS)
    for seen in (records, records.again()):
        assert seen.devices.get(added.ref) == added
        assert seen.devices.get(added.ref) == added
        assert seen.devices.find("täglich", EVERYTHING.name) == added
        assert seen.devices.page("täglich", DeviceFilter()) == [added]
    assert added.version == 1


def test_device_gets_its_first_key(records: Records) -> None:
    first = key()
    added = records.devices.add(draft(), first, now_ms=NOW_MS)
    assert records.credentials.get(first.id) == replace(first, device_id=added.id)


def test_add_with_taken_name_conflicts_and_keeps_the_first(records: Records) -> None:
    first, second = draft("pump"), key()
    added = records.devices.add(first, key(), now_ms=NOW_MS)
    with pytest.raises(Conflict) as refused:
        records.devices.add(replace(first, location="elsewhere"), second, now_ms=NOW_MS + 1)
    assert (refused.value.code, refused.value.field) == ("name_taken", "name")
    assert records.devices.find("default", "pump") == added
    assert records.credentials.get(second.id) is None


def test_add_with_taken_key_id_conflicts_and_adds_no_device(records: Records) -> None:
    first = key()
    records.devices.add(draft(), first, now_ms=NOW_MS)
    with pytest.raises(Conflict) as refused:
        records.devices.add(draft("second"), first, now_ms=NOW_MS)
    assert refused.value.code == "id_taken"
    assert records.devices.find("default", "second") is None


def test_name_is_free_in_another_tenant_and_in_another_case(records: Records) -> None:
    assert len({records.add("pump").id, records.add("pump", "other").id, records.add("Pump").id}) == 3


def test_id_is_never_given_again(records: Records) -> None:
    seen = [records.add().id]
    for _ in range(3):
        assert records.devices.remove(DeviceRef("default", seen[-1]), now_ms=NOW_MS)
        records.devices.forget([DeviceRef("default", seen[-1])])
        seen.append(records.again().add().id)
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("strange", [0, -1, 10**6, MAX_INT64, MAX_INT64 + 1, MIN_INT64 - 1, 10**30])
def test_absent_id_is_none(records: Records, strange: int) -> None:
    assert records.devices.get(DeviceRef("default", strange)) is None
    assert records.devices.existing([DeviceRef("default", strange)]) == set()
    assert records.devices.page("default", DeviceFilter(), after_id=max(strange, 0)) == []


def test_foreign_tenant_sees_nothing(records: Records) -> None:
    own = records.add("pump")
    foreign = DeviceRef("other", own.id)
    records.devices.get(own.ref)
    assert records.devices.get(foreign) is None
    assert records.devices.find("other", "pump") is None
    assert records.devices.existing([own.ref, foreign]) == {own.ref}
    assert records.devices.remove(foreign, now_ms=NOW_MS) is False
    with pytest.raises(NotFound):
        records.devices.update(replace(own, tenant="other"), now_ms=NOW_MS)
    assert records.devices.page("other", DeviceFilter(ids=frozenset({own.id}))) == []
    assert records.devices.count("other", DeviceFilter()) == 0
    assert records.devices.stats("other", now_ms=NOW_MS) == DeviceStats({}, {}, keys=0)
    assert records.devices.get(own.ref) == own


def test_update_writes_every_field_and_counts_the_version(records: Records) -> None:
    added = records.add()
    wanted = replace(Device.added(EVERYTHING, device_id=added.id, now_ms=NOW_MS), tenant="default")
    updated = records.devices.update(wanted, now_ms=NOW_MS + 5)
    assert updated == replace(wanted, version=2, updated_ms=NOW_MS + 5)
    assert records.devices.get(added.ref) == updated
    assert records.devices.find("default", wanted.name) == updated
    assert records.devices.find("default", added.name) is None


def test_update_of_a_stale_version_conflicts(records: Records) -> None:
    added = records.add()
    updated = records.devices.update(replace(added, location="roof"), now_ms=NOW_MS)
    with pytest.raises(Conflict) as refused:
        records.devices.update(replace(added, location="cellar"), now_ms=NOW_MS)
    assert refused.value.code == "stale_version"
    assert records.devices.get(added.ref) == updated


def test_update_to_a_taken_name_conflicts(records: Records) -> None:
    records.add("pump")
    fan = records.add("fan")
    with pytest.raises(Conflict) as refused:
        records.devices.update(replace(fan, name="pump"), now_ms=NOW_MS)
    assert refused.value.code == "name_taken"
    assert records.devices.get(fan.ref) == fan


def test_update_frees_the_old_name(records: Records) -> None:
    pump = records.add("pump")
    records.devices.update(replace(pump, name="fan"), now_ms=NOW_MS)
    assert records.add("pump").id != pump.id


def test_update_of_a_removed_device_is_not_found(records: Records) -> None:
    added = records.add()
    records.devices.remove(added.ref, now_ms=NOW_MS)
    with pytest.raises(NotFound):
        records.devices.update(added, now_ms=NOW_MS)


def test_removed_device_is_gone_with_its_keys(records: Records) -> None:
    first, other = key(), records.add()
    added = records.devices.add(draft("pump"), first, now_ms=NOW_MS)
    second = key(device_id=added.id)
    records.credentials.add(second, now_ms=NOW_MS)
    assert records.credentials.get(first.id) is not None
    assert records.devices.remove(added.ref, now_ms=NOW_MS) is True
    for seen in (records, records.again()):
        assert seen.devices.get(added.ref) is None
        assert seen.devices.find("default", "pump") is None
        assert seen.credentials.get(first.id) is None
        assert seen.credentials.of_device(added.ref) == []
        assert seen.devices.page("default", DeviceFilter()) == [other]
        assert seen.devices.stats("default", now_ms=NOW_MS).keys == 1
    assert records.devices.remove(added.ref, now_ms=NOW_MS) is False
    assert records.add("pump").id > added.id


def test_removed_names_what_is_to_be_purged_until_it_is_forgotten(records: Records) -> None:
    late, early, foreign = records.add(), records.add(), records.add(tenant="other")
    for device, at_ms in ((late, 30), (early, 10), (foreign, 20)):
        records.devices.remove(device.ref, now_ms=at_ms)
    assert records.devices.removed(before_ms=31) == [early.ref, foreign.ref, late.ref]
    assert records.devices.removed(before_ms=30) == [early.ref, foreign.ref]
    assert records.devices.removed(before_ms=31, limit=1) == [early.ref]
    records.devices.forget([early.ref, DeviceRef("default", foreign.id)])
    assert records.again().devices.removed(before_ms=31) == [foreign.ref, late.ref]


def test_repository_keeps_what_it_was_given_not_what_became_of_it(records: Records) -> None:
    configuration = {"unit": ConfigEntry("C", "string", NOW_MS)}
    added = records.devices.add(replace(draft(), configuration=configuration), key(), now_ms=NOW_MS)
    configuration["unit"] = ConfigEntry("F", "string", NOW_MS)
    stored = records.devices.get(added.ref)
    assert stored is not None
    assert stored.configuration["unit"].value == "C"


def test_check_makes_a_round_trip(records: Records) -> None:
    records.devices.check()


def test_refusals_are_published_errors_without_a_digest(records: Records) -> None:
    first = key()
    records.devices.add(draft("pump"), first, now_ms=NOW_MS)
    with pytest.raises(AppError) as refused:
        records.devices.add(draft("fan"), first, now_ms=NOW_MS)
    assert first.digest not in refused.value.message
