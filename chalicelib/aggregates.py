"""What an aggregation asks and answers, and the semantics every store is held to. No I/O, no clock.

* Windows are half-open and start at whole multiples of their width: of the epoch in UTC, or of local midnight,
  Monday and the first of the month in another time zone; see `windows`. The first may begin before the range; values
  outside the range do not take part all the same.
* Only numbers take part. Integers stay integers in sum (of any size), min, max, first and last.
* `stddev` is of the population: 0 for one value. Percentiles interpolate linearly between ranks (as numpy does).
* A result beyond the range of a float is the greatest float of its sign.
* Fills work for each measurement and function by itself; the count of an empty window is 0 under every fill.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chalicelib.model import DeviceRef

MAX_WINDOWS = 10_000
"""Windows in one answer; a query that has more is refused."""


class Function(StrEnum):
    """Aggregate functions. `avg` and `mean` name the same; percentiles interpolate linearly between ranks."""

    AVG = "avg"
    SUM = "sum"
    COUNT = "count"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    MEDIAN = "median"
    STDDEV = "stddev"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


class Fill(StrEnum):
    """What stands in windows without values: nothing at all, null, the value before, or a straight line."""

    NONE = "none"
    NULL = "null"
    PREVIOUS = "previous"
    LINEAR = "linear"


class Window(NamedTuple):
    """A width: either a fixed number of milliseconds, or a number of calendar months."""

    width_ms: int = 0
    months: int = 0


class AggregateQuery(NamedTuple):
    """One aggregation over one device.

    Attributes:
        functions: Each once; the answer has them in this order.
        measurements: Which to aggregate; None for every one that has numbers in the range.
        timezone: IANA name; decides where days, weeks and months begin.
    """

    start_ms: int
    end_ms: int
    window: Window
    functions: tuple[Function, ...]
    measurements: tuple[str, ...] | None = None
    fill: Fill = Fill.NONE
    timezone: str = "UTC"


class AggregateRow(NamedTuple):
    """One window: its start, and measurement -> function -> value.

    Without fill, only measurements with numbers in the window are there. With any other, all of the query are; a
    value is None where the fill has nothing to say.
    """

    start_ms: int
    values: Mapping[str, Mapping[Function, float | int | None]]


@dataclass(frozen=True, slots=True)
class MeasurementStats:
    """Statistics of one measurement over many devices. `stddev` is of the population; `p95` interpolates."""

    count: int
    avg: float
    min: float
    max: float
    stddev: float
    p95: float


class Survey(NamedTuple):
    """What many devices reported in a range: readings by device, 0 included, and statistics by measurement.

    Only numbers take part in the statistics; a measurement without any is left out.
    """

    readings: Mapping[DeviceRef, int]
    measurements: Mapping[str, MeasurementStats]
