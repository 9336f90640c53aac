"""The file of the SQLite queue: its size, its schema, and what is no such file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters import sqlite_queue_tables as tables
from chalicelib.adapters.sqlite import Database, NewerSchemaError
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.errors import Unavailable
from tests.contract.queues import NOW_MS, opened, receive, send, take_one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the queue under test is."""
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path: Path) -> Iterator[SqliteQueue]:
    """An empty queue."""
    queue = SqliteQueue(path)
    yield queue
    queue.close()


def test_space_of_a_backlog_is_given_back_when_the_queue_is_idle(path: Path, queue: SqliteQueue) -> None:
    for _ in range(2):
        send(queue, *["x" * 1_000_000] * 40)
    while messages := receive(queue):
        queue.delete([message.receipt for message in messages], now_ms=NOW_MS)
    take_one(queue)
    queue.close()

    assert path.stat().st_size < 10_000_000


def test_space_of_deleted_messages_is_used_again(path: Path, queue: SqliteQueue) -> None:
    for _ in range(20):
        send(queue, *["x" * 100_000] * 10)
        queue.delete([message.receipt for message in receive(queue)], now_ms=NOW_MS)
    queue.close()

    assert path.stat().st_size < 5_000_000


@pytest.mark.parametrize("version", range(len(tables.MIGRATIONS) + 1))
def test_every_earlier_schema_is_brought_forward(path: Path, version: int) -> None:
    earlier = Database(path, tables.MIGRATIONS[:version])
    earlier.migrate()
    earlier.close()

    with opened("sqlite", path.parent) as queue:
        message = take_one(queue)
        queue.delete([message.receipt], now_ms=NOW_MS)

        assert queue.ledger().stored == 1


def test_newer_schema_is_refused(path: Path) -> None:
    newer = Database(path, [*tables.MIGRATIONS, "CREATE TABLE later (id INTEGER)"])
    newer.migrate()
    newer.close()

    queue = SqliteQueue(path)

    with pytest.raises(NewerSchemaError, match="upgrade"):
        queue.ledger()
    with pytest.raises(NewerSchemaError):
        queue.send("body", readings=1, now_ms=NOW_MS)
    queue.close()


def test_file_that_is_no_database_is_unavailable(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    queue = SqliteQueue(path)

    with pytest.raises(Unavailable):
        queue.check()
    with pytest.raises(Unavailable):
        queue.send("body", readings=1, now_ms=NOW_MS)
    queue.close()


def test_constructor_touches_nothing(path: Path) -> None:
    SqliteQueue(path).close()

    assert not path.exists()
