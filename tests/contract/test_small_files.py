"""The SQLite files of the small ports: migrated on first use by whoever comes first, never backwards."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.adapters.sqlite_audit import SqliteAudit
from chalicelib.adapters.sqlite_counters import SqliteCounters
from chalicelib.adapters.sqlite_idempotency import SqliteIdempotency
from chalicelib.adapters.sqlite_presence import SqlitePresence
from chalicelib.errors import Unavailable

Adapter = SqliteAudit | SqliteCounters | SqliteIdempotency | SqlitePresence

adapters = pytest.mark.parametrize(
    "adapter_class",
    [SqliteAudit, SqliteCounters, SqliteIdempotency, SqlitePresence],
    ids=["audit", "counters", "idempotency", "presence"],
)


@adapters
def test_sqlite_file_is_made_with_its_folder_on_first_use(adapter_class: type[Adapter], tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.db"
    adapter = adapter_class(path)
    assert not path.exists(), "the constructor touches nothing"
    assert adapter.database.migrate() == 1


@adapters
def test_sqlite_file_of_a_newer_release_is_refused(adapter_class: type[Adapter], tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    adapter_class(path).database.migrate()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NewerSchemaError, match="schema 99"):
        adapter_class(path).database.migrate()


@adapters
def test_sqlite_file_that_cannot_be_opened_is_unavailable(adapter_class: type[Adapter], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Unavailable):
        adapter_class(tmp_path / "file" / "x.db").database.migrate()


@adapters
def test_sqlite_file_that_is_no_database_is_unavailable(adapter_class: type[Adapter], tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"certainly not a database" * 100)
    with pytest.raises(Unavailable):
        adapter_class(path).database.migrate()


@adapters
def test_sqlite_file_is_migrated_once_by_many_threads(adapter_class: type[Adapter], tmp_path: Path) -> None:
    """Each thread has a connection of its own, as processes that start together have."""
    barrier = Barrier(8)

    def open_at_once(adapter: Adapter) -> int:
        barrier.wait(10)
        return adapter.database.migrate()

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            assert set(pool.map(open_at_once, [adapter_class(tmp_path / f"{number}.db")] * 8)) == {1}


def test_sqlite_file_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite refuses the switch to the write-ahead log at once, whatever its busy timeout."""
    path = tmp_path / "x.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        version = pool.submit(SqliteAudit(path).database.migrate)
        with pytest.raises(TimeoutError):
            version.result(0.2)
        other.execute("ROLLBACK")
        assert version.result(10) == 1
    other.close()
