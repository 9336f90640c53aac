"""Keeps a broker's accounts as the records are: from the outbox at once, and by comparing everything now and then."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chalicelib import keys
from chalicelib.model import Credential, CredentialKind, Device, DeviceStatus
from chalicelib.ports import (
    BrokerAccount,
    BrokerChange,
    BrokerOutbox,
    BrokerProvisioner,
    CredentialRepository,
    DeviceFilter,
    DeviceRepository,
    Provisioned,
)

PAGE = 200
HIDDEN_S = 15.0
"""Longer than a broker needs for a page; an entry that a killed worker held is then taken by another."""


class Reconciled(NamedTuple):
    """What a comparison found.

    Attributes:
        compared: How many devices there are.
        changed: Those that were mended.
        removed: Those that the broker knew and the records do not.
        stranded: See `Provisioned`.
    """

    compared: int
    changed: tuple[int, ...]
    removed: tuple[int, ...]
    stranded: tuple[int, ...]

    @property
    def in_order(self) -> bool:
        """Whether nothing had to be mended and nothing is left."""
        return not (self.changed or self.removed or self.stranded)


class Records(NamedTuple):
    """What accounts are made from."""

    devices: DeviceRepository
    credentials: CredentialRepository
    pepper: bytes


def drain(*, outbox: BrokerOutbox, records: Records, broker: BrokerProvisioner, now_ms: int) -> Provisioned:
    """Tell the broker of up to `PAGE` devices that changed; nothing changed is nothing to do.

    Raises:
        Unavailable: The broker or the records do not answer; the changes wait for the next call.
    """
    taken = outbox.take(limit=PAGE, hidden_s=HIDDEN_S, now_ms=now_ms)
    if not taken:
        return Provisioned()
    try:
        done = _tell(taken, records, broker, now_ms)
    except BaseException:
        outbox.release(taken)
        raise
    outbox.settle(taken)
    return done


def _tell(changes: Sequence[BrokerChange], records: Records, broker: BrokerProvisioner, now_ms: int) -> Provisioned:
    accounts, gone = list[BrokerAccount](), list[int]()
    for change in changes:
        device = records.devices.get(change.device)
        if device is None:
            gone.append(change.device.id)
        else:
            accounts.append(account_of(device, records, seed=change.seed, now_ms=now_ms))
    if gone:
        broker.remove(gone)
    done = broker.put(accounts) if accounts else Provisioned()
    return done._replace(changed=done.changed + tuple(gone))


def account_of(device: Device, records: Records, *, seed: str = "", now_ms: int) -> BrokerAccount:
    """What a broker is to know of *device*: of its live keys it takes the newest, since a broker takes one password."""
    alive = [key for key in records.credentials.of_device(device.ref) if key.alive(now_ms)]
    newest = alive[-1] if alive else None
    if newest is None:
        return BrokerAccount(device.id, enabled=False, key_id="", key_hash="")
    enabled = device.status is not DeviceStatus.INACTIVE
    text = _text_of(newest, seed, records.pepper)
    return BrokerAccount(device.id, enabled=enabled, key_id=newest.id, key_hash=newest.broker_hash, key=text)


def _text_of(key: Credential, seed: str, pepper: bytes) -> str:
    """The key in clear, if it is the one that *seed* makes."""
    if not seed:
        return ""
    made = keys.derived_key(CredentialKind.DEVICE_KEY, pepper=pepper, seed=seed)
    return made.text if made.id == key.id else ""


def accounts(records: Records, *, now_ms: int) -> Iterable[list[BrokerAccount]]:
    """Every device's account, by pages."""
    for page in _pages(records.devices):
        yield [account_of(device, records, now_ms=now_ms) for device in page]


def reconcile(*, outbox: BrokerOutbox, records: Records, broker: BrokerProvisioner, now_ms: int) -> Reconciled:
    """Compare every device with what the broker knows, and mend what differs.

    Devices that have an entry in the outbox are left to it.

    Raises:
        Unavailable: The broker or the records do not answer.
    """
    # The broker first: what is added meanwhile is then in the records, and not taken for a stranger.
    unknown = broker.device_ids()
    compared, changed, stranded = 0, list[int](), list[int]()
    for page in _pages(records.devices):
        unknown.difference_update(device.id for device in page)
        waiting = outbox.waiting(device.ref for device in page)
        here = [account_of(device, records, now_ms=now_ms) for device in page if device.ref not in waiting]
        done = broker.put(here)
        compared += len(page)
        changed += done.changed
        stranded += done.stranded
    removed = sorted(unknown)
    if removed:
        broker.remove(removed)
    return Reconciled(compared, tuple(changed), tuple(removed), tuple(stranded))


def _pages(devices: DeviceRepository) -> Iterable[list[Device]]:
    for tenant in devices.tenants():
        after_id = 0
        while page := devices.page(tenant, DeviceFilter(), after_id=after_id, limit=PAGE):
            yield page
            after_id = page[-1].id
