"""The adapters of device records and credentials, and what to put into them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from chalicelib.adapters.dynamo_credentials import DynamoCredentials
from chalicelib.adapters.dynamo_devices import DynamoDevices
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.memory_devices import MemoryCredentials, MemoryDevices
from chalicelib.adapters.sqlite_credentials import SqliteCredentials
from chalicelib.adapters.sqlite_devices import SqliteDevices
from chalicelib.model import Credential, CredentialKind, Device, DeviceDraft
from chalicelib.ports import CredentialRepository, DeviceRepository
from tests.contract.dynamo_tables import SEMANTICS, Tables

RACING = ["memory", "sqlite", "dynamodb"]
ADAPTERS = [*RACING, "moto"]
NOW_MS = 1_751_500_000_000
_numbers = count()


@dataclass(frozen=True)
class Records:
    """Both repositories over one backend; `again()` makes new objects over the same one, as another process would."""

    devices: DeviceRepository
    credentials: CredentialRepository
    again: Callable[[], "Records"]

    def add(self, name: str = "", tenant: str = "default", *, now_ms: int = NOW_MS, location: str = "") -> Device:
        """Add a device with some name and key."""
        return self.devices.add(draft(name, tenant, location=location), key(tenant), now_ms=now_ms)


def open_records(adapter: str, folder: Path, tables: Tables) -> Records:
    """The repositories of *adapter*, empty when *folder* is."""
    if adapter in SEMANTICS:
        return dynamo(tables.new(adapter))
    return _memory(MemoryDevices()) if adapter == "memory" else sqlite(folder / "devices.db")


def sqlite(path: Path) -> Records:
    """The SQLite repositories on one file."""
    return Records(SqliteDevices(path), SqliteCredentials(path), lambda: sqlite(path))


def dynamo(table: Table) -> Records:
    """The DynamoDB repositories on one table."""
    return Records(DynamoDevices(table), DynamoCredentials(table), lambda: dynamo(table))


def _memory(devices: MemoryDevices) -> Records:
    return Records(devices, MemoryCredentials(devices), lambda: _memory(devices))


def draft(name: str = "", tenant: str = "default", *, location: str = "") -> DeviceDraft:
    """A device that is like most."""
    return DeviceDraft(tenant=tenant, name=name or f"device {next(_numbers)}", device_type="sensor", location=location)


def key(tenant: str = "default", *, device_id: int | None = None, created_ms: int = NOW_MS) -> Credential:
    """A device key with an id of its own."""
    return Credential(
        id=f"key{next(_numbers):09d}",
        tenant=tenant,
        kind=CredentialKind.DEVICE_KEY,
        digest="0" * 64,
        device_id=device_id,
        created_ms=created_ms,
    )


def token(name: str, tenant: str = "default", *, expires_ms: int | None = None) -> Credential:
    """A token with an id of its own."""
    return Credential(
        id=f"tok{next(_numbers):09d}",
        tenant=tenant,
        kind=CredentialKind.TOKEN,
        digest="1" * 64,
        name=name,
        scopes=frozenset({"admin"}),
        created_ms=NOW_MS,
        expires_ms=expires_ms,
    )
