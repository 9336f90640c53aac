"""Declared types on a real IoTDB: series are made with them, and what was sent still comes back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_layout import series_below
from chalicelib.aggregates import AggregateQuery, Function, Window
from chalicelib.model import MAX_INT64, MIN_INT64, Declared, DeviceRef, MeasurementType, Reading, Value
from infra.iotdb.server import Server
from tests.contract import iotdb_server

T0 = 1_700_000_000_000
DEVICE, OTHER = DeviceRef("default", 7), DeviceRef("default", 8)
PATH = "root.iotflow.devices.device_7"
TYPES = list(MeasurementType)

SAMPLES: dict[MeasurementType, list[Value]] = {
    MeasurementType.INT32: [0, -1, 2**31 - 1, -(2**31)],
    MeasurementType.INT64: [0, 5, 2**53 + 1, MAX_INT64, MIN_INT64],
    MeasurementType.FLOAT: [0.1, 23.4, -0.5, 21, 1e-30],
    MeasurementType.DOUBLE: [0.1, 21, 2**53, 5e-324],
    MeasurementType.BOOLEAN: [True, False],
    MeasurementType.TEXT: ["", "on", "21", "温度"],
}
"""What each type holds without a series beside it."""

STRANGERS: list[Value] = [
    "text",
    True,
    2**40,
    2**53 + 1,
    2**24 + 1,
    0.1,
    0.123456789,
    21.0,
    -0.0,
    3.25e38,
    1e300,
    MIN_INT64,
    7,
]
"""Values of which each type refuses some."""


@pytest.fixture(autouse=True)
def nothing_stored(iotdb: Server) -> None:
    iotdb_server.empty(iotdb)


def series(client: Client) -> dict[str, str]:
    """Node -> type of the device's series, by the server's word."""
    answer = client.rows(f"SHOW TIMESERIES {PATH}.**")
    places = {column.name: column.place for column in answer.columns}
    return {
        path.rpartition(".")[2]: type_name
        for block in answer.blocks
        for path, type_name in zip(block.columns[places["Timeseries"]], block.columns[places["DataType"]], strict=True)
    }


def declaring(kind: MeasurementType) -> Declared:
    return {"m": kind}


@pytest.mark.parametrize("kind", TYPES)
def test_values_that_fit_are_in_a_series_of_the_declared_type_and_nowhere_else(
    iotdb: Server, kind: MeasurementType
) -> None:
    values = SAMPLES[kind]
    with (
        iotdb_server.administrator(iotdb) as client,
        iotdb_server.store_of(iotdb, declared=lambda _: declaring(kind)) as store,
        iotdb_server.store_of(iotdb) as another,
    ):
        assert store.write([Reading(DEVICE, T0 + n, {"m": value}) for n, value in enumerate(values)]) == []
        assert series(client) == {"m": str(kind)}
        found = another.read(DEVICE, start_ms=0, end_ms=2 * T0, limit=99)
        assert [repr(one.values["m"]) for one in found] == list(map(repr, values))
        assert repr(another.latest(DEVICE)) == repr({"m": (T0 + len(values) - 1, values[-1])})


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_values_that_do_not_fit_come_back_as_sent_too(iotdb: Server, kind: MeasurementType, *, first: bool) -> None:
    values = [*STRANGERS, *SAMPLES[kind]] if first else [*SAMPLES[kind], *STRANGERS]
    with (
        iotdb_server.administrator(iotdb) as client,
        iotdb_server.store_of(iotdb, declared=lambda _: declaring(kind)) as store,
    ):
        for n, value in enumerate(values):
            assert store.write([Reading(DEVICE, T0 + n, {"m": value})]) == []
            assert repr(store.latest(DEVICE)["m"]) == repr((T0 + n, value))
        client.execute("FLUSH")
        assert series(client)["m"] == kind
        for _ in range(2):
            found = store.read(DEVICE, start_ms=0, end_ms=2 * T0, limit=99)
            assert [repr(one.values["m"]) for one in found] == list(map(repr, values))
            values = values[::-1]  # each replaced by another, at the same times
            store.write([Reading(DEVICE, T0 + n, {"m": value}) for n, value in enumerate(values)])


def test_declaration_made_later_leaves_the_series_that_are_there(iotdb: Server) -> None:
    declared: dict[DeviceRef, Declared] = {}
    with (
        iotdb_server.administrator(iotdb) as client,
        iotdb_server.store_of(iotdb, declared=lambda device: declared.get(device, {})) as store,
    ):
        store.write([Reading(DEVICE, T0, {"m": 1.5})])
        declared[DEVICE] = {"m": MeasurementType.INT32, "n": MeasurementType.INT32}
        store.write([Reading(DEVICE, T0 + 1, {"m": 7, "n": 8, "o": 9})])
        assert series(client) == {"m": "DOUBLE", "n": "INT32", "o": "DOUBLE"}
        assert store.latest(DEVICE) == {"m": (T0 + 1, 7), "n": (T0 + 1, 8), "o": (T0 + 1, 9)}


def test_type_that_another_process_made_meanwhile_wins_and_no_value_is_changed(iotdb: Server) -> None:
    """The server itself would take INT64 and FLOAT values for a DOUBLE, and round the one and blur the other."""
    types = {"whole": MeasurementType.INT64, "part": MeasurementType.FLOAT, "own": MeasurementType.INT32}
    with (
        iotdb_server.administrator(iotdb) as client,
        iotdb_server.store_of(iotdb) as one,
        iotdb_server.store_of(iotdb, declared=lambda _: types) as two,
    ):
        two.write([Reading(DEVICE, T0, {"first": 1})])
        one.write([Reading(DEVICE, T0, {"whole": 0.5, "part": 0.5, "undeclared": 0.5})])
        values: dict[str, Value] = {"whole": 2**53 + 1, "part": 0.1, "own": 3, "undeclared": 2**53 + 1}
        assert two.write([Reading(DEVICE, T0 + 1, values)]) == []
        (found,) = two.read(DEVICE, start_ms=T0 + 1, end_ms=T0 + 2, limit=1)
        assert found.values == values
        made = series(client)
        assert (made["whole"], made["part"], made["own"]) == ("DOUBLE", "DOUBLE", "INT32")


NAMES = ["time", "root", "a-b", "a.b", "`", "ü", "1", "plain"]


def test_any_name_can_be_declared(iotdb: Server) -> None:
    with (
        iotdb_server.administrator(iotdb) as client,
        iotdb_server.store_of(iotdb, declared=lambda _: dict.fromkeys(NAMES, MeasurementType.INT32)) as store,
    ):
        values: dict[str, Value] = {name: n for n, name in enumerate(NAMES)}
        assert store.write([Reading(DEVICE, T0, values)]) == []
        assert store.latest(DEVICE) == {name: (T0, value) for name, value in values.items()}
        below = series_below(client, PATH)[PATH]
        assert {name for name, slots in below.items() if slots.main == 1} == set(NAMES)


def test_aggregates_of_declared_types_are_those_of_the_values_as_sent(iotdb: Server) -> None:
    values = [0.1, 0.2, 21, 2**40, 0.123456789]
    sums = []
    for kind in (*TYPES, None):
        iotdb_server.empty(iotdb)
        declared: Declared = {} if kind is None else {"m": kind}
        with iotdb_server.store_of(iotdb, declared=lambda _, found=declared: found) as store:  # type: ignore[misc]
            store.write([Reading(DEVICE, T0 + n, {"m": value}) for n, value in enumerate(values)])
            query = AggregateQuery(T0, T0 + 9, Window(3_600_000), (Function.SUM, Function.MEDIAN))
            sums.append(repr(store.aggregate(DEVICE, query)))
    assert len(set(sums)) == 1


VALUES = st.one_of(
    st.sampled_from(STRANGERS),
    st.booleans(),
    st.integers(-(2**33), 2**33),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.decimals(-1000, 1000, places=2).map(float),
    st.text(max_size=3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from(TYPES), st.lists(st.tuples(st.integers(0, 5), VALUES), max_size=12))
def test_any_values_of_a_declared_measurement_are_what_a_dictionary_would_hold(
    iotdb: Server, kind: MeasurementType, writes: list[tuple[int, Value]]
) -> None:
    with iotdb_server.store_of(iotdb, declared=lambda _: declaring(kind)) as store:
        store.purge(OTHER)
        for offset, value in writes:
            assert store.write([Reading(OTHER, T0 + offset, {"m": value})]) == []
        found = store.read(OTHER, start_ms=0, end_ms=2 * T0, limit=99)
        model = {T0 + offset: value for offset, value in writes}
        assert {one.timestamp_ms: repr(one.values["m"]) for one in found} == {ts: repr(v) for ts, v in model.items()}
