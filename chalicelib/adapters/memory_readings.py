"""Readings in a dictionary: for tests, and the plainest statement of what a store must do."""

import threading
from collections import defaultdict
from collections.abc import Sequence

from chalicelib import fills
from chalicelib.accumulate import Number, Summary, describe, is_number, summarise
from chalicelib.aggregates import AggregateQuery, AggregateRow, Survey
from chalicelib.model import DeviceRef, Reading, Value
from chalicelib.ports import Rejected
from chalicelib.retention import delete_expired
from chalicelib.storable import sift
from chalicelib.windows import Grid

Rows = dict[int, dict[str, Value]]


class MemoryReadings:
    """Readings of one process; gone when it ends."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rows: defaultdict[DeviceRef, Rows] = defaultdict(dict)

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        good, rejected = sift(readings)
        with self._lock:
            for reading in good:
                self._rows[reading.device].setdefault(reading.timestamp_ms, {}).update(reading.values)
        return rejected

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
        found = self._range(device, start_ms, end_ms, measurements)
        if newest_first:
            found.reverse()
        return found[: max(limit, 0)]

    def latest(self, device: DeviceRef) -> dict[str, tuple[int, Value]]:
        newest: dict[str, tuple[int, Value]] = {}
        for timestamp_ms, values in self._sorted(device):
            newest.update((name, (timestamp_ms, value)) for name, value in values.items())
        return newest

    def aggregate(self, device: DeviceRef, query: AggregateQuery) -> list[AggregateRow]:
        grid = Grid(query.window, query.timezone)
        query = fills.confined(query)
        starts = fills.starts_to_fill(query, grid)
        numbers: defaultdict[str, defaultdict[int, list[Number]]] = defaultdict(lambda: defaultdict(list))
        for reading in self._range(device, query.start_ms, query.end_ms, query.measurements):
            start_ms = grid.containing(reading.timestamp_ms).start_ms
            for name, value in reading.values.items():
                if is_number(value):
                    numbers[name][start_ms].append(value)
        columns: dict[str, dict[int, Summary]] = {
            name: {start_ms: summarise(listed, query.functions) for start_ms, listed in windows.items()}
            for name, windows in numbers.items()
        }
        return fills.rows(columns, query, starts)

    def survey(self, devices: Sequence[DeviceRef], *, start_ms: int, end_ms: int) -> Survey:
        counts: dict[DeviceRef, int] = {}
        numbers: defaultdict[str, list[Number]] = defaultdict(list)
        for device in devices:
            found = self._range(device, start_ms, end_ms, None)
            counts[device] = len(found)
            for reading in found:
                for name, value in reading.values.items():
                    if is_number(value):
                        numbers[name].append(value)
        return Survey(counts, {name: describe(numbers[name]) for name in sorted(numbers)})

    def count(self, device: DeviceRef) -> int:
        return len(self._sorted(device))

    def delete(
        self, device: DeviceRef, *, start_ms: int, end_ms: int, measurements: Sequence[str] | None = None
    ) -> int:
        with self._lock:
            affected = self._range(device, start_ms, end_ms, measurements)
            rows = self._rows[device]
            for reading in affected:
                for name in reading.values:
                    del rows[reading.timestamp_ms][name]
                if not rows[reading.timestamp_ms]:
                    del rows[reading.timestamp_ms]
        return len(affected)

    def retain(self, longest: int, devices: Sequence[tuple[DeviceRef, int]], *, now_ms: int) -> int:  # noqa: ARG002
        return delete_expired(self, devices, now_ms=now_ms)

    def purge(self, device: DeviceRef) -> None:
        with self._lock:
            self._rows.pop(device, None)

    def risks(self) -> list[str]:
        return []

    def check(self) -> None:
        """A dictionary is always there."""

    def _sorted(self, device: DeviceRef) -> list[tuple[int, dict[str, Value]]]:
        with self._lock:
            rows = self._rows.get(device, {})
            return [(timestamp_ms, dict(rows[timestamp_ms])) for timestamp_ms in sorted(rows)]

    def _range(
        self, device: DeviceRef, start_ms: int, end_ms: int, measurements: Sequence[str] | None
    ) -> list[Reading]:
        """Oldest first, reduced to *measurements*."""
        found = []
        for timestamp_ms, values in self._sorted(device):
            if start_ms <= timestamp_ms < end_ms:
                kept = {name: value for name, value in values.items() if measurements is None or name in measurements}
                if kept:
                    found.append(Reading(device, timestamp_ms, kept))
        return found
