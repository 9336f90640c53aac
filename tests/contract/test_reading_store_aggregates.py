"""What every reading store answers to aggregations and surveys."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.aggregates import AggregateQuery, AggregateRow, Fill, Function, MeasurementStats, Window
from chalicelib.errors import InvalidInput
from chalicelib.model import MAX_INT64, MIN_INT64, DeviceRef, Reading, Value
from chalicelib.ports import ReadingStore

DEVICE = DeviceRef("default", 7)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
T0 = 1_700_000_000_000 // DAY_MS * DAY_MS
F = Function


def at(timestamp_ms: int, device: DeviceRef = DEVICE, **values: Value) -> Reading:
    """A reading."""
    return Reading(device, timestamp_ms, values)


def ms(text: str) -> int:
    """Epoch ms of an ISO time."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def ask(
    store: ReadingStore,
    *functions: Function,
    start_ms: int = T0,
    end_ms: int = T0 + DAY_MS,
    window: Window | None = None,
    measurements: tuple[str, ...] | None = None,
    fill: Fill = Fill.NONE,
    timezone: str = "UTC",
) -> list[AggregateRow]:
    """Hours of one day unless told otherwise."""
    window = window or Window(HOUR_MS)
    return store.aggregate(DEVICE, AggregateQuery(start_ms, end_ms, window, functions, measurements, fill, timezone))


def test_every_function_of_a_window(reading_store: ReadingStore) -> None:
    values = [5, 1, 4, 2, 10]
    reading_store.write([at(T0 + n, m=value) for n, value in enumerate(values)])
    (row,) = ask(reading_store, *F)
    assert row.start_ms == T0
    assert list(row.values["m"]) == list(F)
    assert row.values["m"] == {
        F.AVG: pytest.approx(4.4),
        F.SUM: 22,
        F.COUNT: 5,
        F.MIN: 1,
        F.MAX: 10,
        F.FIRST: 5,
        F.LAST: 10,
        F.MEDIAN: 4.0,
        F.STDDEV: pytest.approx(math.sqrt(9.84)),
        F.P50: 4.0,
        F.P90: pytest.approx(8.0),
        F.P95: pytest.approx(9.0),
        F.P99: pytest.approx(9.8),
    }


@pytest.mark.parametrize("function", list(F))
def test_each_function_alone(reading_store: ReadingStore, function: Function) -> None:
    reading_store.write([at(T0 + n, m=n) for n in range(3)])
    (row,) = ask(reading_store, function)
    assert list(row.values["m"]) == [function]


@pytest.mark.parametrize("function", [F.SUM, F.MIN, F.MAX, F.FIRST, F.LAST, F.COUNT])
def test_integers_stay_integers_and_floats_floats(reading_store: ReadingStore, function: Function) -> None:
    reading_store.write([at(T0, i=2**53 + 1, f=2.0)])
    (row,) = ask(reading_store, function)
    assert type(row.values["i"][function]) is int
    assert type(row.values["f"][function]) is (int if function is F.COUNT else float)


def test_a_sum_beyond_64_bits_is_exact_for_integers(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0 + n, m=MAX_INT64, low=MIN_INT64, mixed=MAX_INT64) for n in range(3)])
    reading_store.write([at(T0 + 9, mixed=0.5)])
    (row,) = ask(reading_store, F.SUM, F.AVG, F.MIN)
    assert row.values["m"] == {F.SUM: 3 * MAX_INT64, F.AVG: pytest.approx(2.0**63), F.MIN: MAX_INT64}
    assert row.values["low"][F.SUM] == 3 * MIN_INT64
    assert row.values["mixed"][F.SUM] == pytest.approx(3 * 2.0**63)


def test_results_beyond_a_float_are_finite(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0 + n, m=1.7e308 if n % 3 else -1.7e308) for n in range(9)])
    (row,) = ask(reading_store, *F)
    assert all(value is not None and math.isfinite(value) for value in row.values["m"].values())


def test_text_and_booleans_do_not_take_part(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0, m=1, t="5"), at(T0 + 1, m="100", b=True), at(T0 + 2, m=True), at(T0 + 3, m=2.0)])
    (row,) = ask(reading_store, F.COUNT, F.SUM, F.FIRST, F.LAST, F.MAX)
    assert dict(row.values) == {"m": {F.COUNT: 2, F.SUM: 3.0, F.FIRST: 1, F.LAST: 2.0, F.MAX: 2.0}}


def test_windows_begin_at_whole_multiples_and_the_range_cuts_their_content(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0 + minute * 60_000, m=minute) for minute in range(180)])
    rows = ask(reading_store, F.FIRST, F.LAST, F.COUNT, start_ms=T0 + 30 * 60_000, end_ms=T0 + 130 * 60_000)
    assert [(row.start_ms - T0) // HOUR_MS for row in rows] == [0, 1, 2]
    assert [tuple(row.values["m"].values()) for row in rows] == [(30, 59, 30), (60, 119, 60), (120, 129, 10)]


def test_empty_windows_are_absent_without_fill(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0, a=1), at(T0 + 5 * HOUR_MS, b=2)])
    rows = ask(reading_store, F.AVG)
    assert [((row.start_ms - T0) // HOUR_MS, list(row.values)) for row in rows] == [(0, ["a"]), (5, ["b"])]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (Fill.NULL, [None, 1.0, None, None, 4.0, None]),
        (Fill.PREVIOUS, [None, 1.0, 1.0, 1.0, 4.0, 4.0]),
        (Fill.LINEAR, [None, 1.0, 2.0, 3.0, 4.0, None]),
    ],
)
def test_fills(reading_store: ReadingStore, fill: Fill, expected: list[float | None]) -> None:
    reading_store.write([at(T0 + HOUR_MS, m=1.0), at(T0 + 4 * HOUR_MS, m=4.0), at(T0 - 1, m=9.0)])
    rows = ask(reading_store, F.AVG, F.COUNT, fill=fill, end_ms=T0 + 6 * HOUR_MS)
    assert [row.start_ms for row in rows] == [T0 + n * HOUR_MS for n in range(6)]
    assert [row.values["m"][F.AVG] for row in rows] == pytest.approx(expected)
    assert [row.values["m"][F.COUNT] for row in rows] == [0, 1, 0, 0, 1, 0]


def test_only_named_measurements_take_part(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0, a=1, b=2, c=3)])
    (row,) = ask(reading_store, F.MAX, measurements=("c", "a", "absent"))
    assert dict(row.values) == {"c": {F.MAX: 3}, "a": {F.MAX: 1}}
    rows = ask(reading_store, F.MAX, measurements=("absent",), fill=Fill.NULL, end_ms=T0 + 2 * HOUR_MS)
    assert [dict(row.values) for row in rows] == [{"absent": {F.MAX: None}}] * 2


def test_an_unknown_device_has_no_rows(reading_store: ReadingStore) -> None:
    assert ask(reading_store, F.AVG) == []
    assert ask(reading_store, F.AVG, fill=Fill.NULL) == []
    assert ask(reading_store, F.AVG, start_ms=T0, end_ms=T0) == []


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-06-01", 24), ("2025-10-26", 25)])
def test_days_in_berlin_have_23_to_25_hours(reading_store: ReadingStore, day: str, hours: int) -> None:
    noon_ms = ms(f"{day}T12:00+02:00")
    quarter_ms = HOUR_MS // 4
    reading_store.write([at(noon_ms + n * quarter_ms, m=n) for n in range(-200, 200)])
    days = ask(
        reading_store,
        F.COUNT,
        start_ms=noon_ms - 50 * HOUR_MS,
        end_ms=noon_ms + 50 * HOUR_MS,
        window=Window(DAY_MS),
        timezone="Europe/Berlin",
    )
    berlin = ZoneInfo("Europe/Berlin")
    locals_ = [datetime.fromtimestamp(row.start_ms / 1000, berlin) for row in days]
    assert {(local.hour, local.minute) for local in locals_} == {(0, 0)}
    counts = {local.date().isoformat(): row.values["m"][F.COUNT] for local, row in zip(locals_, days, strict=True)}
    assert counts[day] == 4 * hours
    assert sum(count or 0 for count in counts.values()) == 400


def test_hours_in_a_zone_with_a_half_hour_offset_begin_on_its_hour(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0 + n * 600_000, m=n) for n in range(12)])
    rows = ask(reading_store, F.COUNT, timezone="Asia/Kolkata")
    assert [(row.start_ms - T0) / HOUR_MS for row in rows] == [-0.5, 0.5, 1.5]
    assert [row.values["m"][F.COUNT] for row in rows] == [3, 6, 3]


def test_months_and_weeks_follow_the_calendar(reading_store: ReadingStore) -> None:
    days = range(ms("2024-01-15T00:00Z"), ms("2024-04-02T00:00Z"), DAY_MS)
    reading_store.write([at(day_ms, m=1) for day_ms in days])
    months = ask(reading_store, F.SUM, start_ms=days[0], end_ms=days[-1] + 1, window=Window(months=1))
    assert [datetime.fromtimestamp(row.start_ms / 1000, UTC).date().isoformat() for row in months] == [
        "2024-01-01",
        "2024-02-01",
        "2024-03-01",
        "2024-04-01",
    ]
    assert [row.values["m"][F.SUM] for row in months] == [17, 29, 31, 1]
    weeks = ask(reading_store, F.SUM, start_ms=days[0], end_ms=days[-1] + 1, window=Window(7 * DAY_MS))
    assert {datetime.fromtimestamp(row.start_ms / 1000, UTC).weekday() for row in weeks} == {0}
    assert [row.values["m"][F.SUM] for row in weeks][:-1] == [7] * 11


@pytest.mark.parametrize("fill", [Fill.NULL, Fill.NONE])
def test_more_than_ten_thousand_windows_are_refused(reading_store: ReadingStore, fill: Fill) -> None:
    reading_store.write([at(T0 + n, m=n) for n in range(10_001)])
    assert len(ask(reading_store, F.MAX, window=Window(1), end_ms=T0 + 10_000, fill=fill)) == 10_000
    with pytest.raises(InvalidInput) as caught:
        ask(reading_store, F.MAX, window=Window(1), end_ms=T0 + 10_001, fill=fill)
    assert caught.value.field == "window"


def test_windows_and_zones_that_make_no_sense_are_refused(reading_store: ReadingStore) -> None:
    with pytest.raises(InvalidInput):
        ask(reading_store, F.MAX, window=Window(months=-1))
    with pytest.raises(InvalidInput):
        ask(reading_store, F.MAX, timezone="Nowhere")


def test_aggregates_follow_overwrites_and_deletes(reading_store: ReadingStore) -> None:
    reading_store.write([at(T0, m=1), at(T0 + 1, m=2), at(T0 + 2, m=3)])
    reading_store.write([at(T0 + 1, m=20)])
    reading_store.delete(DEVICE, start_ms=T0, end_ms=T0 + 1)
    (row,) = ask(reading_store, F.SUM, F.COUNT)
    assert row.values["m"] == {F.SUM: 23, F.COUNT: 2}


VALUES = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6), st.booleans(), st.text(max_size=3))
VALUES_BY_NAME = st.fixed_dictionaries({"a": VALUES}, optional={"b": VALUES})
WHOLE, BROKEN = st.integers(-1000, 1000), st.floats(-1e6, 1e6).filter(lambda value: not value.is_integer())
"""Measurements that keep to one type are what a store may aggregate by means of its own."""
STEADY = st.fixed_dictionaries(
    {"a": WHOLE}, optional={"b": BROKEN, "c": WHOLE | BROKEN, "d": st.floats(-9, 9), "e": st.integers(2**60, MAX_INT64)}
)
TIMES = st.integers(T0, T0 + DAY_MS)
READINGS = st.lists(
    st.builds(Reading, st.just(DEVICE), TIMES, VALUES_BY_NAME) | st.builds(Reading, st.just(DEVICE), TIMES, STEADY),
    max_size=40,
)
STEADY_READINGS = st.lists(st.builds(Reading, st.just(DEVICE), TIMES, STEADY), max_size=40)
PLAIN = (F.AVG, F.SUM, F.COUNT, F.MIN, F.MAX, F.FIRST, F.LAST, F.STDDEV)
SAME_TYPE = {F.SUM, F.FIRST, F.LAST}
"""Of results whose type the values decide alone; min and max may be either of two equal numbers."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    READINGS | STEADY_READINGS,
    st.sampled_from([tuple(F), PLAIN, (F.AVG, F.COUNT), (F.SUM,)]),
    st.sampled_from([Window(HOUR_MS), Window(7 * 60_000), Window(DAY_MS), Window(months=1)]),
    st.sampled_from([Fill.NONE, Fill.NULL, Fill.PREVIOUS, Fill.LINEAR]),
    st.sampled_from(["UTC", "America/New_York"]),
)
def test_any_readings_are_aggregated_as_the_reference_does(
    reading_store: ReadingStore,
    readings: list[Reading],
    functions: tuple[Function, ...],
    window: Window,
    fill: Fill,
    timezone: str,
) -> None:
    reading_store.purge(DEVICE)
    reading_store.write(readings)
    reference = MemoryReadings()
    reference.write(readings)
    found, expected = (
        cells(ask(store, *functions, window=window, fill=fill, timezone=timezone))
        for store in (reading_store, reference)
    )
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)
    if fill is Fill.NONE:
        assert [type(found[key]) for key in found if key[2] in SAME_TYPE] == [
            type(expected[key]) for key in found if key[2] in SAME_TYPE
        ]


def cells(rows: list[AggregateRow]) -> dict[tuple[int, str, Function], float | int]:
    """Every value by its place; infinity stands for null, which `approx` does not take."""
    return {
        (row.start_ms, name, function): math.inf if value is None else value
        for row in rows
        for name, values in row.values.items()
        for function, value in values.items()
    }


def test_survey_counts_readings_and_describes_measurements(reading_store: ReadingStore) -> None:
    devices = [DeviceRef("default", n) for n in range(1, 5)]
    for number, device in enumerate(devices[:3]):
        reading_store.write([at(T0 + n, device, m=100 * number + n, t="text", b=True) for n in range(100)])
    reading_store.write([at(T0 + 500, devices[0], only=1.5), at(T0 + 9_999, devices[0], m=1e9)])
    reading_store.write([at(T0, DEVICE, m=1e9), at(T0, DeviceRef("other", 1), m=1e9)])
    survey = reading_store.survey(devices, start_ms=T0, end_ms=T0 + 1000)
    assert survey.readings == dict(zip(devices, [101, 100, 100, 0], strict=True))
    assert survey.measurements == {
        "m": MeasurementStats(
            count=300,
            avg=pytest.approx(149.5),  # type: ignore[arg-type]
            min=0.0,
            max=299.0,
            stddev=pytest.approx(math.sqrt((300**2 - 1) / 12)),  # type: ignore[arg-type]
            p95=pytest.approx(284.05),  # type: ignore[arg-type]
        ),
        "only": MeasurementStats(count=1, avg=1.5, min=1.5, max=1.5, stddev=0.0, p95=1.5),
    }


def test_survey_of_nothing_is_empty(reading_store: ReadingStore) -> None:
    assert reading_store.survey([], start_ms=0, end_ms=T0) == ({}, {})
    assert reading_store.survey([DEVICE], start_ms=0, end_ms=T0) == ({DEVICE: 0}, {})
