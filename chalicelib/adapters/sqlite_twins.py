"""Twins in commands.db."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from chalicelib.adapters.sqlite import Database
from chalicelib.adapters.sqlite_commands import MIGRATIONS, raise_revision, read_revision
from chalicelib.errors import Conflict
from chalicelib.model import DeviceRef, Twin

_COLUMNS = "tenant, device_id, desired, reported, version, desired_updated_ms, reported_updated_ms"
_PUT = f"INSERT OR REPLACE INTO twins ({_COLUMNS}, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteTwins:
    """`TwinRepository` in one SQLite file.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, MIGRATIONS)

    def get(self, device: DeviceRef) -> Twin:
        query = f"SELECT {_COLUMNS} FROM twins WHERE tenant = ? AND device_id = ?"
        with self.database.reading() as connection:
            row = connection.execute(query, device).fetchone()
        return Twin(device=device) if row is None else _twin(row)

    def put(self, twin: Twin) -> Twin:
        query = "SELECT version FROM twins WHERE tenant = ? AND device_id = ?"
        with self.database.transaction() as connection:
            stored = connection.execute(query, twin.device).fetchone()
            if (stored[0] if stored else 0) != twin.version:
                raise Conflict("The twin was changed meanwhile", field="version", code="stale_version")
            written = replace(twin, version=twin.version + 1)
            connection.execute(_PUT, (*_row(written), raise_revision(connection, "twins")))
        return written

    def changed(self, *, since: int, limit: int = 1000) -> list[Twin]:
        query = f"SELECT {_COLUMNS} FROM twins WHERE revision > ? ORDER BY revision LIMIT ?"
        with self.database.reading() as connection:
            return [_twin(row) for row in connection.execute(query, (since, limit))]

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        with self.database.transaction() as connection:
            connection.executemany("DELETE FROM twins WHERE tenant = ? AND device_id = ?", devices)
            raise_revision(connection, "twins")

    def revision(self) -> int:
        return read_revision(self.database, "twins")

    def check(self) -> None:
        self.database.check()


def _row(twin: Twin) -> tuple[str | int | None, ...]:
    """The values of `_COLUMNS`."""
    return (
        *twin.device,
        json.dumps(dict(twin.desired)),
        json.dumps(dict(twin.reported)),
        twin.version,
        twin.desired_updated_ms,
        twin.reported_updated_ms,
    )


def _twin(row: tuple[Any, ...]) -> Twin:
    """The twin of a row of `_COLUMNS`."""
    tenant, device_id, desired, reported, version, desired_ms, reported_ms = row
    return Twin(
        device=DeviceRef(tenant, device_id),
        desired=json.loads(desired),
        reported=json.loads(reported),
        version=version,
        desired_updated_ms=desired_ms,
        reported_updated_ms=reported_ms,
    )
