"""Leases in the queue's SQLite file: what a tenure does there can be bound to it in one transaction."""

from pathlib import Path
from sqlite3 import Connection

from chalicelib.adapters import sqlite_queue_tables as tables
from chalicelib.adapters.sqlite import Database
from chalicelib.ports import Tenant, Tenure

_ACQUIRE = """
    INSERT INTO lease (name, number, holder, expires_ms, note) VALUES (:name, 1, :holder, :expires_ms, '')
    ON CONFLICT DO UPDATE
        SET number = number + 1, holder = excluded.holder, expires_ms = excluded.expires_ms, note = ''
        WHERE holder = excluded.holder OR expires_ms <= :now_ms OR expires_ms > excluded.expires_ms
    RETURNING number
"""
_RENEW = "UPDATE lease SET expires_ms = :expires_ms, note = :note WHERE name = :name AND number = :number"
_RELEASE = "UPDATE lease SET expires_ms = 0, holder = '', note = '' WHERE name = :name AND number = :number"


class SqliteLease:
    """`Lease` for the processes of one machine.

    Args:
        path: The queue's file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, tables.MIGRATIONS)

    def acquire(self, name: str, holder: str, *, ttl_s: float, now_ms: int) -> Tenure | None:
        values = {"name": name, "holder": holder, "now_ms": now_ms, "expires_ms": now_ms + round(ttl_s * 1000)}
        with self.database.transaction() as connection:
            rows = connection.execute(_ACQUIRE, values).fetchall()
        return Tenure(name, rows[0][0]) if rows else None

    def renew(self, tenure: Tenure, *, ttl_s: float, now_ms: int, note: str = "") -> bool:
        values = {**tenure._asdict(), "expires_ms": now_ms + round(ttl_s * 1000), "note": note}
        with self.database.transaction() as connection:
            return connection.execute(_RENEW, values).rowcount == 1

    def release(self, tenure: Tenure) -> None:
        with self.database.transaction() as connection:
            connection.execute(_RELEASE, tenure._asdict())

    def tenant(self, name: str, *, now_ms: int) -> Tenant | None:
        query = "SELECT holder, expires_ms, note FROM lease WHERE name = ? AND expires_ms > ?"
        with self.database.reading() as connection:
            row = connection.execute(query, (name, now_ms)).fetchone()
        return None if row is None else Tenant(*row)


def act(connection: Connection, tenure: Tenure, *, stamped_ms: int) -> bool:
    """Within a transaction: note what a tenure did last; False when another has begun, and it must do nothing."""
    query = "UPDATE lease SET stamped_ms = max(stamped_ms, ?) WHERE name = ? AND number = ?"
    return connection.execute(query, (stamped_ms, tenure.name, tenure.number)).rowcount == 1


def stamped_ms(connection: Connection, name: str) -> int:
    """The latest time that a tenure gave to a reading."""
    row = connection.execute("SELECT stamped_ms FROM lease WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])
