"""Use cases around device records: register, change, rotate keys, leave. Ports come in as keyword arguments."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chalicelib import keys
from chalicelib.errors import Conflict, NotFound, Unavailable
from chalicelib.model import (
    ONLINE_FOR_S,
    Credential,
    CredentialKind,
    Device,
    DeviceDraft,
    DeviceRef,
    Sighting,
)
from chalicelib.ports import CredentialRepository, DeviceRepository, Presence, ReadingStore

MAX_LIVE_KEYS = 2
DAY_S = 86_400
UPDATE_TRIES = 5


class Registered(NamedTuple):
    """A new device and its key in clear, which is shown this once."""

    device: Device
    key: str


def register(
    draft: DeviceDraft,
    *,
    devices: DeviceRepository,
    credentials: CredentialRepository,
    pepper: bytes,
    now_ms: int,
    seed: str = "",
) -> Registered:
    """Add a device with its first key.

    Args:
        draft: The device.
        devices: Where it is added.
        credentials: Where a repeated registration finds its first key.
        pepper: Secret under which the key is hashed.
        now_ms: Server time.
        seed: Names an idempotent request: the same seed gives the same key again, and a second run of a registration
            that succeeded returns the device it made.

    Raises:
        Conflict: The name is taken by another registration (code ``name_taken``).
    """
    key_seed = seed or keys.new_seed()
    made = keys.derived_key(CredentialKind.DEVICE_KEY, pepper=pepper, seed=key_seed)
    earlier = credentials.get(made.id) if seed else None
    if earlier is not None:
        device = devices.get(DeviceRef(earlier.tenant, earlier.device_id or 0))
        if device is not None:
            return Registered(device, made.text)
    record = _key_record(made, draft.tenant, now_ms)
    return Registered(devices.add(draft, record, now_ms=now_ms, seed=key_seed), made.text)


def _key_record(made: keys.NewKey, tenant: str, now_ms: int, device_id: int | None = None) -> Credential:
    return Credential(
        id=made.id,
        tenant=tenant,
        kind=CredentialKind.DEVICE_KEY,
        digest=made.digest,
        device_id=device_id,
        created_ms=now_ms,
        broker_hash=keys.broker_hash(made.text),
    )


class IssuedKey(NamedTuple):
    """A key that was just made: its public id, the text that is shown this once, and the end of the one it replaces."""

    id: str
    text: str
    old_until_ms: int | None = None


def issue_key(
    device: DeviceRef,
    *,
    credentials: CredentialRepository,
    pepper: bytes,
    now_ms: int,
    max_alive: int | None = MAX_LIVE_KEYS,
) -> IssuedKey:
    """Give a device one more key.

    Raises:
        Conflict: It has `MAX_LIVE_KEYS` live keys (code ``too_many_keys``).
        NotFound: No such device.
    """
    seed = keys.new_seed()
    made = keys.derived_key(CredentialKind.DEVICE_KEY, pepper=pepper, seed=seed)
    record = _key_record(made, device.tenant, now_ms, device.id)
    credentials.add(record, now_ms=now_ms, max_alive=max_alive, seed=seed)
    return IssuedKey(made.id, made.text)


def rotate_key(
    device: DeviceRef,
    used_key_id: str,
    *,
    overlap_s: int,
    credentials: CredentialRepository,
    pepper: bytes,
    now_ms: int,
) -> IssuedKey:
    """Replace the key that the caller used.

    Afterwards exactly two keys live: the one that was used, for *overlap_s* more seconds, and the new one. Any other
    dies now, so a device whose answer got lost simply rotates again.
    """
    for credential in credentials.of_device(device):
        if credential.id != used_key_id:
            credentials.remove(device.tenant, credential.id)
    credentials.expire(used_key_id, at_ms=now_ms + overlap_s * 1000)
    used = credentials.get(used_key_id)
    key = issue_key(device, credentials=credentials, pepper=pepper, now_ms=now_ms, max_alive=None)
    return key._replace(old_until_ms=used.expires_ms if used is not None else now_ms)


def change(device: DeviceRef, edit: Callable[[Device], Device], *, devices: DeviceRepository, now_ms: int) -> Device:
    """Apply *edit* to the newest state of the device, again if somebody else was faster.

    Raises:
        NotFound: No such device.
        Conflict: The new name is taken, or the device kept changing.
    """
    tries = UPDATE_TRIES
    while True:
        tries -= 1
        current = devices.get(device)
        if current is None:
            message = "There is no such device"
            raise NotFound(message, field="device_id")
        try:
            return devices.update(edit(current), now_ms=now_ms)
        except Conflict as error:
            if error.code != "stale_version" or not tries:
                raise


def remove(
    device: DeviceRef, *, devices: DeviceRepository, presence: Presence, readings: ReadingStore, now_ms: int
) -> bool:
    """Remove a device: its keys die now; its telemetry is purged now, or by the upkeep if the store is away."""
    existed = devices.remove(device, now_ms=now_ms)
    try:
        presence.forget([device])
        readings.purge(device)
    except Unavailable:
        return existed
    return existed


def sightings(devices: Iterable[Device], *, presence: Presence) -> Mapping[DeviceRef, Sighting]:
    """When devices were last seen; nothing is known while presence does not answer."""
    try:
        return presence.read([device.ref for device in devices])
    except Unavailable:
        return {}


def is_online(sighting: Sighting | None, *, now_ms: int) -> bool:
    """Seen within the last `ONLINE_FOR_S` seconds, and not known to have left."""
    return sighting is not None and sighting.online and now_ms - sighting.at_ms < ONLINE_FOR_S * 1000
