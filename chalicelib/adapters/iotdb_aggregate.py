"""Aggregations by the server itself, where it gives exactly what `aggregates` asks for.

That is: a fixed width of windows, no percentiles, and measurements that have one series of numbers. In a DOUBLE without
kinds every number without a fraction was sent as an integer. With kinds the type of a result is not known, so only
functions whose results are always of the same type are left to the server. All else is streamed: `iotdb_statistics`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from chalicelib.accumulate import Number, Summary
from chalicelib.adapters.iotdb_blocks import DOUBLE, INT32, INT64
from chalicelib.adapters.iotdb_client import Client, Rows
from chalicelib.adapters.iotdb_layout import Layout
from chalicelib.adapters.iotdb_names import quoted
from chalicelib.adapters.iotdb_status import TOO_WIDE, Refusal
from chalicelib.adapters.iotdb_types import EXACT, Slots, restore
from chalicelib.aggregates import MAX_WINDOWS, AggregateQuery, Function
from chalicelib.windows import Grid, Run

GROUP_MEASUREMENTS = 40
"""Of one query, with up to nine columns each."""
MAX_RUNS = 12
"""Spans of windows of one width: a year of days has three where clocks change twice, a year of months up to twelve."""
MAX_ASKED = 50_000
"""Windows, empty ones included, that the server is asked for; it needs 1 to 2 microseconds for each."""

_ALWAYS_SAME = frozenset({Function.AVG, Function.COUNT, Function.STDDEV})
_WORDS = {
    Function.AVG: "avg",
    Function.SUM: "sum",
    Function.COUNT: "count",
    Function.MIN: "min_value",
    Function.MAX: "max_value",
    Function.FIRST: "first_value",
    Function.LAST: "last_value",
    Function.STDDEV: "stddev_pop",
}
_NEEDED_FOR_SUM = (Function.SUM, Function.MIN, Function.MAX)

Windows = dict[int, Summary]


class Source(NamedTuple):
    """One measurement's only series."""

    measurement: str
    node: str
    number: int


def by_server(client: Client, device: str, layout: Layout, query: AggregateQuery, grid: Grid) -> dict[str, Windows]:
    """The windows of each measurement that the server can aggregate; the others are missing.

    Args:
        client: The calls.
        device: Path of the device.
        layout: All its series, as they are now.
        query: What is asked; its range is confined.
        grid: Its windows.

    Raises:
        Unavailable: There is no answer.
    """
    names = layout if query.measurements is None else [name for name in query.measurements if name in layout]
    sources = [source for name in names if (source := _source(layout[name], query.functions)) is not None]
    runs = list(islice(grid.runs(query.start_ms, query.end_ms, most=MAX_WINDOWS), MAX_RUNS + 1)) if sources else []
    if not runs or len(runs) > MAX_RUNS or sum(run.windows for run in runs) > MAX_ASKED:
        return {}
    found: dict[str, Windows] = {}
    for place in range(0, len(sources), GROUP_MEASUREMENTS):
        asked = _Question(client, device, query, sources[place : place + GROUP_MEASUREMENTS])
        try:
            found |= asked.answer(runs)
        except Refusal as refused:
            if refused.code != TOO_WIDE:
                raise
    return found


def _source(slots: Slots, functions: Collection[Function]) -> Source | None:
    if len(slots.nodes) != 1 or not _WORDS.keys() >= set(functions):
        return None
    ((number, node),) = slots.nodes.items()
    if number not in {DOUBLE, INT32, INT64} or (slots.kind is not None and not set(functions) <= _ALWAYS_SAME):
        return None
    return Source(slots.measurement, node, number)


class _Question:
    """Some measurements of a device, in all windows."""

    def __init__(self, client: Client, device: str, query: AggregateQuery, sources: Sequence[Source]) -> None:
        self._client = client
        self._device = device
        self._query = query
        self._sources = sources
        needed = [Function.COUNT, *query.functions, *(_NEEDED_FOR_SUM if Function.SUM in query.functions else ())]
        self._functions = list(dict.fromkeys(needed))

    def answer(self, runs: Sequence[Run]) -> dict[str, Windows]:
        """Windows by measurement, of those measurements whose results are exact."""
        found: dict[str, Windows] = {source.measurement: {} for source in self._sources}
        inexact: set[str] = set()
        for run in runs:
            columns = {
                f"a{place}_{function}": f"{_WORDS[function]}(`{source.node}`)"
                for place, source in enumerate(self._sources)
                for function in self._functions
            }
            table = self._table(columns, run)
            for place, source in enumerate(self._sources):
                windows = self._windows(place, source, table)
                if windows is None:
                    inexact.add(source.measurement)
                else:
                    found[source.measurement] |= windows
            if Function.SUM in self._query.functions:
                self._mark_floats(found, run)
        return {name: windows for name, windows in found.items() if name not in inexact}

    def _table(self, columns: Mapping[str, str], run: Run) -> dict[str, list[Any]]:
        """Columns by alias, and ``time``; empty windows are left out if they may be more than an answer has."""
        query = self._query
        chosen = ", ".join(f"{expression} AS {alias}" for alias, expression in columns.items())
        counts = " OR ".join(f"count(`{source.node}`) > 0" for source in self._sources)
        having = f" HAVING {counts}" if run.windows > MAX_WINDOWS else ""  # it costs the server a third more time
        answer = self._client.rows(
            f"SELECT {chosen} FROM {quoted(self._device)}"
            f" WHERE time >= {query.start_ms:d} AND time < {query.end_ms:d}"
            f" GROUP BY ([{run.start_ms:d}, {run.end_ms:d}), {run.width_ms:d}ms)"
            f"{having} LIMIT {MAX_WINDOWS + 1:d}"
        )
        return _by_alias(answer)

    def _windows(self, place: int, source: Source, table: Mapping[str, list[Any]]) -> Windows | None:
        """The summaries of one measurement; None if one of them is not exact, or not finite."""
        aliases = [f"a{place}_{function}" for function in self._functions]
        if not table.keys() >= set(aliases):  # the series was deleted meanwhile
            return {}
        columns = [table[alias] for alias in aliases]
        windows: Windows = {}
        for start_ms, row in zip(table["time"], zip(*columns, strict=True), strict=True):
            values = dict(zip(self._functions, row, strict=True))
            if not values[Function.COUNT]:
                continue
            if not _is_exact(values):
                return None
            summary: Summary = {each: _result(values[each], each, source) for each in self._query.functions}
            windows[start_ms] = summary
        return windows

    def _mark_floats(self, found: Mapping[str, Windows], run: Run) -> None:
        """A sum without a fraction is a float all the same if one of its numbers has one."""
        doubtful = [
            (place, source)
            for place, source in enumerate(self._sources)
            if source.number == DOUBLE
            and any(type(window[Function.SUM]) is int for window in found[source.measurement].values())
        ]
        if not doubtful:
            return
        columns = {
            f"a{place}_{word}": f"{word}_value(`{source.node}` % 1)"
            for place, source in doubtful
            for word in ("min", "max")
        }
        table = self._table(columns, run)
        for place, source in doubtful:
            windows = found[source.measurement]
            rests = zip(table.get(f"a{place}_min", ()), table.get(f"a{place}_max", ()), strict=True)
            for start_ms, (least, most) in zip(table["time"], rests, strict=False):
                if (least or most) and start_ms in windows:
                    windows[start_ms][Function.SUM] = float(windows[start_ms][Function.SUM] or 0)


def _by_alias(answer: Rows) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {"time": [], **{column.name: [] for column in answer.columns}}
    for block in answer.blocks:
        table["time"] += block.times
        for column in answer.columns:
            table[column.name] += block.columns[column.place]
    return table


def _is_exact(values: Mapping[Function, Any]) -> bool:
    """Whether all results are finite, and a sum of integers was not rounded on the way."""
    if not all(math.isfinite(value) for value in values.values() if value is not None):
        return False
    if Function.SUM not in values:
        return True
    largest = max(abs(values[Function.MIN]), abs(values[Function.MAX]))
    return bool(values[Function.COUNT] * largest <= EXACT) or not float(values[Function.SUM]).is_integer()


def _result(value: Any, function: Function, source: Source) -> Number:
    """The result as the port wants it: always a float for averages, else of the type of what was sent."""
    if function is Function.COUNT:
        return int(value)
    if function in {Function.AVG, Function.STDDEV}:
        return float(value)
    if source.number != DOUBLE:
        return int(value)
    found = restore(float(value), DOUBLE, None)
    assert isinstance(found, int | float)  # noqa: S101 - of a DOUBLE
    return found
