"""Questions about one device: ranges, newest values, counts. Wide devices are asked in groups of columns."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from chalicelib.adapters.iotdb_blocks import STRING, TEXT, TYPE_NUMBERS, Block
from chalicelib.adapters.iotdb_client import Client, Rows
from chalicelib.adapters.iotdb_connection import Column, Connection
from chalicelib.adapters.iotdb_layout import Layout, series_below
from chalicelib.adapters.iotdb_names import quoted
from chalicelib.adapters.iotdb_status import INTERNAL_ERROR, TOO_WIDE, Refusal
from chalicelib.adapters.iotdb_table import node_of, nodes_for, rows
from chalicelib.adapters.iotdb_types import KIND, choose, parse
from chalicelib.model import Value

T = TypeVar("T")

GROUP_MEASUREMENTS = 50
"""A group has up to six times as many columns; a server with 512 MB refuses about 450."""
_FIRST_MS, _LAST_MS = -(10**13), 10**14
"""IoTDB plans memory for each week of a range: bounds beyond what it stores are left away."""


class Range(NamedTuple):
    """Half-open, in ms."""

    start_ms: int
    end_ms: int

    def where(self) -> str:
        """As a condition; nothing if it holds all."""
        conditions = []
        if self.start_ms > _FIRST_MS:
            conditions.append(f"time >= {self.start_ms:d}")
        if self.end_ms < _LAST_MS:
            conditions.append(f"time < {self.end_ms:d}")
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""


class Reader:
    """Reads the device at a path.

    Args:
        client: The calls.
        database: Path of the database.
        device: Full path of the device.
    """

    def __init__(self, client: Client, database: str, device: str) -> None:
        self._client = client
        self._database = database
        self._device = device
        self._quoted = quoted(device)

    def range(
        self, span: Range, *, limit: int, newest_first: bool, measurements: Sequence[str] | None
    ) -> dict[int, dict[str, Value]]:
        """The first or last *limit* rows of the range."""
        tail = f"{span.where()} ORDER BY time {'DESC' if newest_first else 'ASC'} LIMIT {limit:d}"

        def collect(columns: list[Column], blocks: Iterator[Block]) -> dict[int, dict[str, Value]]:
            return dict(rows(columns, blocks))

        first, *others = [*self.by_groups(measurements, tail, collect)] or [{}]
        if not others:
            return first
        found: dict[int, dict[str, Value]] = {}
        for group in (first, *others):
            for timestamp_ms, values in group.items():
                found.setdefault(timestamp_ms, {}).update(values)
        return {ts_ms: found[ts_ms] for ts_ms in sorted(found, reverse=newest_first)[:limit]}

    def by_groups(
        self, measurements: Sequence[str] | None, tail: str, read: Callable[[list[Column], Iterator[Block]], T]
    ) -> Iterator[T]:
        """Select in one query, or in several if the server finds it too wide; whole measurements stay together."""
        if measurements is not None and not measurements:
            return
        if measurements is None or len(measurements) <= GROUP_MEASUREMENTS:
            wanted = ["*"] if measurements is None else [f"`{node}`" for node in nodes_for(measurements)]
            try:
                found = self._client.stream(f"SELECT {', '.join(wanted)} FROM {self._quoted}{tail}", read)
            except Refusal as refused:
                if refused.code != TOO_WIDE or measurements is not None:
                    raise
                measurements = self._measurements()
            else:
                yield found
                return
        for place in range(0, len(measurements), GROUP_MEASUREMENTS):
            yield from self.by_groups(measurements[place : place + GROUP_MEASUREMENTS], tail, read)

    def latest(self) -> dict[str, tuple[int, Value]]:
        """The newest value of each measurement, of whatever type it is."""
        layout = series_below(self._client, self._device).get(self._device, {})
        nodes = [node for slots in layout.values() for node in (*slots.nodes.values(), slots.kind) if node]
        if not nodes:
            return {}

        def collect(connection: Connection, timeout_s: float) -> Rows:
            try:
                answer = connection.newest(self._database, self._device, nodes, timeout_s=timeout_s)
            except Refusal as refused:
                if refused.code != INTERNAL_ERROR:
                    raise
                # 2.0.1-beta trips over a series that was made but never written.
                answer = connection.query(f"SELECT LAST * FROM {self._quoted}", timeout_s=timeout_s)
            return Rows(answer.columns, list(answer.blocks))

        answer = self._client.run(collect)
        values: defaultdict[str, dict[int, tuple[int, Any]]] = defaultdict(dict)
        kinds: dict[str, tuple[int, int]] = {}
        for timestamp_ms, series, text, type_name in _last_rows(answer.columns, answer.blocks):
            name = node_of(series)
            value = parse(text, type_name)
            if name.tag == KIND:
                kinds[name.measurement] = (timestamp_ms, value)
            else:
                number = TYPE_NUMBERS[type_name]
                values[name.measurement][STRING if number == TEXT else number] = (timestamp_ms, value)
        return {name: found for name in values if (found := _newest(values[name], kinds.get(name))) is not None}

    def count(self, span: Range, measurements: Sequence[str] | None) -> int:
        """How many rows have a value of the measurements, or any."""
        if measurements is None:
            try:
                return self._count_rows(span)
            except Refusal as refused:
                if refused.code != TOO_WIDE:
                    raise

        def times(columns: list[Column], blocks: Iterator[Block]) -> set[int]:
            return {timestamp_ms for timestamp_ms, _ in rows(columns, blocks)}

        return len(set().union(*self.by_groups(measurements, span.where(), times)))

    def _count_rows(self, span: Range) -> int:
        """Rows that have a value. The server also counts those that lost all their values to deletes of single series.

        That is sure not to be so when one series has as many values; statistics tell, while a filter reads all.
        """
        total = self._sum(f"SELECT count_time(*) FROM {self._quoted}{span.where()}")
        answer = self._client.rows(f"SELECT count(*) FROM {self._quoted}{span.where()}")
        if total in {count for block in answer.blocks for column in block.columns for count in column}:
            return total
        nodes = [slots.nodes.values() for slots in self._layout().values()]
        any_value = " OR ".join(f"`{node}` IS NOT NULL" for each in nodes for node in each)
        if not any_value:
            return 0
        where = f"{span.where()} AND ({any_value})" if span.where() else f" WHERE {any_value}"
        return self._sum(f"SELECT count_time(*) FROM {self._quoted}{where}")

    def _sum(self, statement: str) -> int:
        return sum(sum(block.columns[0]) for block in self._client.rows(statement).blocks)

    def delete(self, span: Range, measurements: Sequence[str] | None) -> None:
        """Delete values; series that do not exist are no error."""
        nodes = ["*"] if measurements is None else [f"`{node}`" for node in nodes_for(measurements)]
        if nodes:
            paths = ", ".join(f"{self._quoted}.{node}" for node in nodes)
            self._client.execute(f"DELETE FROM {paths}{span.where()}")

    def _measurements(self) -> list[str]:
        return sorted(self._layout())

    def _layout(self) -> Layout:
        return series_below(self._client, self._device).get(self._device, {})


def _last_rows(columns: Sequence[Column], blocks: Sequence[Block]) -> Iterator[tuple[int, str, str, str]]:
    places = {column.name: column.place for column in columns}
    for block in blocks:
        wanted = (block.columns[places[name]] for name in ("Timeseries", "Value", "DataType"))
        yield from zip(block.times, *wanted, strict=True)


def _newest(values: dict[int, tuple[int, Any]], kind: tuple[int, int] | None) -> tuple[int, Value] | None:
    """Of one measurement's series; of two values of the same time the kind of that time decides."""
    newest_ms = max(timestamp_ms for timestamp_ms, _ in values.values())
    row = {number: value for number, (timestamp_ms, value) in values.items() if timestamp_ms == newest_ms}
    value = choose(row, kind[1] if kind is not None and kind[0] == newest_ms else None)
    return None if value is None else (newest_ms, value)
