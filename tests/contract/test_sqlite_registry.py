"""devices.db: what is in the file, how it comes forward, and the cache before it."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.adapters.sqlite_credentials import SqliteCredentials
from chalicelib.adapters.sqlite_devices import SqliteDevices
from chalicelib.adapters.sqlite_registry import MIGRATIONS, CachedRows, registry
from chalicelib.errors import Conflict, Unavailable
from chalicelib.keys import new_key
from chalicelib.model import Credential, CredentialKind
from tests.contract.device_records import NOW_MS, draft, key, sqlite
from tests.contract.processes import in_processes

PEPPER = b"a pepper of thirty-two bytes ..."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.db"


def script(path: Path, text: str) -> None:
    """Run SQL on the file, past all adapters."""
    connection = sqlite3.connect(path)
    connection.executescript(text)
    connection.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_file_of_every_earlier_version_is_brought_forward(path: Path, version: int) -> None:
    script(path, ";".join([*MIGRATIONS[:version], f"PRAGMA user_version = {version}"]))
    added = sqlite(path).add("pump")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()
    assert sqlite(path).devices.find("default", "pump") == added


def test_file_of_version_1_keeps_its_rows(path: Path) -> None:
    """Written out in full: this is what the first release left on disks."""
    script(
        path,
        f"""{MIGRATIONS[0]};
        INSERT INTO devices VALUES (7, 'default', 'Pump', 'motor', 'd', 'Hall', '1', '2', 'maintenance',
            '{{"rate": [5, "integer", 3]}}', '["a"]', 1, 2, 4, 'pump', 'hall');
        INSERT INTO removed_devices VALUES (6, 'default', 9);
        INSERT INTO credentials VALUES ('k', 'default', 'device_key', 'dd', 7, 'spare', '[]', 1, NULL);
        INSERT INTO credentials VALUES ('t', 'default', 'token', 'ee', NULL, 'ci', '["admin"]', 1, 8);
        PRAGMA user_version = 1;""",
    )
    records = sqlite(path)
    pump = records.devices.find("default", "Pump")
    assert pump is not None
    assert (pump.id, pump.version, pump.status, pump.tags) == (7, 4, "maintenance", ("a",))
    assert pump.configuration["rate"] == (5, "integer", 3)
    assert [ref.id for ref in records.devices.removed(before_ms=10)] == [6]
    assert records.credentials.of_device(pump.ref)[0].digest == "dd"
    token = records.credentials.get("t")
    assert token is not None
    assert (token.kind, token.scopes, token.expires_ms) == (CredentialKind.TOKEN, frozenset({"admin"}), 8)
    assert records.add().id == 8


def test_file_of_a_newer_release_is_refused_and_left_alone(path: Path) -> None:
    script(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}; CREATE TABLE future (id)")
    records = sqlite(path)
    for call in (records.devices.check, records.add, lambda: records.credentials.get("k")):
        with pytest.raises(NewerSchemaError, match="upgrade"):
            call()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("future",)]
    connection.close()


def test_file_that_is_no_database_is_unavailable(path: Path) -> None:
    path.write_bytes(b"not a database, " * 1000)
    records = sqlite(path)
    for call in (records.devices.check, records.add, lambda: records.credentials.get("k")):
        with pytest.raises(Unavailable) as refused:
            call()
        assert str(path.parent) not in refused.value.message


def test_repositories_open_nothing_before_the_first_call(path: Path) -> None:
    sqlite(path)
    assert not path.exists()


def test_closed_repositories_open_the_file_again(path: Path) -> None:
    devices, credentials, first = SqliteDevices(path), SqliteCredentials(path), key()
    added = devices.add(draft(), first, now_ms=NOW_MS)
    devices.close()
    credentials.close()
    assert devices.get(added.ref) == added
    assert credentials.get(first.id) is not None


def test_files_never_hold_a_key(path: Path) -> None:
    """Neither the file nor its log, after a life with keys of both kinds; the digests are there."""
    records = sqlite(path)
    device_key = new_key(CredentialKind.DEVICE_KEY, pepper=PEPPER)
    first = Credential(id=device_key.id, kind=CredentialKind.DEVICE_KEY, digest=device_key.digest, created_ms=NOW_MS)
    records.devices.add(draft(), first, now_ms=NOW_MS)
    admin = new_key(CredentialKind.TOKEN, pepper=PEPPER)
    token = Credential(id=admin.id, kind=CredentialKind.TOKEN, digest=admin.digest, name="ci", created_ms=NOW_MS)
    records.credentials.add(token, now_ms=NOW_MS)
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for made in (device_key, admin):
        secret = made.text.rsplit("_", 1)[1]
        assert made.digest.encode() in kept
        assert made.text.encode() not in kept
        assert secret.encode() not in kept
        assert secret[:16].encode() not in kept
    assert PEPPER not in kept


def register_pump(path: str) -> str:
    """In a process of its own: try to add a device of one certain name."""
    try:
        sqlite(Path(path)).add("pump")
    except Conflict as refused:
        return refused.code
    return "added"


def revoke(path: str, key_id: str, tenant: str = "default") -> bool:
    """In a process of its own: revoke a key."""
    return sqlite(Path(path)).credentials.remove(tenant, key_id)


def test_two_processes_that_add_one_name_have_one_winner(path: Path) -> None:
    assert sorted(in_processes(2, register_pump, str(path))) == ["added", "name_taken"]
    assert sqlite(path).devices.stats("default", now_ms=NOW_MS).keys == 1


def test_revocation_by_another_process_is_seen_by_the_very_next_get(path: Path) -> None:
    records, first = sqlite(path), key()
    records.devices.add(draft(), first, now_ms=NOW_MS)
    assert records.credentials.get(first.id) is not None
    assert list(in_processes(1, revoke, str(path), first.id)) == [True]
    assert records.credentials.get(first.id) is None


class Numbers:
    """A row that counts its reads: the number of removed devices.

    Args:
        pause: Called between a read and its return, so that a test can let others act just then.
    """

    def __init__(self, path: Path, *, capacity: int = 100, pause: Callable[[], None] = lambda: None) -> None:
        self.reads = 0
        self._pause = pause
        self.database = registry(path)
        self.rows: CachedRows[str, int] = CachedRows(self.database, self._read, capacity=capacity)

    def _read(self, connection: sqlite3.Connection, key: str) -> int | None:
        self.reads += 1
        (number,) = connection.execute("SELECT count(*) FROM removed_devices").fetchone()
        self._pause()
        return None if key == "absent" else int(number)


def grow(rows: CachedRows[str, int], *times_ms: int | None) -> None:
    """Add removed devices in one transaction, which None makes fail."""
    with rows.writing() as connection:
        for at_ms in times_ms or (0,):
            connection.execute("INSERT INTO removed_devices (tenant, removed_ms) VALUES ('default', ?)", (at_ms,))


def test_cache_reads_a_row_once_for_all_threads(path: Path) -> None:
    numbers = Numbers(path)
    with ThreadPoolExecutor(1) as other:
        other.submit(numbers.rows.get, "a").result()
        numbers.rows.get("a")
        before = numbers.reads
        for _ in range(3):
            assert numbers.rows.get("a") == other.submit(numbers.rows.get, "a").result() == 0
    assert numbers.reads == before


def test_cache_does_not_keep_what_is_absent(path: Path) -> None:
    """Nobody can push out the rows of others by asking for ids that do not exist."""
    numbers = Numbers(path, capacity=1)
    numbers.rows.get("a")
    assert [numbers.rows.get("absent"), numbers.rows.get("absent")] == [None, None]
    before = numbers.reads
    numbers.rows.get("a")
    assert numbers.reads == before == 3


def test_cache_stays_within_its_capacity(path: Path) -> None:
    numbers = Numbers(path, capacity=2)
    for name in ("a", "b", "a", "b"):
        numbers.rows.get(name)
    assert numbers.reads == 2
    numbers.rows.get("c")
    numbers.rows.get("a")
    assert numbers.reads == 4


def test_cache_is_right_after_a_write_that_failed(path: Path) -> None:
    numbers = Numbers(path)
    numbers.rows.get("a")
    with pytest.raises(sqlite3.IntegrityError):
        grow(numbers.rows, 0, None)
    assert numbers.rows.get("a") == 0
    grow(numbers.rows)
    assert numbers.rows.get("a") == 1


@pytest.mark.parametrize("writer", ["same object", "another object"])
def test_cache_never_keeps_a_row_that_was_read_before_a_commit(path: Path, writer: str) -> None:
    """A slow thread reads a row; before it can keep it, the row changes and another thread sees the new one."""
    other, fast, chances = ThreadPoolExecutor(1), list[int | None](), iter([True])

    def change_and_read() -> int | None:
        grow(numbers.rows if writer == "same object" else Numbers(path).rows)
        return numbers.rows.get("a")

    def overtake() -> None:
        if next(chances, False):
            fast.append(other.submit(change_and_read).result(timeout=10))

    with other:
        numbers = Numbers(path, pause=overtake)
        assert numbers.rows.get("a") == 0
        assert fast == [1]
        assert other.submit(numbers.rows.get, "a").result() == 1
        assert numbers.rows.get("a") == 1


def test_cache_is_not_fooled_by_the_version_of_a_new_connection(path: Path) -> None:
    """Versions count from the same number on every connection."""
    numbers, other = Numbers(path), Numbers(path)
    assert numbers.rows.get("a") == 0
    numbers.database.close()
    grow(other.rows)
    assert numbers.rows.get("a") == 1
