"""The statistics of one window agree with their definitions, at the edges of the number range too."""

import math
import statistics
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.accumulate import Number, describe, deviation, is_number, percentile, rank, summarise, total
from chalicelib.aggregates import Function
from chalicelib.model import MAX_INT64, Value

NUMBERS = st.lists(
    st.one_of(st.integers(-(2**63), MAX_INT64), st.floats(-1e12, 1e12)), min_size=1, max_size=50
)  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), [(1, True), (1.5, True), (True, False), ("1", False)])
def test_booleans_and_text_are_no_numbers(value: Value, expected: bool) -> None:
    assert is_number(value) is expected


@given(NUMBERS, st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_percentile_lies_between_its_neighbours(numbers: list[Number], share: float) -> None:
    ascending = sorted(numbers)
    place = rank(share, len(ascending))
    found = percentile(ascending, share)
    lower, upper = float(ascending[place.lower]), float(ascending[place.upper])
    slack = 1e-9 * max(abs(lower), abs(upper), 1)
    assert lower - slack <= found <= upper + slack


@given(NUMBERS)
def test_median_is_the_median(numbers: list[Number]) -> None:
    assert percentile(sorted(numbers), 0.5) == pytest.approx(float(statistics.median(numbers)), abs=1e-3, rel=1e-12)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 5.5), (0.9, 9.1), (0.95, 9.55), (0.99, 9.91)], ids=["p50", "p90", "p95", "p99"]
)
def test_percentiles_interpolate_as_numpy_does(share: float, expected: float) -> None:
    assert percentile(range(1, 11), share) == pytest.approx(expected)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_deviation_is_of_the_population(numbers: list[Number]) -> None:
    assert deviation(numbers) == pytest.approx(statistics.pstdev(numbers), abs=1e-6)


def test_deviation_of_one_number_is_zero() -> None:
    assert deviation([0.1]) == 0.0


def test_deviation_survives_a_large_mean() -> None:
    """What one pass over squares would cancel to nothing."""
    assert deviation([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]) == pytest.approx(math.sqrt(22.5))


@pytest.mark.parametrize("function", [Function.SUM, Function.MIN, Function.MAX, Function.FIRST, Function.LAST])
def test_integers_stay_integers(function: Function) -> None:
    (found,) = summarise([3, 1, 2], [function]).values()
    assert type(found) is int


def test_a_sum_of_integers_may_pass_64_bits() -> None:
    assert total([MAX_INT64] * 3) == 3 * MAX_INT64


def test_summary_has_what_was_asked_in_that_order() -> None:
    asked = [Function.P90, Function.COUNT, Function.LAST, Function.AVG, Function.FIRST]
    summary = summarise([4, 2], asked)
    assert list(summary.items()) == [
        (Function.P90, 3.8),
        (Function.COUNT, 2),
        (Function.LAST, 2),
        (Function.AVG, 3.0),
        (Function.FIRST, 4),
    ]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_results_are_finite_whatever_the_numbers(numbers: list[Number]) -> None:
    for value in summarise(numbers, list(Function)).values():
        assert value is not None
        assert math.isfinite(value)


def test_an_overflow_is_the_greatest_float_of_its_sign() -> None:
    assert total([-1.7e308, -1.7e308]) == -sys.float_info.max
    assert deviation([1.7e308, -1.7e308]) == sys.float_info.max


def test_describe_gives_the_statistics_of_the_analytics_page() -> None:
    stats = describe([4, 1, 3, 2])
    assert (stats.count, stats.avg, stats.min, stats.max) == (4, 2.5, 1.0, 4.0)
    assert stats.stddev == pytest.approx(math.sqrt(1.25))
    assert stats.p95 == pytest.approx(3.85)
