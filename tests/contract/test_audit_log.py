"""AuditLog: append-only, in memory, SQLite and DynamoDB."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.adapters.dynamo_audit import DynamoAudit
from chalicelib.adapters.memory_audit import MemoryAudit
from chalicelib.adapters.sqlite_audit import SqliteAudit
from chalicelib.model import AuditEntry
from chalicelib.ports import AuditLog
from tests.contract.dynamo_tables import SEMANTICS, Tables

NOW_MS = 1_700_000_000_000


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def audit(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> AuditLog:
    if request.param in SEMANTICS:
        return DynamoAudit(tables.new(request.param))
    return MemoryAudit() if request.param == "memory" else SqliteAudit(tmp_path / "audit.db")


def entry(number: int, tenant: str = "default") -> AuditEntry:
    return AuditEntry(
        tenant=tenant,
        at_ms=NOW_MS + number,
        actor="token:admin",
        action="device.remove",
        target=f"device:{number}",
        result="ok",
        address="192.0.2.1",
        detail='{"why": "Prüfung; \'quoted\'"}',
    )


def test_audit_keeps_entries_as_they_were_newest_first(audit: AuditLog) -> None:
    for number in range(3):
        audit.append(entry(number))
    page = audit.page("default")
    assert [kept._replace(id=0) for kept in page] == [entry(2), entry(1), entry(0)]
    assert page[0].id > page[1].id > page[2].id > 0


def test_audit_gives_the_ids_itself(audit: AuditLog) -> None:
    audit.append(entry(0)._replace(id=77))
    audit.append(entry(1)._replace(id=77))
    assert len({kept.id for kept in audit.page("default")} - {77}) == 2


def test_audit_of_nobody_is_empty(audit: AuditLog) -> None:
    assert audit.page("default") == []


def test_audit_keeps_tenants_apart(audit: AuditLog) -> None:
    audit.append(entry(1))
    audit.append(entry(2, tenant="other"))
    assert [kept.target for kept in audit.page("default")] == ["device:1"]
    assert [kept.target for kept in audit.page("other")] == ["device:2"]


def test_audit_pages_see_every_entry_once(audit: AuditLog) -> None:
    for number in range(25):
        audit.append(entry(number, tenant="default" if number % 2 else "other"))
    seen: list[AuditEntry] = []
    before_id: int | None = None
    while page := audit.page("default", before_id=before_id, limit=5):
        seen += page
        before_id = page[-1].id
        audit.append(entry(100))
    assert [kept.at_ms - NOW_MS for kept in seen] == [23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1]


@pytest.mark.parametrize("before_id", [-(2**70), 0, 1])
def test_audit_has_nothing_before_the_first_id(audit: AuditLog, before_id: int) -> None:
    audit.append(entry(1))
    assert audit.page("default", before_id=before_id) == []


def test_audit_takes_any_cursor(audit: AuditLog) -> None:
    audit.append(entry(1))
    assert len(audit.page("default", before_id=2**70)) == 1


@pytest.mark.parametrize("audit", ["memory", "sqlite", "dynamodb"], indirect=True)
def test_audit_loses_nothing_over_threads(audit: AuditLog) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(audit.append, (entry(number) for number in range(100))))
    page = audit.page("default", limit=1000)
    assert sorted(kept.at_ms - NOW_MS for kept in page) == list(range(100))
    assert len({kept.id for kept in page}) == 100


def test_audit_has_no_way_to_change_it(audit: AuditLog) -> None:
    assert {name for name in dir(audit) if not name.startswith("_")} - {"database"} == {"append", "page"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET actor = 'somebody else'",
        "DELETE FROM entries",
        "DELETE FROM entries WHERE id = 1",
        "INSERT OR REPLACE INTO entries VALUES (1, 'default', 0, '', '', '', '', '', '')",
        "INSERT INTO entries VALUES (1, 'default', 0, '', '', '', '', '', '') ON CONFLICT DO UPDATE SET actor = ''",
    ],
)
def test_sqlite_audit_refuses_changes_from_other_programs(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "audit.db"
    audit = SqliteAudit(path)
    audit.append(entry(1))
    before = audit.page("default")
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert audit.page("default") == before


def test_sqlite_audit_outlives_the_process(tmp_path: Path) -> None:
    SqliteAudit(tmp_path / "audit.db").append(entry(1))
    assert len(SqliteAudit(tmp_path / "audit.db").page("default")) == 1
