"""Device records in devices.db."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from chalicelib.adapters.sqlite_credentials import count_alive_keys, insert_credential
from chalicelib.adapters.sqlite_outbox import forget_seed, note_change
from chalicelib.adapters.sqlite_registry import CachedRows, registry
from chalicelib.errors import Conflict, NotFound
from chalicelib.model import (
    MAX_INT64,
    ConfigEntry,
    Credential,
    Device,
    DeviceDraft,
    DeviceRef,
    DeviceStatus,
)
from chalicelib.ports import DeviceFilter, DeviceStats

_COLUMNS = (
    "id, tenant, name, device_type, description, location, firmware_version, hardware_version, status, "
    "configuration, tags, created_ms, updated_ms, version"
)
_ALL_COLUMNS = f"{_COLUMNS}, folded_name, folded_location"
_PLACES = ", ".join(f":{column}" for column in _ALL_COLUMNS.split(", "))
_CONDITIONS = {
    "status": "status = :status",
    "device_type": "device_type = :device_type",
    "search": "(instr(folded_name, :search) OR instr(folded_location, :search))",
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "exclude_ids": "id NOT IN (SELECT value FROM json_each(:exclude_ids))",
    "tag": "EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag)",
}


class SqliteDevices:
    """`DeviceRepository` in one SQLite file; see `sqlite_registry` for what is in it.

    Args:
        path: The file.
        outbox: Whether a broker is told of changes; see `SqliteBrokerOutbox`.
    """

    def __init__(self, path: str | Path, *, outbox: bool = False) -> None:
        self._database = registry(path)
        self._outbox = outbox
        self._rows: CachedRows[int, Device] = CachedRows(self._database, _load)

    def add(self, draft: DeviceDraft, key: Credential, *, now_ms: int, seed: str = "") -> Device:
        with self._rows.writing() as connection:
            _refuse_taken_name(connection, draft.tenant, draft.name)
            row = _row(Device.added(draft, device_id=0, now_ms=now_ms)) | {"id": None}
            insert = f"INSERT INTO devices ({_ALL_COLUMNS}) VALUES ({_PLACES}) RETURNING id"
            (device_id,) = connection.execute(insert, row).fetchone()
            insert_credential(connection, replace(key, device_id=device_id))
            if self._outbox:
                note_change(connection, DeviceRef(draft.tenant, device_id), seed)
        return Device.added(draft, device_id=device_id, now_ms=now_ms)

    def get(self, device: DeviceRef) -> Device | None:
        found = self._rows.get(device.id) if abs(device.id) <= MAX_INT64 else None
        return found if found is not None and found.tenant == device.tenant else None

    def find(self, tenant: str, name: str) -> Device | None:
        with self._database.reading() as connection:
            query = f"SELECT {_COLUMNS} FROM devices WHERE tenant = ? AND name = ?"
            row = connection.execute(query, (tenant, name)).fetchone()
        return None if row is None else _device(row)

    def update(self, device: Device, *, now_ms: int) -> Device:
        with self._rows.writing() as connection:
            stored = _load(connection, device.id)
            if stored is None or stored.tenant != device.tenant:
                raise NotFound("There is no such device")
            if stored.version != device.version:
                raise Conflict("The device was changed meanwhile", code="stale_version")
            if stored.name != device.name:
                _refuse_taken_name(connection, device.tenant, device.name)
            updated = replace(device, updated_ms=now_ms, version=device.version + 1)
            connection.execute(f"UPDATE devices SET ({_ALL_COLUMNS}) = ({_PLACES}) WHERE id = :id", _row(updated))
            if self._outbox and stored.status != updated.status:
                note_change(connection, device.ref)
        return updated

    def remove(self, device: DeviceRef, *, now_ms: int) -> bool:
        with self._rows.writing() as connection:
            removed = connection.execute("DELETE FROM devices WHERE id = ? AND tenant = ?", (device.id, device.tenant))
            if removed.rowcount == 0:
                return False
            connection.execute(
                "INSERT INTO removed_devices (id, tenant, removed_ms) VALUES (?, ?, ?)",
                (device.id, device.tenant, now_ms),
            )
            if self._outbox:
                note_change(connection, device)
                forget_seed(connection, device)
        return True

    def removed(self, *, before_ms: int, limit: int = 100) -> list[DeviceRef]:
        query = "SELECT tenant, id FROM removed_devices WHERE removed_ms < ? ORDER BY removed_ms, id LIMIT ?"
        with self._database.reading() as connection:
            return [DeviceRef(*row) for row in connection.execute(query, (before_ms, limit))]

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        with self._rows.writing() as connection:
            connection.executemany("DELETE FROM removed_devices WHERE tenant = ? AND id = ?", devices)

    def existing(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        wanted = set(devices)
        query = "SELECT tenant, id FROM devices WHERE id IN (SELECT value FROM json_each(?))"
        with self._database.reading() as connection:
            rows = connection.execute(query, (json.dumps([device.id for device in wanted]),))
            return wanted.intersection(DeviceRef(*row) for row in rows)

    def page(self, tenant: str, where: DeviceFilter, *, after_id: int = 0, limit: int = 100) -> list[Device]:
        condition, values = _condition(tenant, where)
        query = f"SELECT {_COLUMNS} FROM devices WHERE {condition} AND id > :after_id ORDER BY id LIMIT :limit"
        values |= {"after_id": min(after_id, MAX_INT64), "limit": limit}
        with self._database.reading() as connection:
            return [_device(row) for row in connection.execute(query, values)]

    def count(self, tenant: str, where: DeviceFilter) -> int:
        condition, values = _condition(tenant, where)
        with self._database.reading() as connection:
            return int(connection.execute(f"SELECT count(*) FROM devices WHERE {condition}", values).fetchone()[0])

    def stats(self, tenant: str, *, now_ms: int) -> DeviceStats:
        with self._database.reading() as connection:
            return DeviceStats(
                by_status=_counts(connection, "status", tenant),
                by_type=_counts(connection, "device_type", tenant),
                keys=count_alive_keys(connection, tenant, now_ms=now_ms),
            )

    def tenants(self) -> list[str]:
        with self._database.reading() as connection:
            return [tenant for (tenant,) in connection.execute("SELECT DISTINCT tenant FROM devices ORDER BY tenant")]

    def revision(self) -> int:
        return self._rows.revision()

    def check(self) -> None:
        self._database.check()

    def close(self) -> None:
        """Close the calling thread's connection; the next call opens a new one."""
        self._database.close()


def _condition(tenant: str, where: DeviceFilter) -> tuple[str, dict[str, str | int | None]]:
    """SQL and its values. Sets of ids travel as one JSON text: they may hold more than SQLite binds variables."""
    values: dict[str, str | int | None] = {
        "status": where.status,
        "device_type": where.device_type,
        "search": None if where.search is None else where.search.casefold(),
        "ids": _json_list(where.ids),
        "exclude_ids": _json_list(where.exclude_ids),
        "tag": where.tag,
    }
    asked = [_CONDITIONS[name] for name, value in values.items() if value is not None]
    return " AND ".join(["tenant = :tenant", *asked]), values | {"tenant": tenant}


def _json_list(ids: frozenset[int] | None) -> str | None:
    return None if ids is None else json.dumps(sorted(ids))


def _refuse_taken_name(connection: sqlite3.Connection, tenant: str, name: str) -> None:
    if connection.execute("SELECT 1 FROM devices WHERE tenant = ? AND name = ?", (tenant, name)).fetchone():
        raise Conflict("A device has this name", field="name", code="name_taken")


def _counts(connection: sqlite3.Connection, column: str, tenant: str) -> dict[str, int]:
    return dict(connection.execute(f"SELECT {column}, count(*) FROM devices WHERE tenant = ? GROUP BY 1", (tenant,)))


def _load(connection: sqlite3.Connection, device_id: int) -> Device | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM devices WHERE id = ?", (device_id,)).fetchone()
    return None if row is None else _device(row)


def _row(device: Device) -> dict[str, str | int | None]:
    """The values of `_ALL_COLUMNS`."""
    return {
        "id": device.id,
        "tenant": device.tenant,
        "name": device.name,
        "device_type": device.device_type,
        "description": device.description,
        "location": device.location,
        "firmware_version": device.firmware_version,
        "hardware_version": device.hardware_version,
        "status": device.status,
        "configuration": json.dumps(dict(device.configuration)),
        "tags": json.dumps(device.tags),
        "created_ms": device.created_ms,
        "updated_ms": device.updated_ms,
        "version": device.version,
        "folded_name": device.name.casefold(),
        "folded_location": device.location.casefold(),
    }


def _device(row: tuple[Any, ...]) -> Device:
    """The device of a row of `_COLUMNS`."""
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["status"] = DeviceStatus(values["status"])
    values["configuration"] = {key: ConfigEntry(*entry) for key, entry in json.loads(values["configuration"]).items()}
    values["tags"] = tuple(json.loads(values["tags"]))
    return Device(**values)
