"""One SQLite file: a connection per thread, a schema that only migrates forward, errors in the ports' words."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

from chalicelib.errors import Unavailable

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction; the embedded store's longest is well under a second."""
_CHECKPOINT_WAIT_MS = 250
_LOCK_POLL_S = 0.0005


class NewerSchemaError(RuntimeError):
    """The file was written by a newer release: upgrade, or restore a backup made by this one."""


class Database:
    """A file and its numbered migrations.

    Opening a connection migrates the file, so that every way to run works without a step before it.

    Args:
        path: The file; its folder is made when missing.
        migrations: Scripts of SQL; the n-th brings a file of version n to version n + 1. Never edit one that was
            released, only append.
        synchronous: ``FULL`` survives power loss; ``NORMAL`` survives a kill, for what may be lost.
        checkpoint_pages: Pages of 4 kB in the write-ahead log after which a commit tries to move them into the file.
            Large transactions want more of them.
        wal_limit_bytes: From this size on a commit empties the write-ahead log even if that takes waiting for readers:
            the automatic checkpoints wait for nobody and never get to the end of the log while readers overlap.
    """

    def __init__(
        self,
        path: str | Path,
        migrations: Sequence[str],
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        checkpoint_pages: int = 1000,
        wal_limit_bytes: int = 128 * 1024 * 1024,
    ) -> None:
        self.path = Path(path)
        self._migrations = migrations
        self._synchronous = synchronous
        self._checkpoint_pages = checkpoint_pages
        self._wal_path = self.path.with_name(self.path.name + "-wal")
        self._wal_limit_bytes = wal_limit_bytes
        self._truncate_from_bytes = wal_limit_bytes
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        """The calling thread's connection, in autocommit mode, opened on first use.

        Raises:
            Unavailable: The file cannot be opened.
            NewerSchemaError: The file's schema is newer than this release.
        """
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with translated(self.path):
                connection = self._open()
            self._local.connection = connection
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed at the end, rolled back by any exception."""
        connection = self.connection()
        with translated(self.path):
            _begin(connection)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._bound_wal(connection)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: all its statements see the same commit. Keep it short, it holds up checkpoints."""
        connection = self.connection()
        with translated(self.path):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The calling thread's connection, with errors translated; each statement sees the newest commit."""
        connection = self.connection()
        with translated(self.path):
            yield connection

    def migrate(self) -> int:
        """Bring the file to the newest schema and return its version."""
        connection = self.connection()
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def check(self) -> None:
        """Read from the file."""
        with self.reading() as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def close(self) -> None:
        """Close the calling thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            # When several open a new file at once, SQLite refuses here without waiting.
            _insist(connection, "PRAGMA journal_mode = WAL", BUSY_TIMEOUT_S)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            # Some builds, Debian's for one, overwrite every freed page with zeros: four times the writing of a delete.
            connection.execute("PRAGMA secure_delete = FAST")
            connection.execute(f"PRAGMA wal_autocheckpoint = {self._checkpoint_pages}")
            self._bring_forward(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _bound_wal(self, connection: sqlite3.Connection) -> None:
        """Empty a write-ahead log that has grown beyond the limit. The commit stands, whatever happens here."""
        with suppress(sqlite3.OperationalError, OSError):
            size_bytes = self._wal_path.stat().st_size
            if size_bytes < self._truncate_from_bytes:
                return
            connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT_MS}")
            try:
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
            # A reader that stays longer than the wait must not slow every commit.
            self._truncate_from_bytes = size_bytes + self._wal_limit_bytes // 2 if busy else self._wal_limit_bytes

    def _bring_forward(self, connection: sqlite3.Connection) -> None:
        newest = len(self._migrations)
        if connection.execute("PRAGMA user_version").fetchone()[0] == newest:
            return
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > newest:
            connection.execute("ROLLBACK")
            message = f"{self.path} has schema {version}, this release knows up to {newest}: upgrade IoTFlow"
            raise NewerSchemaError(message)
        for script in self._migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")


class _Translation:
    """A class, not a generator: every look-up of every request passes through one, and this is three times as fast."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing is needed before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.DatabaseError | OSError) and not _is_bug(error):
            message = f"The database {self._path.name} does not answer"
            raise Unavailable(message) from error


def translated(path: Path) -> _Translation:
    """Turn what SQLite says about a sick file into `Unavailable`; a wrong statement stays a bug."""
    return _Translation(path)


def _begin(connection: sqlite3.Connection) -> None:
    """Wait for the write lock as long as the connection's busy timeout says, by asking often.

    SQLite's own waiting sleeps longer and longer, up to 100 ms, so whoever waits longest is overtaken most: of two
    processes with one sender each, the 99th percentile was 12 to 49 ms, with this it is 5 to 14 ms.
    """
    timeout_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        _insist(connection, "BEGIN IMMEDIATE", timeout_ms / 1000)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")


def _insist(connection: sqlite3.Connection, statement: str, timeout_s: float) -> None:
    """Execute *statement* as soon as the file is not locked."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(_LOCK_POLL_S)
        else:
            return


def _statements(script: str) -> Iterator[str]:
    """The statements of *script*; a trigger's body has semicolons of its own."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _is_bug(error: Exception) -> bool:
    """Whether the statement, not the file, is at fault: SQLITE_ERROR is SQLite's code for bad SQL."""
    of_the_statement = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError | sqlite3.DataError
    return isinstance(error, of_the_statement) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
