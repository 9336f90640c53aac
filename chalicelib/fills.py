"""From the windows that have values to the rows of the answer: what stands in the windows that have none."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, pairwise
from typing import TypeVar

from chalicelib.accumulate import Number, Summary, between
from chalicelib.aggregates import MAX_WINDOWS, AggregateQuery, AggregateRow, Fill, Function
from chalicelib.errors import InvalidInput
from chalicelib.windows import FIRST_MS, LAST_MS, Grid

T = TypeVar("T")

Columns = Mapping[str, Mapping[int, Summary]]
"""Measurement -> start of a window in ms -> its summary, for windows that have numbers."""


def confined(query: AggregateQuery) -> AggregateQuery:
    """*query*, with its range cut to the years that windows are known for (1900 to 9000)."""
    return query._replace(start_ms=max(query.start_ms, FIRST_MS), end_ms=min(query.end_ms, LAST_MS))


def capped(windows: Iterable[T]) -> list[T]:
    """*windows* as a list.

    Raises:
        InvalidInput: There are more than `MAX_WINDOWS`.
    """
    counted = list(islice(windows, MAX_WINDOWS + 1))
    if len(counted) > MAX_WINDOWS:
        message = f"The answer has more than {MAX_WINDOWS} windows: take a wider window or a shorter range"
        raise InvalidInput(message, field="window", limit=f"{MAX_WINDOWS} windows")
    return counted


def starts_to_fill(query: AggregateQuery, grid: Grid) -> list[int]:
    """Where the windows begin that must appear in the answer whether they have values or not.

    Raises:
        InvalidInput: More than `MAX_WINDOWS`.
    """
    if query.fill is Fill.NONE:
        return []
    return capped(span.start_ms for span in grid.spans(query.start_ms, query.end_ms))


def rows(columns: Columns, query: AggregateQuery, starts: Sequence[int]) -> list[AggregateRow]:
    """Join the measurements' windows into rows, and fill.

    Args:
        columns: What was found.
        query: Named measurements appear in every filled row; with None, those that have numbers in the range do.
        starts: The answer of `starts_to_fill`.

    Raises:
        InvalidInput: More than `MAX_WINDOWS` windows have values.
    """
    names = sorted(name for name in columns if columns[name]) if query.measurements is None else query.measurements
    if query.fill is Fill.NONE:
        found = capped(sorted(set().union(*columns.values())))
        return [
            AggregateRow(start, {name: columns[name][start] for name in names if _has(columns, name, start)})
            for start in found
        ]
    if not names:
        return []
    filled = {name: _filled(columns.get(name, {}), starts, query) for name in names}
    return [AggregateRow(start, {name: filled[name][start] for name in names}) for start in starts]


def _has(columns: Columns, name: str, start_ms: int) -> bool:
    return name in columns and start_ms in columns[name]


def _filled(column: Mapping[int, Summary], starts: Sequence[int], query: AggregateQuery) -> dict[int, Summary]:
    """One measurement in every window. The count of an empty window is 0, whatever the fill: it is known."""
    by_function: dict[Function, dict[int, Number | None]] = {}
    for function in query.functions:
        known = {start: summary[function] for start, summary in column.items()}
        if function is Function.COUNT:
            by_function[function] = {start: known.get(start, 0) for start in starts}
        else:
            by_function[function] = _FILLS[query.fill](known, starts)
    return {start: {function: by_function[function][start] for function in query.functions} for start in starts}


def _null(known: Mapping[int, Number | None], starts: Sequence[int]) -> dict[int, Number | None]:
    return {start: known.get(start) for start in starts}


def _previous(known: Mapping[int, Number | None], starts: Sequence[int]) -> dict[int, Number | None]:
    filled: dict[int, Number | None] = {}
    last: Number | None = None
    for start in starts:
        last = known.get(start, last)
        filled[start] = last
    return filled


def _linear(known: Mapping[int, Number | None], starts: Sequence[int]) -> dict[int, Number | None]:
    """Straight lines between the starts of windows with values; nothing before the first and after the last."""
    filled = _null(known, starts)
    anchors = [(place, start, value) for place, start in enumerate(starts) if (value := known.get(start)) is not None]
    for (place, start, value), (next_place, next_start, next_value) in pairwise(anchors):
        for gap in starts[place + 1 : next_place]:
            filled[gap] = between(value, next_value, (gap - start) / (next_start - start))
    return filled


_FILLS = {Fill.NULL: _null, Fill.PREVIOUS: _previous, Fill.LINEAR: _linear}
