"""Writes batches: many devices in one call, and of a call that is refused only the guilty readings stay out.

Source of the call: with a synchronous WAL the records form costs one fsync a call, 450 000 points a second and more;
the tablet form costs one a device, 14 000 at most (200 devices, measured on 2.0.1-beta).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_connection import Connection
from chalicelib.adapters.iotdb_layout import Layouts
from chalicelib.adapters.iotdb_names import device_path
from chalicelib.adapters.iotdb_status import BUSY_MEMORY_TABLE, Meaning, Refusal
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading
from chalicelib.ports import Rejected

MAX_ROWS = 5_000
MAX_BYTES = 1_000_000
"""Of one call; 12 MB and more were never answered, and 200 MB killed the server."""

_ROW_BYTES = 64
_MAX_WORDS = 300
_LOG = logging.getLogger(__name__)


class Placed(NamedTuple):
    """A reading and its place in the caller's list."""

    position: int
    reading: Reading


class Row(NamedTuple):
    """A reading as the server takes it."""

    placed: Placed
    device: str
    nodes: list[str]
    values: bytes


class Writer:
    """Sends readings to the server.

    Args:
        client: The calls.
        layouts: What series there are; the writer adds to it.
        database: Path of the database.
        flush: Makes the server write its memory tables to disk, if it lets us.
    """

    def __init__(self, client: Client, layouts: Layouts, database: str, flush: Callable[[], None]) -> None:
        self._client = client
        self._layouts = layouts
        self._database = database
        self._flush = flush

    def write(self, readings: Sequence[Placed]) -> list[Rejected]:
        """Store all that the server takes; returns what it will never take.

        Raises:
            Unavailable: Some may be stored.
        """
        rejected: list[Rejected] = []
        for chunk in chunks(self._rows(readings)):
            rejected += self._store(chunk)
        return rejected

    def _rows(self, readings: Sequence[Placed]) -> list[Row]:
        paths: dict[DeviceRef, str] = {}
        for _, reading in readings:
            if reading.device not in paths:
                paths[reading.device] = device_path(self._database, reading.device)
        with self._layouts.lock:
            self._layouts.load(paths.values())
            return [self._row(placed, paths[placed.reading.device]) for placed in readings]

    def _row(self, placed: Placed, device: str) -> Row:
        layout = self._layouts.of(device)
        nodes: list[str] = []
        values: list[bytes] = []
        for name, value in placed.reading.values.items():
            slots = layout.get(name)
            if slots is None:
                layout = self._layouts.introduce(placed.reading, device)
                slots = layout[name]
            slots.place(value, nodes, values)
        return Row(placed, device, nodes, b"".join(values))

    def _store(self, rows: Sequence[Row]) -> list[Rejected]:
        """Send, and after a refusal look the types up again, once."""
        try:
            self._send(rows)
        except Refusal as refused:
            self._layouts.forget({row.device for row in rows})
            if refused.is_wrong_type:
                return self._bisect(self._rows([row.placed for row in rows]))
            return self._halve(rows, refused)
        except Unavailable:
            self._layouts.forget({row.device for row in rows})
            raise
        return []

    def _bisect(self, rows: Sequence[Row]) -> list[Rejected]:
        """Send; one bad row fails a whole call, so halve it until only the bad rows are left."""
        try:
            self._send(rows)
        except Refusal as refused:
            return self._halve(rows, refused)
        return []

    def _halve(self, rows: Sequence[Row], refused: Refusal) -> list[Rejected]:
        if len(rows) == 1:
            return [Rejected(rows[0].placed.position, f"IoTDB says {refused}"[:_MAX_WORDS])]
        middle = len(rows) // 2
        return self._bisect(rows[:middle]) + self._bisect(rows[middle:])

    def _send(self, rows: Sequence[Row]) -> None:
        devices = [row.device for row in rows]
        times_ms = [row.placed.reading.timestamp_ms for row in rows]
        nodes = [row.nodes for row in rows]
        values = [row.values for row in rows]

        def insert(connection: Connection, timeout_s: float) -> None:
            try:
                connection.insert(devices, times_ms, nodes, values, timeout_s=timeout_s)
            except Refusal as refused:
                if refused.code == BUSY_MEMORY_TABLE:  # types changed below an unflushed table
                    self._flush()
                raise

        try:
            self._client.run(insert)
        except Refusal as refused:
            if refused.meaning is not Meaning.EXPIRED:
                raise
            _LOG.warning("IoTDB dropped readings that are older than their retention: %s", refused)


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut into calls of at most `MAX_ROWS`, and of at most `MAX_BYTES` unless a single row is larger."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        row_bytes = _ROW_BYTES + len(row.device) + len(row.values) + sum(map(len, row.nodes)) + 4 * len(row.nodes)
        if chunk and (len(chunk) == MAX_ROWS or size + row_bytes > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += row_bytes
    if chunk:
        yield chunk
