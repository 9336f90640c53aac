"""Idempotency keys in a SQLite file."""

from pathlib import Path

from chalicelib.adapters.memory_idempotency import KEPT_MS, known
from chalicelib.adapters.sqlite import Database
from chalicelib.ports import Attempt

MIGRATIONS = (
    """
    CREATE TABLE attempts (
        caller TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        answer TEXT,
        PRIMARY KEY (caller, key)
    ) WITHOUT ROWID;
    CREATE INDEX attempts_started ON attempts (started_ms)
    """,
)

_READ = "SELECT fingerprint, started_ms, answer FROM attempts WHERE caller = ? AND key = ? AND started_ms > ?"
_BEGIN = "INSERT OR REPLACE INTO attempts (caller, key, fingerprint, started_ms) VALUES (?, ?, ?, ?)"
_FINISH = "UPDATE attempts SET answer = ? WHERE caller = ? AND key = ? AND answer IS NULL"


class SqliteIdempotency:
    """First answers by (caller, key), for all processes on the file; durable when a call returns.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, MIGRATIONS)

    def begin(self, caller: str, key: str, fingerprint: str, *, now_ms: int) -> Attempt:
        alive = (caller, key, now_ms - KEPT_MS)
        with self.database.reading() as connection:
            first = connection.execute(_READ, alive).fetchone()
        if first is None:
            with self.database.transaction() as connection:
                first = connection.execute(_READ, alive).fetchone()
                if first is None:
                    first = (fingerprint, now_ms, None)
                    connection.execute(_BEGIN, (caller, key, fingerprint, now_ms))
        return known(fingerprint, *first)

    def finish(self, caller: str, key: str, answer: str) -> None:
        with self.database.transaction() as connection:
            connection.execute(_FINISH, (answer, caller, key))

    def expire(self, *, before_ms: int) -> int:
        with self.database.transaction() as connection:
            return connection.execute("DELETE FROM attempts WHERE started_ms < ?", (before_ms,)).rowcount
