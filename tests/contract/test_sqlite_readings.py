"""The embedded store as a file: what lies in it, several processes, kills, old and new schemas, sick disks."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chalicelib.adapters.sqlite import Database, NewerSchemaError
from chalicelib.adapters.sqlite_readings import MIGRATIONS, SqliteReadings
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading, Value
from tests.contract.reading_writer import READINGS_PER_WRITE

DEVICE = DeviceRef("default", 7)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "var" / "telemetry.db"


def at(timestamp_ms: int, **values: Value) -> Reading:
    """A reading of the device."""
    return Reading(DEVICE, timestamp_ms, values)


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What plain SQL finds in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_points_lie_in_the_file_as_documented(path: Path) -> None:
    SqliteReadings(path).write([at(1000, i=5, f=1.0, t="x", b=True), at(1001, b=False)])
    found = query(
        path,
        "SELECT tenant, device.id, measurement, ts_ms, typeof(v), hex(v) FROM device"
        " JOIN series ON series.device = device.key JOIN point ON point.series = series.id ORDER BY measurement, ts_ms",
    )
    assert found == [
        ("default", 7, "b", 1000, "blob", "01"),
        ("default", 7, "b", 1001, "blob", "00"),
        ("default", 7, "f", 1000, "real", "312E30"),
        ("default", 7, "i", 1000, "integer", "35"),
        ("default", 7, "t", 1000, "text", "78"),
    ]
    assert query(path, "SELECT count(*) FROM reading") == [(2,)]


def test_file_is_durable_and_lets_readers_read(path: Path) -> None:
    store = SqliteReadings(path)
    store.write([at(1, m=1)])
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM point")
        assert store.latest(DEVICE) == {"m": (1, 1)}
        assert store.count(DEVICE) == 1


def test_two_stores_on_one_file_see_each_other(path: Path) -> None:
    one, two = SqliteReadings(path), SqliteReadings(path)
    one.write([at(1, a=1)])
    two.write([at(2, a=2, b=True)])
    one.write([at(3, b=False)])
    assert one.latest(DEVICE) == two.latest(DEVICE) == {"a": (2, 2), "b": (3, False)}
    assert one.count(DEVICE) == two.count(DEVICE) == 3


def test_a_purge_elsewhere_never_swallows_a_write(path: Path) -> None:
    """Ids that a store remembers may be gone: the write after must give new ones."""
    one, two = SqliteReadings(path), SqliteReadings(path)
    one.write([at(1, a=1)])
    two.purge(DEVICE)
    one.write([at(2, a=2)])
    assert two.latest(DEVICE) == {"a": (2, 2)}
    assert one.count(DEVICE) == 1


def test_ids_of_a_failed_write_are_not_remembered(path: Path) -> None:
    store = SqliteReadings(path)
    store.write([at(1, a=1)])
    trigger = "CREATE TRIGGER full BEFORE INSERT ON reading BEGIN SELECT RAISE(ABORT, 'full'); END"
    query(path, trigger)
    with pytest.raises(sqlite3.IntegrityError):
        store.write([at(2, b=2)])
    query(path, "DROP TRIGGER full")
    store.write([at(2, b=2)])
    assert store.latest(DEVICE) == {"a": (1, 1), "b": (2, 2)}


def test_ids_are_never_reused(path: Path) -> None:
    store = SqliteReadings(path)
    store.write([at(1, a=1)])
    before = query(path, "SELECT id FROM series")
    store.purge(DEVICE)
    store.write([at(1, a=1)])
    assert query(path, "SELECT id FROM series") > before


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_file_of_every_earlier_version_is_migrated(path: Path, version: int) -> None:
    Database(path, MIGRATIONS[:version]).migrate()
    store = SqliteReadings(path)
    assert store.migrate() == len(MIGRATIONS)
    store.write([at(1, m=1)])
    assert store.latest(DEVICE) == {"m": (1, 1)}


def test_a_newer_file_is_refused(path: Path) -> None:
    SqliteReadings(path).migrate()
    query(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(NewerSchemaError, match="upgrade"):
        SqliteReadings(path).count(DEVICE)


CALLS: list[Callable[[SqliteReadings], object]] = [
    lambda store: store.write([at(1, m=1)]),
    lambda store: store.read(DEVICE, start_ms=0, end_ms=9, limit=9),
    lambda store: store.latest(DEVICE),
    lambda store: store.count(DEVICE),
    lambda store: store.delete(DEVICE, start_ms=0, end_ms=9),
    lambda store: store.purge(DEVICE),
    lambda store: store.check(),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_file_that_is_no_database_is_unavailable(path: Path, call: Callable[[SqliteReadings], object]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable):
        call(SqliteReadings(path))


def test_a_folder_in_the_way_is_unavailable(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Unavailable):
        SqliteReadings(path).check()


def test_a_full_disk_is_unavailable_and_loses_nothing(path: Path) -> None:
    store = SqliteReadings(path)
    store.write([at(1, m=1)])
    with store._database.reading() as connection:  # the limit is the connection's
        connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Unavailable):
        store.write([at(n, m="x" * 4000) for n in range(2, 200)])
    store.close()
    assert store.count(DEVICE) == 1
    store.write([at(2, m=2)])
    assert store.latest(DEVICE) == {"m": (2, 2)}


def test_write_ahead_log_shrinks_as_soon_as_no_reader_holds_it(path: Path) -> None:
    """A reader that stays keeps the log growing and delays no write; after it, one commit empties the log."""
    database = Database(path, ["CREATE TABLE t (x)"], wal_limit_bytes=1_000_000)
    wal = path.with_name(path.name + "-wal")
    database.migrate()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        for _ in range(30):
            with database.transaction() as connection:
                connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        assert wal.stat().st_size > 2_000_000
    for _ in range(10):
        with database.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert wal.stat().st_size < 1_500_000
    assert query(path, "SELECT count(*) FROM t") == [(40,)]


@pytest.fixture
def start_writer(path: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Starts a process that writes readings from a number on; ends them all."""
    started: list[subprocess.Popen[str]] = []

    def start(first: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.contract.reading_writer", str(path), str(first)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_kill_in_mid_write_loses_no_acknowledged_reading(
    path: Path, start_writer: Callable[[int], subprocess.Popen[str]]
) -> None:
    """Five rounds; what was not acknowledged is there entirely or not at all."""
    expected = 0
    for _ in range(5):
        writer = start_writer(expected)
        assert writer.stdout is not None
        for _ in range(30):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = int((writer.communicate()[0].split() or [str(acknowledged)])[-1])
        store = SqliteReadings(path)
        numbers: set[int] = set()
        for device in range(1, 6):
            found = store.read(DeviceRef("default", device), start_ms=0, end_ms=10**9, limit=10**6)
            assert all(one.values == {"n": one.timestamp_ms, "even": one.timestamp_ms % 2 == 0} for one in found)
            assert store.count(DeviceRef("default", device)) == len(found)
            numbers |= {one.timestamp_ms for one in found}
        expected = len(numbers)
        assert numbers == set(range(expected))
        assert expected > acknowledged
        assert expected % READINGS_PER_WRITE == 0
        store.close()
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
