"""Copies telemetry from one store to another and compares every value, device by device.

A device whose copy is equal already is left alone, so a copy that was interrupted goes on.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from chalicelib import exports
from chalicelib.exports import Wanted
from chalicelib.model import MAX_INT64, MIN_INT64, Device, Reading
from chalicelib.ports import DeviceRepository, ReadingStore
from infra.failure import Failure
from infra.transfer import selection

BATCH_READINGS = 5_000
EVERYTHING = Wanted(MIN_INT64, MAX_INT64)


class Digest(NamedTuple):
    """How many readings, and the SHA-256 of their times, names, types and values."""

    readings: int
    sha256: str


def all_devices(devices: DeviceRepository) -> list[Device]:
    """The devices of all tenants."""
    return [device for tenant in devices.tenants() for device in selection.everyone(tenant, devices)]


def first_in_the_way(devices: Iterable[Device], target: ReadingStore) -> Device | None:
    """A device of which the target has readings already; None if there is none."""
    return next((device for device in devices if target.latest(device.ref)), None)


def copy(device: Device, source: ReadingStore, target: ReadingStore) -> int:
    """Make the target's readings of the device equal to the source's; returns how many they are.

    Raises:
        Failure: The target does not take a reading, or does not give back what it took.
        Unavailable: A store does not answer.
    """
    if target.latest(device.ref):
        wanted = digest(source, device)
        if digest(target, device) == wanted:
            return wanted.readings
        target.purge(device.ref)
    wanted = _written(device, source, target)
    found = digest(target, device)
    if found != wanted:
        message = (
            f"the copy of device {device.id} differs: {wanted.readings} readings were written, {found.readings} found"
        )
        raise Failure(message)
    return wanted.readings


def digest(store: ReadingStore, device: Device) -> Digest:
    """What the store has of the device."""
    checksum, count = hashlib.sha256(), 0
    for reading in exports.stream(store, device.ref, EVERYTHING):
        checksum.update(_spelled(reading))
        count += 1
    return Digest(count, checksum.hexdigest())


def _written(device: Device, source: ReadingStore, target: ReadingStore) -> Digest:
    checksum, count = hashlib.sha256(), 0
    for batch in _batches(exports.stream(source, device.ref, EVERYTHING)):
        for reading in batch:
            checksum.update(_spelled(reading))
        count += len(batch)
        rejected = target.write(batch)
        if rejected:
            refused = batch[rejected[0].position]
            message = (
                f"the other store does not take the reading of device {device.id} at {refused.timestamp_ms} ms: "
                f"{rejected[0].reason}"
            )
            raise Failure(message)
    return Digest(count, checksum.hexdigest())


def _batches(readings: Iterator[Reading]) -> Iterator[Sequence[Reading]]:
    while batch := list(islice(readings, BATCH_READINGS)):
        yield batch


def _spelled(reading: Reading) -> bytes:
    """Tells 1, 1.0 and True apart."""
    return f"{reading.timestamp_ms} {sorted(reading.values.items())}\n".encode()
