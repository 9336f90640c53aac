"""Writes batches: many devices in one call, and of a call that is refused only the guilty readings stay out.

Source of the call: with a synchronous WAL the records form costs one fsync a call, 450 000 points a second and more;
the tablet form costs one a device, 14 000 at most (200 devices, measured on 2.0.1-beta).
"""

import logging
from collections.abc import Callable, Sequence

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_connection import Connection
from chalicelib.adapters.iotdb_frames import Rows
from chalicelib.adapters.iotdb_layout import Layouts
from chalicelib.adapters.iotdb_rows import Batch, Encoder
from chalicelib.adapters.iotdb_status import INTERNAL_ERROR, Meaning, Refusal
from chalicelib.errors import Unavailable
from chalicelib.model import Reading
from chalicelib.ports import Rejected

_MAX_WORDS = 300
_LOG = logging.getLogger(__name__)


class Writer:
    """Sends readings to the server.

    Args:
        client: The calls.
        layouts: What series there are; the writer adds to it.
        flush: Makes the server write its memory tables to disk, if it lets us.
    """

    def __init__(self, client: Client, layouts: Layouts, flush: Callable[[], None]) -> None:
        self._client = client
        self._layouts = layouts
        self._flush = flush
        self._rows = Encoder(layouts)

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        """Store all that the server takes; returns what it will never take.

        Raises:
            Unavailable: Some may be stored.
        """
        batch, rejected = self._rows.encode(readings, range(len(readings)))
        for part in batch.calls():
            rejected += self._store(part)
        return rejected

    def _store(self, batch: Batch) -> list[Rejected]:
        """Send, and after a refusal look the types up again, once."""
        try:
            self._send(batch.rows)
        except Refusal as refused:
            self._layouts.forget({reading.device for reading in batch.readings})
            if refused.is_wrong_type:
                again, rejected = self._rows.encode(batch.readings, batch.positions)
                return rejected + self._bisect(again)
            return self._halve(batch, refused)
        except Unavailable:
            self._layouts.forget({reading.device for reading in batch.readings})
            raise
        return []

    def _bisect(self, batch: Batch) -> list[Rejected]:
        """Send; one bad row fails a whole call, so halve it until only the bad rows are left."""
        try:
            self._send(batch.rows)
        except Refusal as refused:
            return self._halve(batch, refused)
        return []

    def _halve(self, batch: Batch, refused: Refusal) -> list[Rejected]:
        if len(batch.readings) == 1:
            return [Rejected(batch.positions[0], f"IoTDB says {refused}"[:_MAX_WORDS])]
        first, second = batch.halves()
        return self._bisect(first) + self._bisect(second)

    def _send(self, rows: Rows) -> None:
        def insert(connection: Connection, timeout_s: float) -> None:
            try:
                connection.insert(rows, timeout_s=timeout_s)
            except Refusal as refused:
                if refused.code == INTERNAL_ERROR:  # types changed below an unflushed table
                    self._flush()
                raise

        try:
            self._client.run(insert)
        except Refusal as refused:
            if refused.meaning is not Meaning.EXPIRED:
                raise
            _LOG.warning("IoTDB dropped readings that are older than their retention: %s", refused)
