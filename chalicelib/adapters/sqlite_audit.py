"""The audit log in a SQLite file."""

from pathlib import Path

from chalicelib.adapters.sqlite import Database
from chalicelib.model import AuditEntry

# The triggers are for whoever comes past this module: INSERT OR REPLACE fires no delete trigger, hence the third.
MIGRATIONS = (
    """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        result TEXT NOT NULL,
        address TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX entries_tenant ON entries (tenant, id);
    CREATE TRIGGER entries_update BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER entries_delete BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER entries_replace BEFORE INSERT ON entries WHEN EXISTS (SELECT 1 FROM entries WHERE id = new.id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
)

_APPEND = """
    INSERT INTO entries (tenant, at_ms, actor, action, target, result, address, detail)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_PAGE = """
    SELECT tenant, at_ms, actor, action, target, result, address, detail, id FROM entries
    WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?
"""
_AFTER_ALL = 2**63 - 1


class SqliteAudit:
    """Append-only, also for other programs on the file: triggers refuse every change. Durable when `append` returns.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, MIGRATIONS)

    def append(self, entry: AuditEntry) -> None:
        with self.database.transaction() as connection:
            connection.execute(_APPEND, entry[:-1])

    def page(self, tenant: str, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        before_id = _AFTER_ALL if before_id is None else min(max(before_id, 0), _AFTER_ALL)
        with self.database.reading() as connection:
            return [AuditEntry(*row) for row in connection.execute(_PAGE, (tenant, before_id, limit))]
