"""Readings in Apache IoTDB, aligned series below ``root.iotflow.devices.device_ID``; see docs/iotdb.md."""

import time
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from chalicelib import fills
from chalicelib.accumulate import describe
from chalicelib.adapters import iotdb_aggregate, iotdb_risks, iotdb_statistics
from chalicelib.adapters.iotdb_blocks import Block
from chalicelib.adapters.iotdb_client import Client, Node, Patience
from chalicelib.adapters.iotdb_connection import Access, Column
from chalicelib.adapters.iotdb_layout import Declarations, Layouts, series_below
from chalicelib.adapters.iotdb_names import device_path, quoted
from chalicelib.adapters.iotdb_read import Range, Reader
from chalicelib.adapters.iotdb_retention import Rules
from chalicelib.adapters.iotdb_status import NO_SUCH_PATH, Refusal
from chalicelib.adapters.iotdb_write import Writer
from chalicelib.aggregates import AggregateQuery, AggregateRow, Survey
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading, Value
from chalicelib.ports import Rejected
from chalicelib.retention import delete_expired
from chalicelib.windows import Grid

DATABASE = "root.iotflow"
HOUR_MS = 3_600_000
RISKS_FOR_S = 300.0
"""So long the answer of `risks` is remembered: the settings of a server seldom change."""


class IotdbReadings:
    """Readings in one IoTDB cluster; any number of processes may use it at once.

    Args:
        nodes: Its DataNodes; the first that answers is used.
        access: The account; it may read and write below *database*.
        administrator: An account that may flush; without it *access* tries.
        database: Path of the database, which an administrator has created.
        patience: How long a call may take.
        declared: What an administrator declared of a device's measurements; asked for each that is new.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        access: Access,
        *,
        administrator: Access | None = None,
        database: str = DATABASE,
        patience: Patience | None = None,
        declared: Declarations = lambda _: {},
    ) -> None:
        self._client = Client(nodes, access, patience)
        self._administration = Client(nodes, administrator, patience) if administrator else self._client
        self._access = access
        self._risks: tuple[float, list[str]] = (-RISKS_FOR_S, [])
        self._database = database
        self._layouts = Layouts(self._client, database, declared)
        self._rules = Rules(self._client, database)
        self._writer = Writer(self._client, self._layouts, self._rules, self._flush)

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        return sorted(self._writer.write(readings))

    def read(
        self,
        device: DeviceRef,
        *,
        start_ms: int,
        end_ms: int,
        limit: int,
        newest_first: bool = False,
        measurements: Sequence[str] | None = None,
    ) -> list[Reading]:
        if limit < 1 or start_ms >= end_ms:
            return []
        found = self._reader(device).range(
            Range(start_ms, end_ms), limit=limit, newest_first=newest_first, measurements=measurements
        )
        return [Reading(device, timestamp_ms, values) for timestamp_ms, values in found.items()]

    def latest(self, device: DeviceRef) -> dict[str, tuple[int, Value]]:
        return self._reader(device).latest()

    def aggregate(self, device: DeviceRef, query: AggregateQuery) -> list[AggregateRow]:
        grid = Grid(query.window, query.timezone)
        query = fills.confined(query)
        starts = fills.starts_to_fill(query, grid)
        if query.start_ms >= query.end_ms:
            return fills.rows({}, query, starts)

        def read(columns: list[Column], blocks: Iterator[Block]) -> dict[str, iotdb_statistics.Windows]:
            return iotdb_statistics.windows(columns, blocks, grid, query.functions)

        path = device_path(self._database, device)
        layout = series_below(self._client, path).get(path, {})
        columns = iotdb_aggregate.by_server(self._client, path, layout, query, grid)
        names = layout if query.measurements is None else query.measurements
        streamed = [name for name in names if name in layout and name not in columns and layout[name].has_numbers]
        tail = Range(query.start_ms, query.end_ms).where()
        for group in self._reader(device).by_groups(streamed, tail, read):
            columns |= group
        return fills.rows(columns, query, starts)

    def survey(self, devices: Sequence[DeviceRef], *, start_ms: int, end_ms: int) -> Survey:
        counts: dict[DeviceRef, int] = {}
        numbers: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        for device in devices:
            times: set[int] = set()
            if start_ms < end_ms:
                tail = Range(start_ms, end_ms).where()
                for seen, found in self._reader(device).by_groups(None, tail, iotdb_statistics.numbers):
                    times |= seen
                    for name, listed in found.items():
                        numbers[name].extend(listed)
            counts[device] = len(times)
        return Survey(counts, {name: describe(numbers[name]) for name in sorted(numbers)})

    def count(self, device: DeviceRef) -> int:
        return self._reader(device).count(Range(-(2**63), 2**63), None)

    def delete(
        self, device: DeviceRef, *, start_ms: int, end_ms: int, measurements: Sequence[str] | None = None
    ) -> int:
        if start_ms >= end_ms:
            return 0
        reader = self._reader(device)
        span = Range(start_ms, end_ms)
        touched = reader.count(span, measurements)
        if touched:
            self._flush()
            reader.delete(span, measurements)
        return touched

    def retain(self, longest: int, devices: Sequence[tuple[DeviceRef, int]], *, now_ms: int) -> int:
        shorter = [(device, days) for device, days in devices if days not in {0, longest}]
        if self._rules.make(longest, shorter):
            return 0
        # Every delete leaves a mark until the next compaction: one an hour and device at most.
        return delete_expired(self, shorter, now_ms=now_ms - now_ms % HOUR_MS)

    def purge(self, device: DeviceRef) -> None:
        path = device_path(self._database, device)
        self._layouts.forget([device])
        self._flush()
        try:
            self._client.execute(f"DELETE TIMESERIES {quoted(path)}.**")
        except Refusal as refused:
            if refused.code not in NO_SUCH_PATH:
                raise

    def _flush(self) -> None:
        """Let deletes find everything on disk; only an administrator may, see docs/iotdb.md for the others.

        What is deleted in memory makes trouble later: a series that comes back with another type fails on the old
        one's values (305), and a file of a device that has nothing left cannot be read (301).
        """
        with suppress(Unavailable):
            self._administration.execute("FLUSH")

    def check(self) -> None:
        self._client.rows("SHOW VERSION")

    def risks(self) -> list[str]:
        now_s = time.monotonic()
        known_s, found = self._risks
        if not now_s - known_s < RISKS_FOR_S:
            has_administrator = self._administration is not self._client or self._access.user == "root"
            found = iotdb_risks.find(self._administration, has_administrator=has_administrator)
            self._risks = (now_s, found)
        return found

    def close(self) -> None:
        """Close idle connections; the next call opens one again."""
        self._client.close()
        self._administration.close()

    def _reader(self, device: DeviceRef) -> Reader:
        return Reader(self._client, self._database, device_path(self._database, device))
