"""From the numbers of one window to its statistics: the arithmetic every store is held to.

A result beyond the range of a float is the greatest float of its sign, so that answers stay valid JSON.
"""

import math
import sys
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeGuard

from chalicelib.aggregates import Function, MeasurementStats
from chalicelib.model import Value

Number = int | float
Summary = dict[Function, Number | None]

PERCENTILES = {
    Function.MEDIAN: 0.50,
    Function.P50: 0.50,
    Function.P90: 0.90,
    Function.P95: 0.95,
    Function.P99: 0.99,
}


class Rank(NamedTuple):
    """Where a percentile lies in ascending order: between two neighbours, `fraction` of the way to the upper."""

    lower: int
    upper: int
    fraction: float


def is_number(value: Value) -> TypeGuard[Number]:
    """Whether *value* takes part in aggregations: booleans and text do not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def rank(share: float, count: int) -> Rank:
    """Where the percentile *share* (0.95 for p95) of *count* numbers, at least one, lies.

    Source: linear interpolation, type 7 of Hyndman and Fan; the default of numpy and R.
    """
    position = share * (count - 1)
    lower = math.floor(position)
    return Rank(lower, min(lower + 1, count - 1), position - lower)


def between(lower: Number, upper: Number, fraction: float) -> float:
    """The number *fraction* of the way from *lower* to *upper*."""
    if lower == upper:
        return float(lower)
    return float(lower * (1 - fraction) + upper * fraction)


def bounded(number: Number) -> Number:
    """*number*, or the greatest float of its sign instead of an infinite one."""
    return math.copysign(sys.float_info.max, number) if number in {math.inf, -math.inf} else number


def total(numbers: Sequence[Number]) -> Number:
    """The sum: exact, of any size, if all are integers; otherwise a float."""
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    try:
        return math.fsum(numbers)
    except OverflowError:
        return bounded(sum(map(float, numbers)))


def mean(numbers: Sequence[Number]) -> float:
    """The arithmetic mean."""
    return total(numbers) / len(numbers)


def deviation(numbers: Sequence[Number]) -> Number:
    """The standard deviation of the population: 0.0 for one number."""
    middle = mean(numbers)
    return bounded(math.sqrt(math.fsum((number - middle) * (number - middle) for number in numbers) / len(numbers)))


def percentile(ascending: Sequence[Number], share: float) -> float:
    """The percentile *share* of sorted numbers."""
    place = rank(share, len(ascending))
    return between(ascending[place.lower], ascending[place.upper], place.fraction)


def summarise(numbers: Sequence[Number], functions: Collection[Function]) -> Summary:
    """Apply *functions* to the numbers of one window, at least one, in order of time.

    Integers stay integers in sum, min, max, first and last; all others are floats.
    """
    ascending = sorted(numbers) if PERCENTILES.keys() & set(functions) else []
    return {
        function: percentile(ascending, PERCENTILES[function]) if function in PERCENTILES else _PLAIN[function](numbers)
        for function in functions
    }


def describe(numbers: Sequence[Number]) -> MeasurementStats:
    """Statistics of at least one number, in any order."""
    return MeasurementStats(
        count=len(numbers),
        avg=mean(numbers),
        min=float(min(numbers)),
        max=float(max(numbers)),
        stddev=float(deviation(numbers)),
        p95=percentile(sorted(numbers), 0.95),
    )


_PLAIN: dict[Function, Callable[[Sequence[Number]], Number]] = {
    Function.COUNT: len,
    Function.SUM: total,
    Function.AVG: mean,
    Function.MIN: min,
    Function.MAX: max,
    Function.FIRST: lambda numbers: numbers[0],
    Function.LAST: lambda numbers: numbers[-1],
    Function.STDDEV: deviation,
}
