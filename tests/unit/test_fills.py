"""What stands in windows without values, and how many windows an answer may have."""

import pytest

from chalicelib import fills
from chalicelib.accumulate import Summary
from chalicelib.aggregates import MAX_WINDOWS, AggregateQuery, AggregateRow, Fill, Function, Window
from chalicelib.errors import InvalidInput
from chalicelib.windows import FIRST_MS, LAST_MS, Grid

AVG, COUNT, LAST = Function.AVG, Function.COUNT, Function.LAST
COLUMNS: dict[str, dict[int, Summary]] = {
    "a": {10: {AVG: 1.0, COUNT: 2}, 40: {AVG: 4.0, COUNT: 1}},
    "b": {20: {AVG: 7.0, COUNT: 1}},
}


def query(
    fill: Fill, measurements: tuple[str, ...] | None = None, start_ms: int = 0, end_ms: int = 60
) -> AggregateQuery:
    """Averages and counts in windows of 10 ms."""
    return AggregateQuery(start_ms, end_ms, Window(10), (AVG, COUNT), measurements, fill)


def filled(asked: AggregateQuery) -> list[AggregateRow]:
    """The rows of COLUMNS."""
    return fills.rows(COLUMNS, asked, fills.starts_to_fill(asked, Grid(asked.window)))


def column(rows: list[AggregateRow], name: str, function: Function) -> dict[int, float | int | None]:
    """One measurement and function, by window."""
    return {row.start_ms: row.values[name][function] for row in rows}


def test_none_leaves_out_what_has_no_values() -> None:
    rows = filled(query(Fill.NONE))
    assert [(row.start_ms, list(row.values)) for row in rows] == [(10, ["a"]), (20, ["b"]), (40, ["a"])]


def test_null_has_every_window_of_the_range() -> None:
    rows = filled(query(Fill.NULL, start_ms=5, end_ms=51))
    assert column(rows, "a", AVG) == {0: None, 10: 1.0, 20: None, 30: None, 40: 4.0, 50: None}
    assert column(rows, "b", AVG) == {0: None, 10: None, 20: 7.0, 30: None, 40: None, 50: None}


def test_previous_repeats_and_leaves_the_leading_gap() -> None:
    assert column(filled(query(Fill.PREVIOUS)), "a", AVG) == {0: None, 10: 1.0, 20: 1.0, 30: 1.0, 40: 4.0, 50: 4.0}


def test_linear_draws_lines_and_does_not_extrapolate() -> None:
    rows = filled(query(Fill.LINEAR))
    assert column(rows, "a", AVG) == {0: None, 10: 1.0, 20: pytest.approx(2), 30: pytest.approx(3), 40: 4.0, 50: None}
    assert column(rows, "b", AVG) == {0: None, 10: None, 20: 7.0, 30: None, 40: None, 50: None}


@pytest.mark.parametrize("fill", [Fill.NULL, Fill.PREVIOUS, Fill.LINEAR])
def test_the_count_of_an_empty_window_is_zero(fill: Fill) -> None:
    assert column(filled(query(fill)), "a", COUNT) == {0: 0, 10: 2, 20: 0, 30: 0, 40: 1, 50: 0}


def test_named_measurements_appear_even_without_any_value() -> None:
    rows = filled(query(Fill.NULL, ("b", "absent")))
    assert list(rows[0].values) == ["b", "absent"]
    assert set(column(rows, "absent", AVG).values()) == {None}


def test_nothing_is_filled_when_no_measurement_takes_part() -> None:
    asked = query(Fill.NULL)
    assert fills.rows({"a": {}}, asked, [0, 10]) == []


def test_more_windows_than_the_limit_are_refused() -> None:
    asked = query(Fill.NULL, end_ms=10 * MAX_WINDOWS)
    assert len(fills.starts_to_fill(asked, Grid(asked.window))) == MAX_WINDOWS
    asked = query(Fill.NULL, end_ms=10 * MAX_WINDOWS + 1)
    with pytest.raises(InvalidInput) as caught:
        fills.starts_to_fill(asked, Grid(asked.window))
    assert caught.value.field == "window"
    too_many: dict[str, dict[int, Summary]] = {"a": {start: {AVG: 1.0, COUNT: 1} for start in range(MAX_WINDOWS + 1)}}
    with pytest.raises(InvalidInput):
        fills.rows(too_many, query(Fill.NONE), [])


def test_a_range_beyond_the_calendar_is_cut() -> None:
    asked = fills.confined(query(Fill.NULL, start_ms=-(10**18), end_ms=10**18))
    assert (asked.start_ms, asked.end_ms) == (FIRST_MS, LAST_MS)
