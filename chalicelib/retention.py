"""How long telemetry is kept: days by device type. Readings that are older are expired; they are not kept any more."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from chalicelib.model import DeviceRef, Reading
from chalicelib.ports import DeviceRepository, ReadingStore

DAY_MS = 86_400_000
EXPIRED = "iotflow_expired_readings_total"
"""Counts readings that were accepted and not stored, since they were older than their device type's days by then."""


class Retention(NamedTuple):
    """The rules, and where a device's type is known from. The empty type is the rule for all others; 0 keeps."""

    days_by_type: Mapping[str, int]
    devices: DeviceRepository

    def days(self, device_type: str) -> int:
        """Days that readings of the type are kept, 0 for ever."""
        return self.days_by_type.get(device_type, self.days_by_type.get("", 0))

    def longest(self) -> int:
        """The most days that any type has, 0 for ever."""
        days = [self.days_by_type.get("", 0), *self.days_by_type.values()]
        return 0 if 0 in days else max(days)

    def expired(self, readings: Sequence[Reading], *, now_ms: int) -> set[int]:
        """Positions of the readings that are too old to be kept."""
        if not any(self.days_by_type.values()):
            return set()
        oldest_ms = {device: self._oldest_ms(device, now_ms) for device in {each.device for each in readings}}
        return {at for at, each in enumerate(readings) if each.timestamp_ms < oldest_ms[each.device]}

    def _oldest_ms(self, device: DeviceRef, now_ms: int) -> float:
        found = self.devices.get(device)
        days = self.days(found.device_type) if found is not None else 0
        return now_ms - days * DAY_MS if days else float("-inf")


def delete_expired(store: ReadingStore, devices: Iterable[tuple[DeviceRef, int]], *, now_ms: int) -> int:
    """Delete what is older than each device's days, for stores without rules of their own; how many readings."""
    return sum(store.delete(device, start_ms=0, end_ms=now_ms - days * DAY_MS) for device, days in devices if days)
