"""The SQLite files of the small ports: migrated on first use by whoever comes first, never backwards."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.adapters.sqlite_audit import SqliteAudit
from chalicelib.adapters.sqlite_counters import SqliteCounters
from chalicelib.adapters.sqlite_idempotency import SqliteIdempotency
from chalicelib.adapters.sqlite_presence import SqlitePresence
from chalicelib.errors import Unavailable

Adapter = SqliteAudit | SqliteCounters | SqliteIdempotency | SqlitePresence
Result = TypeVar("Result")

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
    adapter = adapter_class(tmp_path / "x.db")
    with ThreadPoolExecutor(8) as pool:
        assert set(_all(pool, 8, adapter.database.migrate)) == {1}


def _all(pool: ThreadPoolExecutor, times: int, call: Callable[[], Result]) -> list[Result]:
    return [future.result() for future in [pool.submit(call) for _ in range(times)]]
