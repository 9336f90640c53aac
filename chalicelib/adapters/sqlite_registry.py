"""devices.db: its schema, and a cache of its rows that is never behind.

Device records and credentials share this file, so that a device and its first key are added in one transaction.
Every commit to it drops what all processes have cached: whatever is written often lives in a file of its own.
"""

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from chalicelib.adapters.sqlite import Database, translated

CAPACITY = 100_000
"""Rows that one process keeps; a device and its credential take about 2 kB."""

MIGRATIONS = (
    """
    CREATE TABLE devices (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        device_type TEXT NOT NULL,
        description TEXT NOT NULL,
        location TEXT NOT NULL,
        firmware_version TEXT NOT NULL,
        hardware_version TEXT NOT NULL,
        status TEXT NOT NULL,
        configuration TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        version INTEGER NOT NULL,
        folded_name TEXT NOT NULL,
        folded_location TEXT NOT NULL,
        UNIQUE (tenant, name)
    ) STRICT;
    CREATE INDEX devices_by_kind ON devices (tenant, status, device_type);
    CREATE INDEX devices_by_tenant ON devices (tenant);
    CREATE TABLE removed_devices (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        removed_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE credentials (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        device_id INTEGER REFERENCES devices (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX credentials_by_device ON credentials (device_id, tenant);
    CREATE INDEX credentials_by_kind ON credentials (tenant, kind, expires_ms);
    """,
    """
    ALTER TABLE credentials ADD COLUMN broker_hash TEXT NOT NULL DEFAULT '';
    CREATE TABLE broker_outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        device_id INTEGER NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        seed TEXT NOT NULL,
        hidden_until_ms INTEGER NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE declarations (
        tenant TEXT NOT NULL,
        device_type TEXT NOT NULL,
        measurement TEXT NOT NULL,
        type TEXT NOT NULL,
        PRIMARY KEY (tenant, device_type, measurement)
    ) STRICT, WITHOUT ROWID;
    """,
)

Key = TypeVar("Key")
Row = TypeVar("Row")


def registry(path: str | Path) -> Database:
    """The file at *path*, which is opened and brought to the newest schema on first use."""
    return Database(path, MIGRATIONS)


class CachedRows(Generic[Key, Row]):
    """Rows of devices.db by key, as of the newest commit of any thread of any process.

    SQLite's ``data_version`` tells a connection, without touching the file, that another connection committed. Each
    thread asks its own connection; the rows are shared by all threads.

    Args:
        database: The file. All writes through this object go through `writing`.
        load: Reads one row, or None when there is none.
        capacity: When so many rows are kept, all are dropped.

    Source: https://www.sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(
        self, database: Database, load: Callable[[sqlite3.Connection, Key], Row | None], *, capacity: int = CAPACITY
    ) -> None:
        self._database = database
        self._load = load
        self._capacity = capacity
        self._rows: dict[Key, Row] = {}
        self._seen = _Seen()
        self._revisions = itertools.count(1)
        self._revision = 0

    def get(self, key: Key) -> Row | None:
        """The row of *key*, or None; a row that is absent is looked up each time.

        Rows are dropped by putting a new dictionary in place, and each call holds on to the one it found before it
        asked for the version: a row that another thread read too early lands in a dictionary that nobody uses.
        """
        rows = self._rows
        connection = self._database.connection()
        with translated(self._database.path):
            if self._behind(connection):
                rows = self._dropped()
            row = rows.get(key)
            if row is None:
                row = self._load(connection, key)
                if row is not None:
                    self._keep(rows, key, row)
        return row

    def revision(self) -> int:
        """Another number after every commit of any thread of any process, and when a thread asks for the first time."""
        connection = self._database.connection()
        with translated(self._database.path):
            if self._behind(connection):
                self._dropped()
        return self._revision

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed at the end, rolled back by any exception."""
        try:
            with self._database.transaction() as connection:
                yield connection
        finally:
            # data_version does not tell this thread's connection of its own commit.
            self._dropped()

    def _behind(self, connection: sqlite3.Connection) -> bool:
        """Whether somebody committed since this thread asked last."""
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        seen = self._seen
        if seen.version == version and seen.connection is connection:
            return False
        seen.version, seen.connection = version, connection
        return True

    def _dropped(self) -> dict[Key, Row]:
        """A new, empty dictionary in place of the rows."""
        rows: dict[Key, Row] = {}
        self._rows = rows
        self._revision = next(self._revisions)
        return rows

    def _keep(self, rows: dict[Key, Row], key: Key, row: Row) -> None:
        if len(rows) >= self._capacity:
            rows.clear()
        rows[key] = row


class _Seen(threading.local):
    """The version that a thread's connection told last; it means nothing to another connection."""

    version: int | None = None
    connection: sqlite3.Connection | None = None
