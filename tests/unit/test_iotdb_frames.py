"""The frames and rows that are made by hand are those of the generated stubs, and of placing value by value."""

from collections.abc import Mapping
from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from iotdb.thrift.rpc.IClientRPCService import Client as Stub
from iotdb.thrift.rpc.ttypes import TSInsertRecordsReq
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TTransport import TFramedTransport, TMemoryBuffer

from chalicelib.adapters import iotdb_columns as columns
from chalicelib.adapters import iotdb_frames as frames
from chalicelib.adapters.iotdb_blocks import BOOLEAN, DOUBLE, INT32, INT64, STRING
from chalicelib.adapters.iotdb_types import Slots
from chalicelib.model import MAX_INT64, MIN_INT64, Value

TIMES = st.integers(MIN_INT64, MAX_INT64)
NAMES = st.lists(st.text(max_size=8), min_size=1, max_size=4)
ROWS = st.lists(st.tuples(st.text(max_size=30), TIMES, NAMES, st.binary(max_size=40)), max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5).map(float)
VALUES = st.one_of(FLOATS, st.integers(MIN_INT64, MAX_INT64), st.booleans(), st.text(max_size=5))


@given(ROWS, TIMES)
def test_frame_is_byte_for_byte_what_the_stubs_write(
    rows: list[tuple[str, int, list[str], bytes]], session: int
) -> None:
    devices = [device for device, _, _, _ in rows]
    times_ms = [timestamp_ms for _, timestamp_ms, _, _ in rows]
    names = [row_names for _, _, row_names, _ in rows]
    values = [packed for _, _, _, packed in rows]
    written = TMemoryBuffer()
    stub = Stub(TBinaryProtocolAccelerated(TFramedTransport(written)))
    stub.send_insertRecords(
        TSInsertRecordsReq(
            sessionId=session,
            prefixPaths=devices,
            measurementsList=names,
            valuesList=values,
            timestamps=times_ms,
            isAligned=True,
        )
    )
    made = frames.insert_records(frames.rows(devices, times_ms, names, values), session=session, sequence=0)
    assert made == written.getvalue()


SERIES = st.sampled_from([DOUBLE, BOOLEAN, STRING, INT32, INT64])


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, int, bool]], list[dict[str, Value]]]:
    """Measurements with the type of their series and whether it has kinds, and rows, most of which fit."""
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True))
    series = [(name, draw(SERIES), draw(st.booleans())) for name in names]
    fitting: dict[int, st.SearchStrategy[Value]] = {
        DOUBLE: FLOATS | st.integers(-(2**53), 2**53),
        BOOLEAN: st.booleans(),
        STRING: st.text(max_size=5),
        INT32: st.integers(-(2**31), 2**31 - 1),
        INT64: st.integers(MIN_INT64, MAX_INT64),
    }
    choices = st.tuples(*(fitting[number] if draw(st.booleans()) else VALUES for _, number, _ in series))
    row = choices.map(lambda values: dict(zip(names, values, strict=True)))
    return series, draw(st.lists(row, min_size=1, max_size=12))


def slots_of(series: list[tuple[str, int, bool]]) -> dict[str, Slots]:
    """What is known of the device."""
    return {
        name: Slots(name, {number: name}, f"{name}__kind" if kind else None, number) for name, number, kind in series
    }


def placed(slots: Mapping[str, Slots], row: Mapping[str, Value]) -> tuple[bytes, bytes]:
    """Names and values of a row, value by value."""
    nodes: list[str] = []
    values: list[bytes] = []
    for name, value in row.items():
        slots[name].place(value, nodes, values)
    return frames.names(nodes), frames.values(b"".join(values))


@given(tables())
def test_rows_of_a_table_are_what_placing_value_by_value_makes(
    drawn: tuple[list[tuple[str, int, bool]], list[dict[str, Value]]],
) -> None:
    series, rows = drawn
    shape = columns.shape_of(list(slots_of(series).values()))
    assert shape is not None
    misfits = columns.misfits(shape, columns.table(shape, rows))
    fitting = [row for place, row in enumerate(rows) if place not in misfits]
    if fitting:
        packed = columns.pack(shape, columns.table(shape, fitting))
        assert [(shape.names, values) for values in packed] == [placed(slots_of(series), row) for row in fitting]
    for place in misfits:  # these need another series than there is, or one of kinds
        assert placed(slots_of(series), rows[place])[0] != shape.names


def test_numbers_that_no_store_keeps_are_misfits() -> None:
    shape = columns.shape_of([Slots("m", {DOUBLE: "m"}), Slots("t", {STRING: "t"})])
    assert shape is not None
    rows: list[Mapping[str, Value]] = [
        {"m": value, "t": text} for value, text in ((float("nan"), ""), (0.5, "\ud800"), (float("inf"), ""), (0.5, "é"))
    ]
    assert columns.misfits(shape, columns.table(shape, rows)) == {0, 1, 2}


def test_measurements_with_several_types_or_none_have_no_shape() -> None:
    for slots in (None, Slots("m"), Slots("m", {INT64: "m"}), Slots("m", {DOUBLE: "m", STRING: "m__string"})):
        assert columns.shape_of([Slots("a", {DOUBLE: "a"}), slots]) is None
    assert columns.shape_of([]) is None


def test_devices_of_the_same_kind_share_a_shape() -> None:
    one, other = (columns.shape_of([Slots("a", {DOUBLE: "a"})]) for _ in range(2))
    assert one is other
    assert one is not None
    assert one.names == pack(">bii1s", 11, 1, 1, b"a")
