"""What only a real IoTDB can show: the poison table, settings, accounts, wide devices, what is on disk."""

from struct import pack

import pytest

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_connection import Access
from chalicelib.adapters.iotdb_frames import rows
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.adapters.iotdb_status import Meaning, Refusal
from chalicelib.errors import Unavailable
from chalicelib.model import MIN_INT64, DeviceRef, Reading, Value
from infra.iotdb.server import Server
from tests.contract import iotdb_server

T0 = 1_700_000_000_000
DEVICE = DeviceRef("default", 7)
PATH = "root.iotflow.devices.device_7"
ONE = pack(">bd", 4, 1.0)
TEXT = pack(">bi1s", 11, 1, b"x")


@pytest.fixture(autouse=True)
def nothing_stored(iotdb: Server) -> None:
    iotdb_server.empty(iotdb)


def test_one_poisoned_reading_of_many_devices_is_rejected_in_the_servers_words(iotdb: Server) -> None:
    readings = [Reading(DeviceRef("default", n), T0, {"m": n}) for n in range(1, 101)]
    readings[41] = Reading(DeviceRef("default", 42), 1_800_000_000_000_000, {"m": 42})
    with iotdb_server.store_of(iotdb) as store:
        (rejected,) = store.write(readings)
        counts = [store.count(DeviceRef("default", n)) for n in range(1, 101)]
    assert rejected.position == 41
    assert "IoTDB says 701: Current system timestamp precision is ms" in rejected.reason
    assert counts == [1] * 41 + [0] + [1] * 58


def test_type_that_another_process_has_taken_is_looked_up_and_gets_a_side_series(iotdb: Server) -> None:
    with iotdb_server.store_of(iotdb) as one, iotdb_server.store_of(iotdb) as two:
        one.write([Reading(DEVICE, T0, {"first": 1})])
        two.write([Reading(DEVICE, T0, {"m": "text"})])
        assert one.write([Reading(DEVICE, T0 + 1, {"m": 1.5})]) == []
        assert two.latest(DEVICE) == {"first": (T0, 1), "m": (T0 + 1, 1.5)}


POISON = [
    pytest.param([PATH], [1_800_000_000_000_000], [["m"]], [ONE], 701, Meaning.NEVER, id="time_in_microseconds"),
    pytest.param([PATH], [1], [["a-b"]], [ONE], 509, Meaning.NEVER, id="name_not_legal"),
    pytest.param([PATH], [1], [["m", "m"]], [ONE + ONE], 701, Meaning.NEVER, id="name_twice"),
    pytest.param([PATH, PATH], [1, 2], [["m"], ["m"]], [ONE, TEXT], 507, Meaning.NEVER, id="other_type"),
    pytest.param([f"{PATH}.m", PATH], [1, 1], [["x"], ["m"]], [ONE, ONE], 507, Meaning.NEVER, id="device_in_series"),
]


@pytest.mark.parametrize(("devices", "times", "names", "values", "code", "meaning"), POISON)
def test_poison_of_the_reference_is_refused_with_the_class_that_the_writer_relies_on(
    iotdb: Server,
    devices: list[str],
    times: list[int],
    names: list[list[str]],
    values: list[bytes],
    code: int,
    meaning: Meaning,
) -> None:
    with iotdb_server.administrator(iotdb) as client:
        client.run(lambda one, timeout_s: one.insert(rows([PATH], [1], [["m"]], [ONE]), timeout_s=timeout_s))
        with pytest.raises(Refusal) as caught:
            client.run(lambda one, timeout_s: one.insert(rows(devices, times, names, values), timeout_s=timeout_s))
    assert (caught.value.code, caught.value.meaning) == (code, meaning)


def test_readings_older_than_the_retention_are_dropped_and_their_neighbours_stored(iotdb: Server) -> None:
    with iotdb_server.administrator(iotdb) as client, iotdb_server.store_of(iotdb) as store:
        store.write([Reading(DEVICE, 4_102_444_800_000, {"m": 1})])
        client.execute(f"SET TTL TO {PATH} 3600000")
        try:
            (expired,) = store.write([Reading(DEVICE, 1, {"m": 0}), Reading(DEVICE, 4_102_444_800_001, {"m": 2})])
            assert (expired.position, expired.expired) == (0, True)
            assert store.count(DEVICE) == 2
        finally:
            client.execute(f"UNSET TTL FROM {PATH}")


def test_values_are_the_same_after_they_went_to_disk(iotdb: Server) -> None:
    values: list[Value] = [1, 1.0, -0.0, MIN_INT64, 2**53 + 1, True, "text", 0.1, 5e-324, 1e300, ""]
    with iotdb_server.administrator(iotdb) as client, iotdb_server.store_of(iotdb) as store:
        store.write([Reading(DEVICE, T0 + n, {"m": value}) for n, value in enumerate(values)])
        client.execute("FLUSH")
        found = [reading.values["m"] for reading in store.read(DEVICE, start_ms=0, end_ms=T0 * 2, limit=99)]
    assert list(map(repr, found)) == list(map(repr, values))


def test_device_too_wide_for_one_query_is_read_in_groups_of_columns(iotdb: Server) -> None:
    values: dict[str, Value] = {f"m{n:04}": n for n in range(1_000)}
    with iotdb_server.administrator(iotdb) as client, iotdb_server.store_of(iotdb) as store:
        store.write([Reading(DEVICE, T0 + n, values) for n in range(3)])
        with pytest.raises(Refusal, match="719"):
            client.rows(f"SELECT * FROM {PATH}")
        found = store.read(DEVICE, start_ms=T0, end_ms=T0 + 9, limit=2, newest_first=True)
        assert found == [Reading(DEVICE, T0 + 2, values), Reading(DEVICE, T0 + 1, values)]
        assert store.count(DEVICE) == 3


def test_no_default_password_is_left_and_programs_have_accounts_of_their_own(iotdb: Server) -> None:
    node = iotdb_server.node_of(iotdb)
    store = IotdbReadings([node], Access("root", "root"))
    with pytest.raises(Unavailable, match="refuses the account"):
        store.check()
    store.close()
    with iotdb_server.store_of(iotdb) as writer:
        assert writer.write([Reading(DEVICE, T0, {"m": 1})]) == []
    reader = Client([node], iotdb.accounts().access("reader"))
    assert reader.rows(f"SELECT m FROM {PATH}").blocks[0].columns == [[1.0]]
    with pytest.raises(Unavailable):
        reader.execute(f"DELETE FROM {PATH}.m")
    reader.close()
    assert (iotdb.home / "accounts.json").stat().st_mode & 0o077 == 0
