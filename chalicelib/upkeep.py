"""What runs on a schedule: retention, purging removed devices, forgetting what is too old to matter."""

import logging
from collections.abc import Iterator, Mapping

from chalicelib.commands import KEPT_MS
from chalicelib.errors import Unavailable
from chalicelib.model import Device
from chalicelib.ports import (
    CommandRepository,
    Counters,
    DeviceFilter,
    DeviceRepository,
    Idempotency,
    ReadingStore,
    TwinRepository,
)
from chalicelib.retention import DAY_MS, Retention

log = logging.getLogger(__name__)

IDEMPOTENCY_MS = DAY_MS
COUNTER_HOURS_MS = 8 * DAY_MS
SETTLE_MS = 15 * 60_000
"""A removed device's readings may still be in flight this long; after a last purge the reminder goes."""
PAGE = 500


def purge_removed(
    *,
    devices: DeviceRepository,
    readings: ReadingStore,
    commands: CommandRepository,
    twins: TwinRepository,
    now_ms: int,
) -> int:
    """Purge what removed devices leave behind, once nothing of theirs can be in flight; returns how many they are."""
    removed = devices.removed(before_ms=now_ms - SETTLE_MS)
    for device in removed:
        readings.purge(device)
    if removed:
        commands.purge(removed)
        twins.purge(removed)
    devices.forget(removed)
    return len(removed)


def retain(retention: Retention, *, readings: ReadingStore, now_ms: int) -> int:
    """Let the store drop readings that are older than their device type's days; returns how many it deleted."""
    if not any(retention.days_by_type.values()):
        return readings.retain(0, [], now_ms=now_ms)
    kept = [(device.ref, retention.days(device.device_type)) for device in _all(retention.devices)]
    return readings.retain(retention.longest(), kept, now_ms=now_ms)


def _all(devices: DeviceRepository) -> Iterator[Device]:
    for tenant in devices.tenants():
        after_id = 0
        while page := devices.page(tenant, DeviceFilter(), after_id=after_id, limit=PAGE):
            yield from page
            after_id = page[-1].id


def tidy(
    days_by_type: Mapping[str, int],
    *,
    devices: DeviceRepository,
    readings: ReadingStore,
    commands: CommandRepository,
    twins: TwinRepository,
    idempotency: Idempotency,
    counters: Counters,
    now_ms: int,
) -> None:
    """Everything above, and forgetting of old commands, idempotency keys and hourly counts.

    A silent backend is met next time.
    """
    try:
        commands.expire(now_ms=now_ms)
        commands.forget(before_ms=now_ms - KEPT_MS)
        idempotency.expire(before_ms=now_ms - IDEMPOTENCY_MS)
        counters.expire(before_ms=now_ms - COUNTER_HOURS_MS)
        purged = purge_removed(devices=devices, readings=readings, commands=commands, twins=twins, now_ms=now_ms)
        deleted = retain(Retention(days_by_type, devices), readings=readings, now_ms=now_ms)
        if purged or deleted:
            log.info("Upkeep purged %d removed devices and deleted %d readings over their age", purged, deleted)
    except Unavailable as error:
        log.warning("Upkeep goes on next time: %s", error.message)
