"""Instants and durations: every accepted spelling, and that no other is."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.aggregates import Window
from chalicelib.errors import InvalidInput
from chalicelib.times import MAX_MS, MIN_MS, parse_duration_s, parse_instant, parse_window, to_iso, zoneless
from tests.unit.payloads import UNTIMED

NOW_MS = 1_751_553_000_000


def instant(value: object, *, relative: bool = False) -> int:
    return parse_instant(value, field="start_time", now_ms=NOW_MS, relative=relative)


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        ("2025-07-03T14:30:00Z", NOW_MS),
        ("2025-07-03t14:30:00z", NOW_MS),
        ("2025-07-03T14:30:00", NOW_MS),
        ("2025-07-03 14:30", NOW_MS),
        ("2025-07-03T16:30:00+02:00", NOW_MS),
        ("2025-07-03T16:30:00+0200", NOW_MS),
        ("2025-07-03T09:00:00-05:30", NOW_MS),
        ("2025-07-03T16:30:00+02", NOW_MS),
        ("2025-07-03T14:30:00.123Z", NOW_MS + 123),
        ("2025-07-03T14:30:00.123999999Z", NOW_MS + 123),
        ("2025-07-03T14:30:00.5", NOW_MS + 500),
        ("1969-12-31T23:59:59.9999Z", -1),
        (1_751_553_000, NOW_MS),
        (1_751_553_000.123, NOW_MS + 123),
        (1_751_553_000_000, NOW_MS),
        (1_751_553_000_000_999, NOW_MS),
        (1_751_553_000_000_999_999, NOW_MS),
        (1.751553e12, NOW_MS),
        (0, 0),
    ],
)
def test_instant_is_read_in_bodies_and_queries(value: object, expected_ms: int) -> None:
    assert instant(value) == expected_ms
    assert instant(value, relative=True) == expected_ms


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("now", NOW_MS),
        ("-90s", NOW_MS - 90_000),
        ("-30m", NOW_MS - 1_800_000),
        ("-24h", NOW_MS - 86_400_000),
        ("-7d", NOW_MS - 7 * 86_400_000),
        ("-2w", NOW_MS - 14 * 86_400_000),
        ("-1h30m", NOW_MS - 5_400_000),
        ("-0s", NOW_MS),
        ("2025-07-03", NOW_MS - 14 * 3_600_000 - 1_800_000),
        ("2025-07-03T16:30:00 02:00", NOW_MS),
        ("1751553000", NOW_MS),
        ("1751553000.5", NOW_MS + 500),
        ("1751553000000", NOW_MS),
        ("1751553000000000", NOW_MS),
        ("1751553000000000000", NOW_MS),
        ("0", 0),
    ],
)
def test_instant_of_a_query_only_is_refused_in_bodies(text: str, expected_ms: int) -> None:
    assert instant(text, relative=True) == expected_ms
    with pytest.raises(InvalidInput):
        instant(text)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        {},
        "",
        " ",
        "yesterday",
        "NOW ",
        "2025-W27-4",
        "2025-184",
        "20250703T143000Z",
        "2025-07-03T14",
        "2025-02-30T00:00:00Z",
        "2025-07-03T25:00:00Z",
        "2025-07-03T14:30:00+99:00",
        "2025-07-03T14:30:00Z\n",
        "٢٠٢٥-07-03T14:30:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "-",
        "-1",
        "-1y",
        "-30m1h",
        "+1h",
        "-9999999999w",
        "1e9",
        "1" + "0" * 20,
        "9" * 5000,
        -1,
        -1.5,
        float("nan"),
        float("inf"),
        10**20,
        10**400,
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_instant_refuses_everything_else_and_names_the_field(value: object, relative: bool) -> None:
    with pytest.raises(InvalidInput, match="start_time") as caught:
        instant(value, relative=relative)
    assert caught.value.field == "start_time"


@UNTIMED
@given(st.integers(MIN_MS, MAX_MS))
@example(MIN_MS)
@example(MAX_MS)
@example(-1)
def test_iso_is_read_back_as_the_same_instant(timestamp_ms: int) -> None:
    text = to_iso(timestamp_ms)
    assert len(text) == len("2025-07-03T14:30:00.000Z")
    assert text.endswith("Z")
    assert instant(text) == timestamp_ms


def test_iso_has_milliseconds_and_z() -> None:
    assert to_iso(NOW_MS + 7) == "2025-07-03T14:30:00.007Z"


@UNTIMED
@given(st.integers(10**11, 10**14 - 1))
def test_epoch_units_name_the_same_instant(timestamp_ms: int) -> None:
    assert instant(timestamp_ms) == timestamp_ms
    assert instant(timestamp_ms * 1000 + 999) == timestamp_ms
    assert instant(timestamp_ms * 1_000_000 + 999_999) == timestamp_ms
    assert instant(timestamp_ms // 1000) == timestamp_ms // 1000 * 1000


@UNTIMED
@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()), st.booleans())
def test_instant_never_fails_otherwise(value: object, relative: bool) -> None:
    with contextlib.suppress(InvalidInput):
        assert MIN_MS <= instant(value, relative=relative) <= MAX_MS


def test_zoneless_tells_local_time_from_an_instant() -> None:
    assert zoneless("2025-07-03T14:30:00")
    assert not zoneless("2025-07-03T14:30:00Z")
    assert not zoneless("2025-07-03")
    assert not zoneless("noon")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86_400), ("90s", 90), ("1h30m", 5400), ("7d", 604_800), ("1w2d3h4m5s", 788_645), ("0s", 0)],
)
def test_duration_is_read_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration_s(text, field="overlap") == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "1h 30m", "-1h", "1.5h", "30m1h", "1y", "1H", None, 24, "٣h"])
def test_duration_refuses_everything_else_and_names_the_field(text: object) -> None:
    with pytest.raises(InvalidInput, match="overlap") as caught:
        parse_duration_s(text, field="overlap")
    assert caught.value.field == "overlap"


def test_duration_over_a_hundred_years_names_the_limit() -> None:
    assert parse_duration_s("36500d", field="overlap") == 36_500 * 86_400
    with pytest.raises(InvalidInput) as caught:
        parse_duration_s("36501d", field="overlap")
    assert caught.value.limit == "36500d"


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("10s", Window(width_ms=10_000)),
        ("5m", Window(width_ms=300_000)),
        ("1h", Window(width_ms=3_600_000)),
        ("1d", Window(width_ms=86_400_000)),
        ("1w", Window(width_ms=604_800_000)),
        ("366d", Window(width_ms=366 * 86_400_000)),
        ("1mo", Window(months=1)),
        ("12mo", Window(months=12)),
    ],
)
def test_window_is_a_width_or_a_number_of_months(text: str, window: Window) -> None:
    assert parse_window(text, field="window") == window


@pytest.mark.parametrize("text", ["", "0s", "1", "1.5h", "-1h", "1y", "1h30m", "1M", "1ms", None, 60])
def test_window_refuses_everything_else_and_names_the_field(text: object) -> None:
    with pytest.raises(InvalidInput, match="window") as caught:
        parse_window(text, field="window")
    assert caught.value.field == "window"


@pytest.mark.parametrize(("text", "limit"), [("367d", "366d"), ("53w", "366d"), ("13mo", "12mo")])
def test_window_that_is_too_wide_names_the_limit(text: str, limit: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_window(text, field="window")
    assert caught.value.limit == limit
