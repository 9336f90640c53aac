"""Keys and tokens in devices.db."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from chalicelib.adapters.sqlite_outbox import note_change
from chalicelib.adapters.sqlite_registry import CachedRows, registry
from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Credential, CredentialKind, DeviceRef

_COLUMNS = "id, tenant, kind, digest, device_id, name, scopes, created_ms, expires_ms, broker_hash"
_ALIVE = "(expires_ms IS NULL OR expires_ms > :now_ms)"


class SqliteCredentials:
    """`CredentialRepository` in the file of `SqliteDevices`.

    Args:
        path: The file.
        outbox: Whether a broker is told of changes; see `SqliteBrokerOutbox`.
    """

    def __init__(self, path: str | Path, *, outbox: bool = False) -> None:
        self._database = registry(path)
        self._outbox = outbox
        self._rows: CachedRows[str, Credential] = CachedRows(self._database, load_credential)

    def get(self, credential_id: str) -> Credential | None:
        return self._rows.get(credential_id)

    def add(self, credential: Credential, *, now_ms: int, max_alive: int | None = None, seed: str = "") -> None:
        with self._rows.writing() as connection:
            _refuse_unknown_device(connection, credential)
            _refuse_taken_name(connection, credential, now_ms)
            _refuse_too_many(connection, credential, now_ms, max_alive)
            insert_credential(connection, credential)
            self._note(connection, credential, seed)

    def expire(self, credential_id: str, *, at_ms: int) -> bool:
        with self._rows.writing() as connection:
            found = load_credential(connection, credential_id)
            if found is None:
                return False
            connection.execute(
                "UPDATE credentials SET expires_ms = min(ifnull(expires_ms, :at_ms), :at_ms) WHERE id = :id",
                {"id": credential_id, "at_ms": at_ms},
            )
            self._note(connection, found)
            return True

    def remove(self, tenant: str, credential_id: str) -> bool:
        with self._rows.writing() as connection:
            found = load_credential(connection, credential_id)
            if found is None or found.tenant != tenant:
                return False
            connection.execute("DELETE FROM credentials WHERE id = ?", (credential_id,))
            self._note(connection, found)
            return True

    def of_device(self, device: DeviceRef) -> list[Credential]:
        return self._select("device_id = ? AND tenant = ?", device.id, device.tenant)

    def of_kind(self, tenant: str, kind: CredentialKind) -> list[Credential]:
        return self._select("tenant = ? AND kind = ?", tenant, kind)

    def close(self) -> None:
        """Close the calling thread's connection; the next call opens a new one."""
        self._database.close()

    def _note(self, connection: sqlite3.Connection, changed: Credential, seed: str = "") -> None:
        if self._outbox and changed.device_id is not None:
            note_change(connection, DeviceRef(changed.tenant, changed.device_id), seed)

    def _select(self, condition: str, *values: str | int) -> list[Credential]:
        query = f"SELECT {_COLUMNS} FROM credentials WHERE {condition} ORDER BY created_ms, id"
        with self._database.reading() as connection:
            return [_credential(row) for row in connection.execute(query, values)]


def load_credential(connection: sqlite3.Connection, credential_id: str) -> Credential | None:
    """Read one credential, or None."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM credentials WHERE id = ?", (credential_id,)).fetchone()
    return None if row is None else _credential(row)


def insert_credential(connection: sqlite3.Connection, credential: Credential) -> None:
    """Insert *credential* within the transaction of *connection*.

    Raises:
        Conflict: The id is taken.
    """
    if connection.execute("SELECT 1 FROM credentials WHERE id = ?", (credential.id,)).fetchone():
        raise Conflict("This key id is taken", code="id_taken")
    values = (
        credential.id,
        credential.tenant,
        credential.kind,
        credential.digest,
        credential.device_id,
        credential.name,
        json.dumps(sorted(credential.scopes)),
        credential.created_ms,
        credential.expires_ms,
        credential.broker_hash,
    )
    connection.execute(f"INSERT INTO credentials ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def count_alive_keys(connection: sqlite3.Connection, tenant: str, *, now_ms: int) -> int:
    """Live device keys of the tenant."""
    query = f"SELECT count(*) FROM credentials WHERE tenant = :tenant AND kind = :kind AND {_ALIVE}"
    values = {"tenant": tenant, "kind": CredentialKind.DEVICE_KEY, "now_ms": now_ms}
    return int(connection.execute(query, values).fetchone()[0])


def _refuse_unknown_device(connection: sqlite3.Connection, credential: Credential) -> None:
    if credential.device_id is None:
        return
    query = "SELECT 1 FROM devices WHERE id = ? AND tenant = ?"
    if connection.execute(query, (credential.device_id, credential.tenant)).fetchone() is None:
        raise NotFound("There is no such device")


def _refuse_taken_name(connection: sqlite3.Connection, credential: Credential, now_ms: int) -> None:
    if credential.kind is not CredentialKind.TOKEN:
        return
    query = f"SELECT 1 FROM credentials WHERE tenant = :tenant AND kind = :kind AND name = :name AND {_ALIVE}"
    values = {"tenant": credential.tenant, "kind": credential.kind, "name": credential.name, "now_ms": now_ms}
    if connection.execute(query, values).fetchone():
        raise Conflict("A live token has this name", field="name", code="name_taken")


def _refuse_too_many(
    connection: sqlite3.Connection, credential: Credential, now_ms: int, max_alive: int | None
) -> None:
    if max_alive is None or credential.device_id is None:
        return
    query = f"SELECT count(*) FROM credentials WHERE device_id = :device_id AND {_ALIVE}"
    values = {"device_id": credential.device_id, "now_ms": now_ms}
    (alive,) = connection.execute(query, values).fetchone()
    if alive >= max_alive:
        raise Conflict(f"The device has {alive} live keys", limit=f"{max_alive} keys", code="too_many_keys")


_NO_SCOPES: frozenset[str] = frozenset()
"""Of every device's key: one for all, since thousands of keys are kept in memory."""


def _credential(row: tuple[Any, ...]) -> Credential:
    credential_id, tenant, kind, digest, device_id, name, scopes, created_ms, expires_ms, broker_hash = row
    return Credential(
        id=credential_id,
        tenant=tenant,
        kind=CredentialKind(kind),
        digest=digest,
        device_id=device_id,
        name=name,
        scopes=_NO_SCOPES if scopes == "[]" else frozenset(json.loads(scopes)),
        created_ms=created_ms,
        expires_ms=expires_ms,
        broker_hash=broker_hash,
    )
