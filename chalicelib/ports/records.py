"""Device records, credentials and declared types."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from chalicelib.model import Credential, CredentialKind, Declared, Device, DeviceDraft, DeviceRef, DeviceStatus


class DeviceFilter(NamedTuple):
    """Which devices: all given conditions hold. `search` matches part of name or location, any case; `tag` is exact."""

    status: DeviceStatus | None = None
    device_type: str | None = None
    search: str | None = None
    ids: frozenset[int] | None = None
    exclude_ids: frozenset[int] | None = None
    tag: str | None = None


class DeviceStats(NamedTuple):
    """Counts of a tenant's devices and live device keys."""

    by_status: Mapping[str, int]
    by_type: Mapping[str, int]
    keys: int


class DeviceRepository(Protocol):
    """Device records. Names are unique per tenant; ids grow, are unique over all tenants and never reused.

    Where a broker is provisioned, this and `CredentialRepository` write to the `BrokerOutbox`, in the transaction of
    the change itself.
    """

    def add(self, draft: DeviceDraft, key: Credential, *, now_ms: int, seed: str = "") -> Device:
        """Add a device and its first key in one transaction; `key.device_id` is filled in by the repository.

        Args:
            draft: The device.
            key: Its key.
            now_ms: Server time.
            seed: What the key is derived from; kept nowhere but in the outbox.

        Raises:
            Conflict: The name is taken in this tenant, or the key's id is taken.
        """
        ...

    def get(self, device: DeviceRef) -> Device | None:
        """The device, or None: also when the id belongs to another tenant."""
        ...

    def find(self, tenant: str, name: str) -> Device | None:
        """The device of exactly this name."""
        ...

    def update(self, device: Device, *, now_ms: int) -> Device:
        """Write all fields of *device*, if the stored version is still `device.version`.

        Returns:
            The device as stored, with `version` one higher and `updated_ms` set.

        Raises:
            Conflict: Changed meanwhile (code ``stale_version``), or the new name is taken (``name_taken``).
            NotFound: Removed meanwhile.
        """
        ...

    def remove(self, device: DeviceRef, *, now_ms: int) -> bool:
        """Remove the device and its keys at once; remember to purge its telemetry. False: no such device."""
        ...

    def removed(self, *, before_ms: int, limit: int = 100) -> list[DeviceRef]:
        """Devices removed before *before_ms* whose telemetry is still to be purged, oldest first."""
        ...

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        """Their telemetry is purged: drop the reminders."""
        ...

    def existing(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        """Those of *devices* that exist now."""
        ...

    def page(self, tenant: str, where: DeviceFilter, *, after_id: int = 0, limit: int = 100) -> list[Device]:
        """Up to *limit* devices with id greater than *after_id*, by id ascending."""
        ...

    def count(self, tenant: str, where: DeviceFilter) -> int:
        """How many devices match."""
        ...

    def stats(self, tenant: str, *, now_ms: int) -> DeviceStats:
        """Counts over all devices of the tenant."""
        ...

    def tenants(self) -> list[str]:
        """Every tenant that has a device."""
        ...

    def revision(self) -> int:
        """Another number after any process changed a device or a credential, and now and then without.

        Costs microseconds, or one small read over the network: whoever keeps devices connected asks several times a
        second.
        """
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class CredentialRepository(Protocol):
    """Keys of devices and tokens of people and programs: digests only.

    Reads see a revocation made by any process at once. The keys of a removed device are gone with it.
    """

    def get(self, credential_id: str) -> Credential | None:
        """The credential of this public id part; also an expired one. This is the hot path: one cached look-up."""
        ...

    def add(self, credential: Credential, *, now_ms: int, max_alive: int | None = None, seed: str = "") -> None:
        """Store a credential.

        Args:
            credential: The credential, complete.
            now_ms: Decides which others are alive.
            max_alive: Refuse when the same device already has this many live keys.
            seed: What a device's key is derived from; kept nowhere but in the outbox.

        Raises:
            Conflict: The id is taken (code ``id_taken``), a live token of the tenant has this name
                (``name_taken``), or the device has `max_alive` live keys (``too_many_keys``).
            NotFound: The device does not exist.
        """
        ...

    def expire(self, credential_id: str, *, at_ms: int) -> bool:
        """Let it die at *at_ms*, or earlier if it already would. False: no such credential."""
        ...

    def remove(self, tenant: str, credential_id: str) -> bool:
        """Revoke at once. False: no such credential in this tenant."""
        ...

    def of_device(self, device: DeviceRef) -> list[Credential]:
        """All keys of the device, oldest first, expired ones included."""
        ...

    def of_kind(self, tenant: str, kind: CredentialKind) -> list[Credential]:
        """All of the tenant's credentials of this kind, oldest first."""
        ...


class DeclarationRepository(Protocol):
    """What an administrator declared the measurements of a device type to be; for stores that have typed columns."""

    def get(self, tenant: str, device_type: str) -> Declared:
        """The declared measurements of the type; empty when there are none."""
        ...

    def all(self, tenant: str) -> Mapping[str, Declared]:
        """Every device type that has declarations, in alphabetical order."""
        ...

    def put(self, tenant: str, device_type: str, declared: Declared) -> None:
        """Replace all declarations of the type."""
        ...

    def remove(self, tenant: str, device_type: str) -> bool:
        """Drop all declarations of the type. False: there were none."""
        ...
