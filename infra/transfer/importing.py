"""An import: rows of files into the store, in batches, under the limits of what devices send.

Writing a reading again changes nothing, so any file may be imported again. How many rows of a file are stored is kept
in the data directory until its end, so that an import that was killed goes on behind them.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from chalicelib import codec
from chalicelib.errors import InvalidInput
from chalicelib.limits import PayloadLimits
from chalicelib.model import DeviceRef, Reading, Value
from chalicelib.ports import ReadingStore
from infra.failure import Failure
from infra.transfer.sources import Row, malformed, rows

BATCH_READINGS = 5_000
BATCH_VALUES = 20_000
_MOST_MEASUREMENTS = 1_000_000
"""Of one instant; several requests may have filled it."""


class Progress:
    """How many rows of a file are stored, in a file of the data directory.

    Args:
        folder: Where it is kept.
        source: The file; when it changes, its import begins again.
        meaning: What else decides where its rows go.
    """

    def __init__(self, folder: Path, source: Path, meaning: object) -> None:
        state = source.stat()
        known = [str(source.resolve()), state.st_size, state.st_mtime_ns, meaning]
        key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]
        self._path = folder / f"{key}.json"

    def read(self) -> int:
        """Rows that are stored."""
        try:
            return int(json.loads(self._path.read_text(encoding="ascii"))["rows"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0

    def write(self, stored: int) -> None:
        """Keep the number; a power cut may lose it, and costs time only."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"rows": stored}) + "\n", encoding="ascii")
        new.replace(self._path)

    def forget(self) -> None:
        """The whole import is over."""
        self._path.unlink(missing_ok=True)


class Importer:
    """Stores the rows of files.

    Args:
        store: Where to; None only checks.
        resolve: The device of a name in a file; raises `InvalidInput` when there is none.
        now_ms: The present, for the limit on times.
        limits: As for what devices send, but for the number of measurements.
        tell: Called after each batch with the number of readings in it.

    Attributes:
        values: By name in the file, how many were stored, or were good if it only checks.
    """

    def __init__(
        self,
        store: ReadingStore | None,
        resolve: Callable[[str], DeviceRef],
        *,
        now_ms: int,
        limits: PayloadLimits,
        tell: Callable[[int], None],
    ) -> None:
        self._store = store
        self._resolve = resolve
        self._now_ms = now_ms
        self._limits = replace(limits, measurements=_MOST_MEASUREMENTS)
        self._tell = tell
        self.values: dict[str, int] = {}

    def take(self, path: Path, progress: Progress) -> None:
        """Store what the file holds behind what is stored already.

        Raises:
            Failure: Names file, line and field; everything before that line is stored.
            Unavailable: The store does not answer; the same call goes on later.
        """
        stored = progress.read()
        batch = _Batch()
        try:
            with closing(rows(path)) as found:
                for row in islice(found, stored, None):
                    reading = self._checked(path, row)
                    if batch.is_full and not batch.continues(reading):
                        stored += self._write(path, batch)
                        progress.write(stored)
                    batch.add(row, reading)
        except Failure:  # the rows before it are good
            progress.write(stored + self._write(path, batch))
            raise
        progress.write(stored + self._write(path, batch))

    def _checked(self, path: Path, row: Row) -> Reading | None:
        try:
            device = self._resolve(row.device)
            return codec.reading_from_parts(
                device, row.timestamp_ms, row.data, now_ms=self._now_ms, limits=self._limits
            )
        except InvalidInput as error:
            raise malformed(path, row.number, error.message) from None

    def _write(self, path: Path, batch: "_Batch") -> int:
        """Empty the batch into the store; returns how many rows of the file it was."""
        taken, numbers, counts = batch.rows, batch.numbers, batch.counts
        readings = [Reading(*key, values) for key, values in batch.readings]
        batch.clear()
        if readings and self._store is not None:
            rejected = self._store.write(readings)
            if rejected:
                raise malformed(path, numbers[rejected[0].position], f"the store says: {rejected[0].reason}")
        for name, count in counts.items():
            self.values[name] = self.values.get(name, 0) + count
        self._tell(len(readings))
        return taken


class _Batch:
    """Readings for one call of the store; rows of the same instant that follow each other are one reading."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.rows = 0
        self.readings: list[tuple[tuple[DeviceRef, int], dict[str, Value]]] = []
        self.numbers: list[int] = []
        self.counts: dict[str, int] = {}
        self._values = 0

    @property
    def is_full(self) -> bool:
        return len(self.readings) >= BATCH_READINGS or self._values >= BATCH_VALUES

    def continues(self, reading: Reading | None) -> bool:
        """Whether the reading belongs to the last one."""
        return reading is None or (bool(self.readings) and self.readings[-1][0] == reading[:2])

    def add(self, row: Row, reading: Reading | None) -> None:
        self.rows += 1
        if reading is None:
            return
        if self.readings and self.readings[-1][0] == reading[:2]:
            self.readings[-1][1].update(reading.values)
        else:
            self.readings.append((reading[:2], dict(reading.values)))
            self.numbers.append(row.number)
        self.counts[row.device] = self.counts.get(row.device, 0) + len(reading.values)
        self._values += len(reading.values)
