"""Presence in this process's memory."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence

from chalicelib.model import DeviceRef, Sighting


class MemoryPresence:
    """The newest sighting of every device. At the same millisecond the goodbye wins, whatever the order."""

    def __init__(self) -> None:
        self._sightings: defaultdict[str, dict[int, Sighting]] = defaultdict(dict)
        self._lock = threading.Lock()

    def mark(self, sightings: Sequence[Sighting]) -> None:
        with self._lock:
            for sighting in sightings:
                of_tenant = self._sightings[sighting.device.tenant]
                known = of_tenant.get(sighting.device.id)
                if known is None or _rank(sighting) > _rank(known):
                    of_tenant[sighting.device.id] = sighting

    def read(self, devices: Sequence[DeviceRef]) -> dict[DeviceRef, Sighting]:
        with self._lock:
            found = ((device, self._sightings[device.tenant].get(device.id)) for device in devices)
            return {device: sighting for device, sighting in found if sighting is not None}

    def online(self, tenant: str, *, since_ms: int) -> frozenset[int]:
        with self._lock:
            of_tenant = self._sightings[tenant]
            return frozenset(id_ for id_, seen in of_tenant.items() if seen.online and seen.at_ms >= since_ms)

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        with self._lock:
            for device in devices:
                self._sightings[device.tenant].pop(device.id, None)

    def check(self) -> None:
        """Memory is always there."""


def _rank(sighting: Sighting) -> tuple[int, bool]:
    return sighting.at_ms, not sighting.online
