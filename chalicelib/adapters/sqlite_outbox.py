"""What a broker is to be told, in devices.db: the entries commit with the changes that they are about."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from chalicelib.adapters.sqlite_registry import registry
from chalicelib.model import DeviceRef
from chalicelib.ports import BrokerChange

_FREE = "(hidden_until_ms <= :now_ms OR hidden_until_ms > :until_ms)"


class SqliteBrokerOutbox:
    """`BrokerOutbox` in the file of `SqliteDevices`, which writes to it when it was made with `outbox=True`.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self._database = registry(path)

    def take(self, *, limit: int, hidden_s: float, now_ms: int) -> list[BrokerChange]:
        values = {"now_ms": now_ms, "until_ms": now_ms + int(hidden_s * 1000), "limit": limit}
        chosen = f"SELECT number FROM broker_outbox WHERE {_FREE} ORDER BY number LIMIT :limit"
        with self._database.reading() as connection:
            if connection.execute(chosen, values).fetchone() is None:
                return []  # most calls; a write transaction would drop what all processes have cached
        with self._database.transaction() as connection:
            hide = (
                f"UPDATE broker_outbox SET hidden_until_ms = :until_ms WHERE number IN ({chosen}) "
                "RETURNING number, tenant, device_id, seed"
            )
            rows = sorted(connection.execute(hide, values).fetchall())
        return [BrokerChange(number, DeviceRef(tenant, device_id), seed) for number, tenant, device_id, seed in rows]

    def settle(self, changes: Iterable[BrokerChange]) -> None:
        settled = list(changes)
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM broker_outbox WHERE number = ?", [(each.number,) for each in settled])
            _show(connection, settled)

    def release(self, changes: Iterable[BrokerChange]) -> None:
        with self._database.transaction() as connection:
            _show(connection, changes)

    def waiting(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        wanted = set(devices)
        query = "SELECT tenant, device_id FROM broker_outbox WHERE device_id IN (SELECT value FROM json_each(?))"
        with self._database.reading() as connection:
            rows = connection.execute(query, (json.dumps([device.id for device in wanted]),))
            return wanted.intersection(DeviceRef(*row) for row in rows)

    def count(self) -> int:
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM broker_outbox").fetchone()[0])

    def close(self) -> None:
        """Close the calling thread's connection; the next call opens a new one."""
        self._database.close()


def note_change(connection: sqlite3.Connection, device: DeviceRef, seed: str = "") -> None:
    """Give the device's entry a new number, within the transaction of *connection*; see `BrokerOutbox`."""
    connection.execute(
        "INSERT OR REPLACE INTO broker_outbox (device_id, tenant, seed, hidden_until_ms) "
        "SELECT :id, :tenant, coalesce(nullif(:seed, ''), entry.seed, ''), coalesce(entry.hidden_until_ms, 0) "
        "FROM (SELECT 1) LEFT JOIN broker_outbox AS entry ON entry.device_id = :id",
        {"id": device.id, "tenant": device.tenant, "seed": seed},
    )


def forget_seed(connection: sqlite3.Connection, device: DeviceRef) -> None:
    """Drop the seed of a removed device's key."""
    connection.execute("UPDATE broker_outbox SET seed = '' WHERE device_id = ?", (device.id,))


def _show(connection: sqlite3.Connection, changes: Iterable[BrokerChange]) -> None:
    """Show the entries of these devices, whatever their number is by now."""
    ids = [(change.device.id,) for change in changes]
    connection.executemany("UPDATE broker_outbox SET hidden_until_ms = 0 WHERE device_id = ?", ids)
