"""Writes batches: many devices in one call, and of a call that is refused only the guilty readings stay out.

Source of the call: with a synchronous WAL the records form costs one fsync a call, 450 000 points a second and more;
the tablet form costs one a device, 14 000 at most (200 devices, measured on 2.0.1-beta).
"""

import math
import time
from collections.abc import Callable, Sequence

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_connection import Connection
from chalicelib.adapters.iotdb_layout import Layouts
from chalicelib.adapters.iotdb_retention import Rules
from chalicelib.adapters.iotdb_rows import Batch, Encoder
from chalicelib.adapters.iotdb_status import INTERNAL_ERROR, Meaning, Refusal
from chalicelib.errors import Unavailable
from chalicelib.model import Reading
from chalicelib.ports import Rejected

_MAX_WORDS = 300


class Writer:
    """Sends readings to the server.

    Args:
        client: The calls.
        layouts: What series there are; the writer adds to it.
        rules: What the server keeps how long.
        flush: Makes the server write its memory tables to disk, if it lets us.
    """

    def __init__(self, client: Client, layouts: Layouts, rules: Rules, flush: Callable[[], None]) -> None:
        self._client = client
        self._layouts = layouts
        self._rules = rules
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
            return self._send(batch)
        except Refusal as refused:
            self._layouts.forget({reading.device for reading in batch.readings})
            if refused.is_wrong_type:
                again, rejected = self._rows.encode(batch.readings, batch.positions)
                return rejected + self._bisect(again)
            return self._halve(batch, refused)
        except Unavailable:
            self._layouts.forget({reading.device for reading in batch.readings})
            raise

    def _bisect(self, batch: Batch) -> list[Rejected]:
        """Send; one bad row fails a whole call, so halve it until only the bad rows are left."""
        try:
            return self._send(batch)
        except Refusal as refused:
            return self._halve(batch, refused)

    def _halve(self, batch: Batch, refused: Refusal) -> list[Rejected]:
        if len(batch.readings) == 1:
            return [Rejected(batch.positions[0], f"IoTDB says {refused}"[:_MAX_WORDS])]
        first, second = batch.halves()
        return self._bisect(first) + self._bisect(second)

    def _send(self, batch: Batch) -> list[Rejected]:
        """Send; returns the readings that the server dropped for their age, when all others are stored."""

        def insert(connection: Connection, timeout_s: float) -> None:
            try:
                connection.insert(batch.rows, timeout_s=timeout_s)
            except Refusal as refused:
                if refused.code == INTERNAL_ERROR:  # types changed below an unflushed table
                    self._flush()
                raise

        try:
            self._client.run(insert)
        except Refusal as refused:
            if refused.meaning is not Meaning.EXPIRED:
                raise
            return self._expired(batch, refused)
        return []

    def _expired(self, batch: Batch, refused: Refusal) -> list[Rejected]:
        """Which readings the server dropped: it names only one, so it is asked for its rules.

        Where its clock is behind ours, what it stored a moment before it would not is counted as dropped.
        """
        now_ms = time.time() * 1000
        ages_ms = self._rules.ages_ms({each.device for each in batch.readings})
        spare_ms = [
            each.timestamp_ms - now_ms + age_ms if (age_ms := ages_ms[each.device]) is not None else math.inf
            for each in batch.readings
        ]
        bound_ms = max(0.0, min(spare_ms))
        reason = f"IoTDB says {refused}"[:_MAX_WORDS]
        return [
            Rejected(position, reason, expired=True)
            for position, spare in zip(batch.positions, spare_ms, strict=True)
            if spare <= bound_ms
        ]
