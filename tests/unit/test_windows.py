"""Windows tile the time, begin where people expect them, and follow the clock changes."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.aggregates import Window
from chalicelib.errors import InvalidInput
from chalicelib.windows import FIRST_MS, LAST_MS, Grid

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS


def ms(text: str) -> int:
    """Epoch ms of an ISO time; UTC when it has no offset."""
    parsed = datetime.fromisoformat(text)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def starts(grid: Grid, zone: str, first: str, last: str) -> list[str]:
    """Where the windows of a range begin, as local time with offset."""
    return [
        datetime.fromtimestamp(span.start_ms / 1000, ZoneInfo(zone)).isoformat(timespec="minutes")
        for span in grid.spans(ms(first), ms(last))
    ]


ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "Europe/Dublin", "Africa/Casablanca", "Antarctica/Troll",
    "America/Havana",
]  # fmt: skip
MINUTES = [7, 10, 15, 45, 60, 90, 120, 180, 300, 720, 1440, 2880]
WIDTHS = [1, 1000, *(MINUTE_MS * minutes for minutes in MINUTES), WEEK_MS, 2 * WEEK_MS]
WINDOWS = [Window(width_ms=width) for width in WIDTHS] + [Window(months=months) for months in (1, 3, 5, 12)]


def changes(zone: str) -> list[int]:
    """Instants at most half a day after the zone's clocks changed."""
    local = ZoneInfo(zone)
    instants = range(ms("2010-01-01"), ms("2030-01-01"), DAY_MS // 2)
    offsets = [(at_ms, datetime.fromtimestamp(at_ms / 1000, local).utcoffset()) for at_ms in instants]
    return [at_ms for (_, before), (at_ms, after) in pairwise(offsets) if before != after]


CHANGES = {zone: changes(zone) or [0] for zone in ZONES}
INSTANTS = st.sampled_from(ZONES).flatmap(
    lambda zone: st.tuples(
        st.just(zone),
        st.one_of(
            st.integers(ms("2000-01-01"), ms("2040-01-01")),
            st.builds(int.__add__, st.sampled_from(CHANGES[zone]), st.integers(-DAY_MS, DAY_MS // 2)),
        ),
    )
)


@settings(max_examples=500)
@given(INSTANTS, st.sampled_from(WINDOWS))
def test_windows_tile_the_time_in_every_zone(instant: tuple[str, int], window: Window) -> None:
    """Each instant is in its window, the next begins where it ends, and all its instants agree on it."""
    zone, at_ms = instant
    grid = Grid(window, zone)
    span = grid.containing(at_ms)
    assert span.start_ms <= at_ms < span.end_ms
    assert grid.containing(span.start_ms) == span
    assert grid.containing(span.end_ms - 1) == span
    assert grid.containing((span.start_ms + at_ms) // 2) == span
    assert grid.containing(span.end_ms).start_ms == span.end_ms
    assert grid.containing(span.start_ms - 1).end_ms == span.start_ms


@given(st.sampled_from(WIDTHS), st.integers(FIRST_MS, LAST_MS))
def test_windows_in_utc_are_whole_multiples_of_the_width(width_ms: int, at_ms: int) -> None:
    start_ms, end_ms = Grid(Window(width_ms=width_ms)).containing(at_ms)
    monday_ms = ms("1970-01-05") if width_ms % WEEK_MS == 0 else 0
    assert (start_ms - monday_ms) % width_ms == 0
    assert end_ms - start_ms == width_ms


@given(st.sampled_from(ZONES[:2]), st.integers(FIRST_MS, LAST_MS), st.sampled_from(WINDOWS))
def test_windows_are_known_from_1900_to_9000(zone: str, at_ms: int, window: Window) -> None:
    span = Grid(window, zone).containing(at_ms)
    assert span.start_ms <= at_ms < span.end_ms


def test_weeks_begin_on_monday() -> None:
    assert starts(Grid(Window(WEEK_MS)), "UTC", "2025-07-03", "2025-07-15") == [
        "2025-06-30T00:00+00:00",
        "2025-07-07T00:00+00:00",
        "2025-07-14T00:00+00:00",
    ]


def test_months_begin_on_the_first_and_quarters_in_january() -> None:
    assert starts(Grid(Window(months=1)), "UTC", "2024-01-31", "2024-03-02") == [
        "2024-01-01T00:00+00:00",
        "2024-02-01T00:00+00:00",
        "2024-03-01T00:00+00:00",
    ]
    assert starts(Grid(Window(months=3)), "UTC", "2024-05-31", "2024-05-31T01:00") == ["2024-04-01T00:00+00:00"]
    assert starts(Grid(Window(months=12)), "UTC", "2024-05-31", "2024-05-31T01:00") == ["2024-01-01T00:00+00:00"]


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-06-01", 24), ("2025-10-26", 25)])
def test_local_days_have_as_many_hours_as_the_clock_says(day: str, hours: int) -> None:
    noon_ms = ms(f"{day}T12:00")
    span = Grid(Window(DAY_MS), "Europe/Berlin").containing(noon_ms)
    assert span.end_ms - span.start_ms == hours * HOUR_MS
    within = list(Grid(Window(HOUR_MS), "Europe/Berlin").spans(span.start_ms, span.end_ms))
    assert len(within) == hours
    assert {one.end_ms - one.start_ms for one in within} == {HOUR_MS}


def test_months_and_weeks_begin_at_local_midnight() -> None:
    berlin = "Europe/Berlin"
    assert starts(Grid(Window(months=1), berlin), berlin, "2025-03-15", "2025-04-15") == [
        "2025-03-01T00:00+01:00",
        "2025-04-01T00:00+02:00",
    ]
    assert starts(Grid(Window(WEEK_MS), berlin), berlin, "2025-03-29", "2025-04-01") == [
        "2025-03-24T00:00+01:00",
        "2025-03-31T00:00+02:00",
    ]


def test_hours_follow_the_wall_clock_when_it_goes_forward() -> None:
    berlin = "Europe/Berlin"
    assert starts(Grid(Window(3 * HOUR_MS), berlin), berlin, "2025-03-30T00:00+01:00", "2025-03-30T12:00+02:00") == [
        "2025-03-30T00:00+01:00",
        "2025-03-30T03:00+02:00",
        "2025-03-30T06:00+02:00",
        "2025-03-30T09:00+02:00",
    ]


def test_hours_follow_the_wall_clock_when_it_goes_back() -> None:
    berlin = "Europe/Berlin"
    day = ("2025-10-26T00:00+02:00", "2025-10-26T06:00+01:00")
    assert starts(Grid(Window(3 * HOUR_MS), berlin), berlin, *day) == [
        "2025-10-26T00:00+02:00",
        "2025-10-26T03:00+01:00",
    ]
    assert starts(Grid(Window(HOUR_MS), berlin), berlin, *day)[1:5] == [
        "2025-10-26T01:00+02:00",
        "2025-10-26T02:00+02:00",
        "2025-10-26T02:00+01:00",
        "2025-10-26T03:00+01:00",
    ]
    assert starts(Grid(Window(2 * HOUR_MS), berlin), berlin, *day) == [
        "2025-10-26T00:00+02:00",
        "2025-10-26T02:00+02:00",
        "2025-10-26T04:00+01:00",
    ]


def test_a_half_hour_change_lengthens_one_window() -> None:
    spans = list(Grid(Window(HOUR_MS), "Australia/Lord_Howe").spans(ms("2025-04-05T12:00"), ms("2025-04-05T18:00")))
    assert sorted((one.end_ms - one.start_ms) / MINUTE_MS for one in spans)[-2:] == [60, 90]


def test_a_midnight_that_comes_twice_does_not_end_the_day() -> None:
    """Cuba's clocks go back from 01:00 to 00:00."""
    span = Grid(Window(DAY_MS), "America/Havana").containing(ms("2025-11-02T12:00"))
    assert span.end_ms - span.start_ms == 25 * HOUR_MS


def test_a_day_that_the_clock_left_out_has_no_window() -> None:
    """Samoa went from 2011-12-29 to 2011-12-31."""
    apia = "Pacific/Apia"
    found = starts(Grid(Window(DAY_MS), apia), apia, "2011-12-29T12:00-10:00", "2012-01-01T12:00+14:00")
    assert [start[:10] for start in found] == ["2011-12-29", "2011-12-31", "2012-01-01"]


def test_spans_touch_and_cover_the_range() -> None:
    spans = list(Grid(Window(HOUR_MS)).spans(ms("2025-01-01T00:30"), ms("2025-01-01T02:00")))
    assert spans[0].start_ms == ms("2025-01-01T00:00")
    assert spans[-1].end_ms == ms("2025-01-01T02:00")
    assert all(one.end_ms == two.start_ms for one, two in pairwise(spans))
    assert list(Grid(Window(HOUR_MS)).spans(5, 5)) == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Europe", "../etc/passwd", "/etc/passwd", "a\0b", "x" * 500])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Grid(Window(HOUR_MS), zone)
    assert caught.value.field == "timezone"


@pytest.mark.parametrize("window", [Window(), Window(-1), Window(10**18), Window(months=-1), Window(months=1201)])
def test_an_impossible_width_is_refused(window: Window) -> None:
    with pytest.raises(InvalidInput) as caught:
        Grid(window)
    assert caught.value.field == "window"


def test_offset_is_exact_to_the_millisecond() -> None:
    at_ms = ms("2025-03-30T01:00") - 1
    assert Grid(Window(DAY_MS), "Europe/Berlin").containing(at_ms).start_ms == ms("2025-03-30T00:00+01:00")
