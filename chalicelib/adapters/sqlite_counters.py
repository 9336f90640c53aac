"""Counters in a SQLite file."""

import json
from pathlib import Path

from chalicelib.adapters.count_buffer import CountBuffer
from chalicelib.adapters.memory_counters import hour_of
from chalicelib.adapters.sqlite import Database
from chalicelib.ports import Labels

BUSY_TIMEOUT_MS = 100
"""How long a flush waits for another process's, which takes well under a millisecond: a request waits for it."""

MIGRATIONS = (
    """
    CREATE TABLE totals (
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        amount REAL NOT NULL,
        PRIMARY KEY (name, labels)
    ) WITHOUT ROWID;
    CREATE TABLE hours (
        name TEXT NOT NULL,
        hour_ms INTEGER NOT NULL,
        labels TEXT NOT NULL,
        amount REAL NOT NULL,
        PRIMARY KEY (name, hour_ms, labels)
    ) WITHOUT ROWID
    """,
)

_ADD_TOTAL = """
    INSERT INTO totals (name, labels, amount) VALUES (:name, :labels, :amount)
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount
"""
_ADD_HOUR = """
    INSERT INTO hours (name, hour_ms, labels, amount) VALUES (:name, :hour_ms, :labels, :amount)
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount
"""
_SINCE = "SELECT labels, sum(amount) FROM hours WHERE name = ? AND hour_ms >= ? GROUP BY labels"

_Counted = tuple[str, Labels, int]
"""Name, labels, and the hour in ms."""


class SqliteCounters:
    """Counts in total and by hour, summed over all processes on the file.

    Each process buffers: the first `add` after a second flushes, and so does every read. Whoever counts rarely calls
    `flush` by the clock and before the process ends. A flush that fails keeps its counts for the next one.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, MIGRATIONS, synchronous="NORMAL")
        self._buffer: CountBuffer[_Counted] = CountBuffer(self._write)

    def add(self, name: str, labels: Labels = (), amount: float = 1, *, now_ms: int) -> None:
        self._buffer.add(amount, (name, labels, hour_of(now_ms)), now_ms=now_ms)

    def flush(self) -> None:
        """Make buffered counts visible to everybody.

        Raises:
            Unavailable: They stay buffered.
        """
        self._buffer.flush()

    def totals(self) -> dict[tuple[str, Labels], float]:
        self.flush()
        with self.database.reading() as connection:
            rows = connection.execute("SELECT name, labels, amount FROM totals")
            return {(name, _labels(text)): amount for name, text, amount in rows}

    def since(self, name: str, *, since_ms: int) -> dict[Labels, float]:
        self.flush()
        with self.database.reading() as connection:
            rows = connection.execute(_SINCE, (name, hour_of(since_ms)))
            return {_labels(text): amount for text, amount in rows}

    def expire(self, *, before_ms: int) -> None:
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM hours WHERE hour_ms < ?", (hour_of(before_ms),))

    def _write(self, counts: dict[_Counted, float]) -> None:
        rows = [
            {"name": name, "labels": json.dumps(labels, separators=(",", ":")), "hour_ms": hour_ms, "amount": amount}
            for (name, labels, hour_ms), amount in counts.items()
        ]
        self.database.connection().execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        with self.database.transaction() as connection:
            connection.executemany(_ADD_TOTAL, rows)
            connection.executemany(_ADD_HOUR, rows)


def _labels(text: str) -> Labels:
    return tuple((name, value) for name, value in json.loads(text))
