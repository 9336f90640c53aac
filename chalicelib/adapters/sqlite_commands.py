"""Commands in commands.db, which twins share; see `sqlite_twins`.

Revisions are rows that every transaction raises: the same number for every thread of every process.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chalicelib.adapters.sqlite import Database
from chalicelib.model import Command, CommandStatus, DeviceRef

MIGRATIONS = (
    """
    CREATE TABLE commands (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        device_id INTEGER NOT NULL,
        id TEXT NOT NULL,
        command_type TEXT NOT NULL,
        payload TEXT NOT NULL,
        status TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        group_id TEXT NOT NULL,
        result TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        UNIQUE (tenant, device_id, id)
    ) STRICT;
    CREATE INDEX commands_by_device ON commands (tenant, device_id, position);
    CREATE INDEX commands_by_status ON commands (tenant, status);
    CREATE INDEX commands_pending ON commands (tenant, device_id) WHERE status IN ('queued', 'sent');
    CREATE TABLE twins (
        tenant TEXT NOT NULL,
        device_id INTEGER NOT NULL,
        desired TEXT NOT NULL,
        reported TEXT NOT NULL,
        version INTEGER NOT NULL,
        desired_updated_ms INTEGER,
        reported_updated_ms INTEGER,
        revision INTEGER NOT NULL,
        PRIMARY KEY (tenant, device_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX twins_by_revision ON twins (revision);
    CREATE TABLE revisions (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO revisions VALUES ('commands', 0), ('twins', 0)
    """,
)

_COLUMNS = (
    "tenant, device_id, id, command_type, payload, status, created_ms, updated_ms, expires_ms, group_id, result, "
    "attempts"
)
_ADD = f"""
    INSERT INTO commands ({_COLUMNS}) VALUES ({", ".join(f":{column}" for column in _COLUMNS.split(", "))})
    ON CONFLICT DO NOTHING
"""
# A cross join keeps the order of the tables: the devices lead into the index of what is pending, however long its list.
_OF_DEVICES = """
    FROM (SELECT DISTINCT value FROM json_each(?)) AS wanted CROSS JOIN commands INDEXED BY commands_pending
    WHERE tenant = json_extract(wanted.value, '$[0]') AND device_id = json_extract(wanted.value, '$[1]')
        AND status IN ('queued', 'sent') AND (expires_ms IS NULL OR expires_ms > ?)
"""
_PENDING = f"SELECT {_COLUMNS} {_OF_DEVICES} ORDER BY position LIMIT ?"
_BACKLOG = f"SELECT tenant, device_id, count(*) {_OF_DEVICES} GROUP BY 1, 2"
_QUEUED = f"""
    SELECT {_COLUMNS} FROM commands WHERE tenant = ? AND status = 'queued' AND (expires_ms IS NULL OR expires_ms > ?)
    ORDER BY position LIMIT ?
"""
_ADVANCE = """
    UPDATE commands SET status = :status, updated_ms = :updated_ms, result = :result, attempts = :attempts
    WHERE tenant = :tenant AND device_id = :device_id AND id = :id
"""
_PAGE = f"""
    SELECT {_COLUMNS} FROM commands WHERE tenant = :tenant AND device_id = :device_id AND (:before_id IS NULL OR
        position < (SELECT position FROM commands WHERE tenant = :tenant AND device_id = :device_id AND id = :before_id)
    )
    ORDER BY position DESC LIMIT :limit
"""
_EXPIRE = """
    UPDATE commands SET status = 'expired', updated_ms = :now_ms
    WHERE status IN ('queued', 'sent') AND expires_ms <= :now_ms
"""
_FORGET = "DELETE FROM commands WHERE status NOT IN ('queued', 'sent') AND updated_ms < ?"


class SqliteCommands:
    """`CommandRepository` in one SQLite file.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, MIGRATIONS)

    def add(self, *commands: Command) -> None:
        with self.database.transaction() as connection:
            connection.executemany(_ADD, [_row(command) for command in commands])
            raise_revision(connection, "commands")

    def get(self, device: DeviceRef, command_id: str) -> Command | None:
        with self.database.reading() as connection:
            return _load(connection, device, command_id)

    def pending(self, devices: Sequence[DeviceRef], *, now_ms: int, limit: int = 1000) -> list[Command]:
        with self.database.reading() as connection:
            rows = connection.execute(_PENDING, (json.dumps(devices), now_ms, limit))
            return [_command(row) for row in rows]

    def queued(self, tenant: str, *, now_ms: int, limit: int = 10_000) -> list[Command]:
        with self.database.reading() as connection:
            return [_command(row) for row in connection.execute(_QUEUED, (tenant, now_ms, limit))]

    def backlog(self, devices: Sequence[DeviceRef], *, now_ms: int) -> Mapping[DeviceRef, int]:
        with self.database.reading() as connection:
            rows = connection.execute(_BACKLOG, (json.dumps(devices), now_ms))
            return {DeviceRef(tenant, device_id): number for tenant, device_id, number in rows}

    def advance(
        self, device: DeviceRef, command_id: str, to: CommandStatus, *, now_ms: int, result: Any = None
    ) -> Command | None:
        with self.database.transaction() as connection:
            command = _load(connection, device, command_id)
            advanced = command.advanced(to, now_ms=now_ms, result=result) if command is not None else None
            if advanced is not None:
                connection.execute(_ADVANCE, _row(advanced))
                raise_revision(connection, "commands")
        return advanced

    def page(self, device: DeviceRef, *, before_id: str | None = None, limit: int = 100) -> list[Command]:
        values = {"tenant": device.tenant, "device_id": device.id, "before_id": before_id, "limit": limit}
        with self.database.reading() as connection:
            return [_command(row) for row in connection.execute(_PAGE, values)]

    def counts(self, tenant: str) -> Mapping[CommandStatus, int]:
        query = "SELECT status, count(*) FROM commands WHERE tenant = ? GROUP BY 1"
        with self.database.reading() as connection:
            return {CommandStatus(status): number for status, number in connection.execute(query, (tenant,))}

    def expire(self, *, now_ms: int) -> int:
        with self.database.transaction() as connection:
            raise_revision(connection, "commands")
            return connection.execute(_EXPIRE, {"now_ms": now_ms}).rowcount

    def forget(self, *, before_ms: int) -> int:
        with self.database.transaction() as connection:
            raise_revision(connection, "commands")
            return connection.execute(_FORGET, (before_ms,)).rowcount

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        with self.database.transaction() as connection:
            connection.executemany("DELETE FROM commands WHERE tenant = ? AND device_id = ?", devices)
            raise_revision(connection, "commands")

    def revision(self) -> int:
        return read_revision(self.database, "commands")

    def check(self) -> None:
        self.database.check()


def raise_revision(connection: sqlite3.Connection, name: str) -> int:
    """Within a transaction: the next revision of *name*."""
    query = "UPDATE revisions SET value = value + 1 WHERE name = ? RETURNING value"
    return int(connection.execute(query, (name,)).fetchone()[0])


def read_revision(database: Database, name: str) -> int:
    """The newest committed revision of *name*."""
    with database.reading() as connection:
        return int(connection.execute("SELECT value FROM revisions WHERE name = ?", (name,)).fetchone()[0])


def _load(connection: sqlite3.Connection, device: DeviceRef, command_id: str) -> Command | None:
    query = f"SELECT {_COLUMNS} FROM commands WHERE tenant = ? AND device_id = ? AND id = ?"
    row = connection.execute(query, (*device, command_id)).fetchone()
    return None if row is None else _command(row)


def _row(command: Command) -> dict[str, str | int | None]:
    """The values of `_COLUMNS`."""
    return {
        "tenant": command.device.tenant,
        "device_id": command.device.id,
        "id": command.id,
        "command_type": command.command_type,
        "payload": json.dumps(command.payload),
        "status": command.status,
        "created_ms": command.created_ms,
        "updated_ms": command.updated_ms,
        "expires_ms": command.expires_ms,
        "group_id": command.group,
        "result": json.dumps(command.result),
        "attempts": command.attempts,
    }


def _command(row: tuple[Any, ...]) -> Command:
    """The command of a row of `_COLUMNS`."""
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["device"] = DeviceRef(values.pop("tenant"), values.pop("device_id"))
    values["group"] = values.pop("group_id")
    values["status"] = CommandStatus(values["status"])
    values["payload"], values["result"] = json.loads(values["payload"]), json.loads(values["result"])
    return Command(**values)
