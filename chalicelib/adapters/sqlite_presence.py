"""Presence in a SQLite file."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from chalicelib.adapters.sqlite import Database
from chalicelib.model import DeviceRef, Sighting

MIGRATIONS = (
    """
    CREATE TABLE sightings (
        tenant TEXT NOT NULL,
        device_id INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        online INTEGER NOT NULL,
        PRIMARY KEY (tenant, device_id)
    ) WITHOUT ROWID;
    CREATE INDEX sightings_online ON sightings (tenant, at_ms) WHERE online
    """,
)

_MARK = """
    INSERT INTO sightings (tenant, device_id, at_ms, online) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, online = excluded.online
    WHERE (excluded.at_ms, NOT excluded.online) > (at_ms, NOT online)
"""
_READ = """
    SELECT device_id, at_ms, online FROM sightings
    WHERE tenant = ? AND device_id IN (SELECT value FROM json_each(?))
"""


class SqlitePresence:
    """The newest sighting of every device. At the same millisecond the goodbye wins, whatever the order.

    Written often and worth little: a power cut may lose the last sightings, a kill does not.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, MIGRATIONS, synchronous="NORMAL")

    def mark(self, sightings: Sequence[Sighting]) -> None:
        if not sightings:
            return
        rows = [(seen.device.tenant, seen.device.id, seen.at_ms, seen.online) for seen in sightings]
        with self.database.transaction() as connection:
            connection.executemany(_MARK, rows)

    def read(self, devices: Sequence[DeviceRef]) -> dict[DeviceRef, Sighting]:
        by_tenant: defaultdict[str, list[int]] = defaultdict(list)
        for device in devices:
            by_tenant[device.tenant].append(device.id)
        found = {}
        with self.database.reading() as connection:
            for tenant, ids in by_tenant.items():
                for device_id, at_ms, online in connection.execute(_READ, (tenant, json.dumps(ids))):
                    device = DeviceRef(tenant, device_id)
                    found[device] = Sighting(device, at_ms, bool(online))
        return found

    def online(self, tenant: str, *, since_ms: int) -> frozenset[int]:
        query = "SELECT device_id FROM sightings WHERE tenant = ? AND online AND at_ms >= ?"
        with self.database.reading() as connection:
            return frozenset(row[0] for row in connection.execute(query, (tenant, since_ms)))

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        with self.database.transaction() as connection:
            connection.executemany("DELETE FROM sightings WHERE tenant = ? AND device_id = ?", devices)

    def check(self) -> None:
        self.database.check()
