"""Device records and credentials in this process: for tests, and for a service that may forget."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from chalicelib.adapters.memory_outbox import MemoryBrokerOutbox
from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Credential, CredentialKind, Device, DeviceDraft, DeviceRef
from chalicelib.ports import DeviceFilter, DeviceStats


class MemoryDevices:
    """`DeviceRepository` in dictionaries.

    Args:
        outbox: Where a broker is told of changes, if there is one.

    Attributes:
        keys: Credentials by id, shared with `MemoryCredentials`.
        lock: Guards `keys` and everything else here against other threads.
    """

    def __init__(self, outbox: MemoryBrokerOutbox | None = None) -> None:
        self._outbox = outbox
        self.keys: dict[str, Credential] = {}
        self.lock = threading.RLock()
        self._devices: dict[int, Device] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._removed: dict[DeviceRef, int] = {}
        self._newest_id = 0
        self._revision = 0

    def add(self, draft: DeviceDraft, key: Credential, *, now_ms: int, seed: str = "") -> Device:
        with self.lock:
            self._refuse_taken_name(draft)
            refuse_taken_id(self.keys, key)
            self._newest_id += 1
            device = Device.added(draft, device_id=self._newest_id, now_ms=now_ms)
            self._keep(device)
            self.keys[key.id] = replace(key, device_id=device.id)
            self.changed()
            self.note(device.ref, seed)
        return device

    def get(self, device: DeviceRef) -> Device | None:
        found = self._devices.get(device.id)
        return found if found is not None and found.tenant == device.tenant else None

    def find(self, tenant: str, name: str) -> Device | None:
        with self.lock:
            return self._devices.get(self._names.get((tenant, name), 0))

    def update(self, device: Device, *, now_ms: int) -> Device:
        with self.lock:
            stored = self.get(device.ref)
            if stored is None:
                raise NotFound("There is no such device")
            if stored.version != device.version:
                raise Conflict("The device was changed meanwhile", code="stale_version")
            if stored.name != device.name:
                self._refuse_taken_name(device)
            updated = replace(device, updated_ms=now_ms, version=device.version + 1)
            del self._names[stored.tenant, stored.name]
            self._keep(updated)
            self.changed()
            if stored.status != updated.status:
                self.note(device.ref)
        return updated

    def remove(self, device: DeviceRef, *, now_ms: int) -> bool:
        with self.lock:
            stored = self.get(device)
            if stored is None:
                return False
            del self._devices[stored.id]
            del self._names[stored.tenant, stored.name]
            self._removed[device] = now_ms
            for key in [key for key in self.keys.values() if key.device_id == stored.id]:
                del self.keys[key.id]
            self.changed()
            if self._outbox is not None:
                self._outbox.note(device, gone=True)
        return True

    def removed(self, *, before_ms: int, limit: int = 100) -> list[DeviceRef]:
        with self.lock:
            waiting = sorted((at_ms, ref.id, ref) for ref, at_ms in self._removed.items() if at_ms < before_ms)
        return [ref for _, _, ref in waiting[:limit]]

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        with self.lock:
            for device in devices:
                self._removed.pop(device, None)

    def existing(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        with self.lock:
            return {device for device in devices if self.get(device) is not None}

    def page(self, tenant: str, where: DeviceFilter, *, after_id: int = 0, limit: int = 100) -> list[Device]:
        with self.lock:
            found = (device for device in self._matching(tenant, where) if device.id > after_id)
            return sorted(found, key=lambda device: device.id)[:limit]

    def count(self, tenant: str, where: DeviceFilter) -> int:
        with self.lock:
            return sum(1 for _ in self._matching(tenant, where))

    def stats(self, tenant: str, *, now_ms: int) -> DeviceStats:
        with self.lock:
            devices = list(self._matching(tenant, DeviceFilter()))
            keys = [
                key
                for key in self.keys.values()
                if key.tenant == tenant and key.kind is CredentialKind.DEVICE_KEY and key.alive(now_ms)
            ]
        return DeviceStats(
            by_status=Counter(device.status.value for device in devices),
            by_type=Counter(device.device_type for device in devices),
            keys=len(keys),
        )

    def tenants(self) -> list[str]:
        with self.lock:
            return sorted({device.tenant for device in self._devices.values()})

    def revision(self) -> int:
        return self._revision

    def changed(self) -> None:
        """A device or a credential is about to be another; called with the lock held."""
        self._revision += 1

    def note(self, device: DeviceRef, seed: str = "") -> None:
        """Something changed that matters to a broker; called with the lock held."""
        if self._outbox is not None:
            self._outbox.note(device, seed)

    def check(self) -> None:
        """Nothing can be sick here."""

    def _keep(self, device: Device) -> None:
        self._devices[device.id] = replace(device, configuration=dict(device.configuration))
        self._names[device.tenant, device.name] = device.id

    def _refuse_taken_name(self, draft: DeviceDraft) -> None:
        if (draft.tenant, draft.name) in self._names:
            raise Conflict("A device has this name", field="name", code="name_taken")

    def _matching(self, tenant: str, where: DeviceFilter) -> Iterator[Device]:
        return (device for device in self._devices.values() if device.tenant == tenant and _matches(device, where))


class MemoryCredentials:
    """`CredentialRepository` beside `MemoryDevices`."""

    def __init__(self, devices: MemoryDevices) -> None:
        self._devices = devices
        self._keys = devices.keys

    def get(self, credential_id: str) -> Credential | None:
        return self._keys.get(credential_id)

    def add(self, credential: Credential, *, now_ms: int, max_alive: int | None = None, seed: str = "") -> None:
        with self._devices.lock:
            self._refuse_unknown_device(credential)
            self._refuse_taken_name(credential, now_ms)
            self._refuse_too_many(credential, now_ms, max_alive)
            refuse_taken_id(self._keys, credential)
            self._keys[credential.id] = credential
            self._changed(credential, seed)

    def expire(self, credential_id: str, *, at_ms: int) -> bool:
        with self._devices.lock:
            credential = self._keys.get(credential_id)
            if credential is None:
                return False
            if credential.alive(at_ms):
                self._keys[credential_id] = replace(credential, expires_ms=at_ms)
                self._changed(credential)
        return True

    def remove(self, tenant: str, credential_id: str) -> bool:
        with self._devices.lock:
            credential = self._keys.get(credential_id)
            if credential is None or credential.tenant != tenant:
                return False
            del self._keys[credential_id]
            self._changed(credential)
        return True

    def of_device(self, device: DeviceRef) -> list[Credential]:
        return self._oldest_first(key for key in self._all() if (key.tenant, key.device_id) == device)

    def of_kind(self, tenant: str, kind: CredentialKind) -> list[Credential]:
        return self._oldest_first(key for key in self._all() if key.tenant == tenant and key.kind is kind)

    def _changed(self, credential: Credential, seed: str = "") -> None:
        self._devices.changed()
        if credential.device_id is not None:
            self._devices.note(DeviceRef(credential.tenant, credential.device_id), seed)

    def _all(self) -> list[Credential]:
        with self._devices.lock:
            return list(self._keys.values())

    def _oldest_first(self, keys: Iterable[Credential]) -> list[Credential]:
        return sorted(keys, key=lambda key: (key.created_ms, key.id))

    def _refuse_unknown_device(self, credential: Credential) -> None:
        if credential.device_id is None:
            return
        if self._devices.get(DeviceRef(credential.tenant, credential.device_id)) is None:
            raise NotFound("There is no such device")

    def _refuse_taken_name(self, credential: Credential, now_ms: int) -> None:
        if credential.kind is not CredentialKind.TOKEN:
            return
        tokens = self.of_kind(credential.tenant, CredentialKind.TOKEN)
        if any(token.name == credential.name and token.alive(now_ms) for token in tokens):
            raise Conflict("A live token has this name", field="name", code="name_taken")

    def _refuse_too_many(self, credential: Credential, now_ms: int, max_alive: int | None) -> None:
        if max_alive is None or credential.device_id is None:
            return
        keys = self.of_device(DeviceRef(credential.tenant, credential.device_id))
        alive = sum(key.alive(now_ms) for key in keys)
        if alive >= max_alive:
            raise Conflict(f"The device has {alive} live keys", limit=f"{max_alive} keys", code="too_many_keys")


def refuse_taken_id(keys: dict[str, Credential], key: Credential) -> None:
    """Raise `Conflict` when the id of *key* is among *keys*."""
    if key.id in keys:
        raise Conflict("This key id is taken", code="id_taken")


def _matches(device: Device, where: DeviceFilter) -> bool:
    """Whether *device* meets all given conditions."""
    return (
        where.status in (None, device.status)
        and where.device_type in (None, device.device_type)
        and (where.ids is None or device.id in where.ids)
        and (where.exclude_ids is None or device.id not in where.exclude_ids)
        and (where.tag is None or where.tag in device.tags)
        and (where.search is None or _contains(device, where.search.casefold()))
    )


def _contains(device: Device, folded: str) -> bool:
    return folded in device.name.casefold() or folded in device.location.casefold()
