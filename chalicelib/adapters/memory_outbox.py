"""What a broker is to be told, in this process."""

import threading
from collections.abc import Iterable

from chalicelib.model import DeviceRef
from chalicelib.ports import BrokerChange


class MemoryBrokerOutbox:
    """`BrokerOutbox` of a `MemoryDevices` that was made with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._entries: dict[DeviceRef, BrokerChange] = {}
        self._hidden_until_ms: dict[DeviceRef, int] = {}

    def note(self, device: DeviceRef, seed: str = "", *, gone: bool = False) -> None:
        """Give the device's entry a new number."""
        with self._lock:
            self._number += 1
            earlier = self._entries.pop(device, None)
            kept = seed or (earlier.seed if earlier is not None else "")
            self._entries[device] = BrokerChange(self._number, device, "" if gone else kept)

    def take(self, *, limit: int, hidden_s: float, now_ms: int) -> list[BrokerChange]:
        until_ms = now_ms + int(hidden_s * 1000)
        with self._lock:
            free = [
                change
                for device, change in self._entries.items()
                if not now_ms < self._hidden_until_ms.get(device, 0) <= until_ms
            ][:limit]
            self._hidden_until_ms |= {change.device: until_ms for change in free}
        return free

    def settle(self, changes: Iterable[BrokerChange]) -> None:
        with self._lock:
            for change in changes:
                self._hidden_until_ms.pop(change.device, None)
                if self._entries.get(change.device) == change:
                    del self._entries[change.device]

    def release(self, changes: Iterable[BrokerChange]) -> None:
        with self._lock:
            for change in changes:
                self._hidden_until_ms.pop(change.device, None)

    def waiting(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        with self._lock:
            return {device for device in devices if device in self._entries}

    def count(self) -> int:
        return len(self._entries)
