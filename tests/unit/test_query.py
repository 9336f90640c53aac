"""Telemetry read back: pages, names, functions, zones."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import query
from chalicelib.aggregates import Fill, Function, Window
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.model import DEFAULT_TENANT, DeviceRef, Reading
from chalicelib.ports import ReadingStore
from tests.builders import memory_services

DEVICE = DeviceRef(DEFAULT_TENANT, 1)


def a_store(*times_ms: int) -> ReadingStore:
    store = memory_services().readings
    store.write([Reading(DEVICE, at_ms, {"t": at_ms}) for at_ms in times_ms])
    return store


def pages(store: ReadingStore, limit: int, *, newest_first: bool) -> Iterator[int]:
    cursor: str | None = None
    while True:
        page = query.history(
            DEVICE,
            start_ms=0,
            end_ms=100,
            limit=limit,
            newest_first=newest_first,
            measurements=None,
            cursor=cursor,
            readings=store,
        )
        assert len(page.readings) <= limit
        yield from (reading.timestamp_ms for reading in page.readings)
        cursor = page.next_cursor
        if cursor is None:
            return


@given(st.sets(st.integers(-50, 150), max_size=40), st.integers(1, 12), st.booleans())
def test_pages_give_every_reading_of_the_range_once_and_in_order(times: set[int], limit: int, newest: bool) -> None:
    store = a_store(*times)
    wanted = sorted((at for at in times if 0 <= at < 100), reverse=newest)
    assert list(pages(store, limit, newest_first=newest)) == wanted


def test_a_page_that_is_just_full_is_the_last() -> None:
    store = a_store(1, 2, 3)
    page = query.history(
        DEVICE, start_ms=0, end_ms=9, limit=3, newest_first=True, measurements=None, cursor=None, readings=store
    )
    assert page.next_cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "d", "a5", "d5 ", " d5", "d1_0", "d٣", "d" + "9" * 16, "x5", "d--5", "d5\n", "D5", "d1e2"]
)
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        query.history(
            DEVICE,
            start_ms=0,
            end_ms=9,
            limit=3,
            newest_first=True,
            measurements=None,
            cursor=cursor,
            readings=a_store(),
        )
    assert refusal.value.field == "cursor"


def test_a_cursor_never_leaves_the_range() -> None:
    store = a_store(1, 5, 9)
    for cursor, found in (("d1000", [5]), ("d-1000", []), ("a-1000", [5]), ("a99", [])):
        page = query.history(
            DEVICE,
            start_ms=2,
            end_ms=8,
            limit=9,
            newest_first=cursor[0] == "d",
            measurements=None,
            cursor=cursor,
            readings=store,
        )
        assert [reading.timestamp_ms for reading in page.readings] == found


def test_names_come_out_of_a_text_or_a_list_each_once() -> None:
    assert query.field_names("a, b ,,a", field="f") == ("a", "b")
    assert query.field_names(["a,b", "", "c", "c"], field="f") == ("a,b", "c")
    for nothing in (None, "", " , ", ()):
        assert query.field_names(nothing, field="f") is None
    for too_much in ("x" * 65, ["x" * 65], ",".join(map(str, range(257)))):
        with pytest.raises(InvalidInput) as refusal:
            query.field_names(too_much, field="fields")
        assert (refusal.value.field, refusal.value.limit) == ("fields", "256")


def test_functions_keep_the_callers_names_and_order() -> None:
    assert query.functions("MAX, mean,avg") == {"max": Function.MAX, "mean": Function.AVG, "avg": Function.AVG}
    for unknown in ("", "avg,", "average", "p100"):
        with pytest.raises(InvalidInput, match=r"avg.*p99") as refusal:
            query.functions(unknown)
        assert refusal.value.field == "aggregation"


def test_a_time_zone_is_one_of_iana() -> None:
    assert query.timezone("Europe/Berlin", field="timezone") == "Europe/Berlin"
    for name in ("", "Mars", "../UTC", "/etc/passwd", "Europe", "UTC\0", "é"):
        with pytest.raises(InvalidInput) as refusal:
            query.timezone(name, field="timezone")
        assert refusal.value.field == "timezone"


def test_a_range_may_be_empty_but_not_backwards() -> None:
    query.require_order(5, 5, start="from", end="to")
    with pytest.raises(InvalidInput, match="from must not be after to") as refusal:
        query.require_order(6, 5, start="from", end="to")
    assert refusal.value.field == "from"


def test_an_aggregation_asks_each_function_once() -> None:
    asked = query.Aggregation(query.functions("mean,avg,max"), Window(width_ms=10), ("t",), Fill.NONE, "UTC")
    rows = query.aggregate(DEVICE, asked, start_ms=0, end_ms=20, readings=a_store(1, 3, 11))
    assert [(row.start_ms, row.values["t"]) for row in rows] == [
        (0, {Function.AVG: 2.0, Function.MAX: 3}),
        (10, {Function.AVG: 11.0, Function.MAX: 11}),
    ]
    assert query.aggregate(DEVICE, asked, start_ms=20, end_ms=20, readings=a_store(1)) == []


def test_a_device_without_telemetry_is_not_found() -> None:
    query.not_empty(True)
    with pytest.raises(NotFound) as refusal:
        query.not_empty(False)
    assert refusal.value.code == "no_telemetry"
