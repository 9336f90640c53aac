"""Server times that differ: two readings without a timestamp of their own must not overwrite each other."""

import threading
from collections.abc import Callable

from chalicelib.model import DeviceRef

MAX_LEAD_MS = 600_000
"""How far ahead of the clock stamps may run: after bursts of large batches, or a clock that stepped back. Within it no
accepted reading replaces another; a clock that was further ahead was wrong, and its times are not kept up."""
MAX_DEVICES = 50_000
SAFE_LEAD_MS = 100
"""No process is replaced by another that gives times in less: so far ahead of the clock nothing needs to be kept."""
RESERVED_MS = 1000
"""So many more are kept at once: one write to the disk for a thousand times."""


class Stamps:
    """Gives each device strictly growing times within this process, by the clock or a little ahead of it.

    Args:
        reserve: Keeps a time over the end of this process, for the `start_after` of its successor; called before
            times that are further ahead of the clock than a restart takes are given, up to the one it is called with.
    """

    def __init__(self, reserve: Callable[[int], None] = lambda _stamp_ms: None) -> None:
        self._reserve = reserve
        self._reserved_ms = 0
        self._last_ms: dict[DeviceRef, int] = {}
        self._floor_ms = 0
        self._newest_ms = 0
        self._lock = threading.Lock()

    @property
    def newest_ms(self) -> int:
        """The latest of all times given: a process that goes on with this one's work starts after it."""
        return self._newest_ms

    def start_after(self, stamp_ms: int) -> None:
        """Give only later times from now on, to any device: another process gave those up to *stamp_ms*."""
        with self._lock:
            self._floor_ms = max(self._floor_ms, stamp_ms)

    def take(self, device: DeviceRef, now_ms: int, count: int = 1) -> int:
        """The last of *count* consecutive free milliseconds at or after *now_ms*, now taken.

        Ahead of the clock by more than `MAX_LEAD_MS` (it stepped back), the clock is believed.

        Raises:
            Unavailable: The time cannot be kept; it is not given.
        """
        with self._lock:
            last_ms = max(self._last_ms.get(device, 0), self._floor_ms)
            stamp_ms = now_ms if now_ms - last_ms >= count else last_ms + count
            if stamp_ms - now_ms > MAX_LEAD_MS:
                stamp_ms = now_ms
            if len(self._last_ms) >= MAX_DEVICES:
                self._last_ms = {key: value for key, value in self._last_ms.items() if value >= now_ms}
            self._last_ms[device] = stamp_ms
            self._newest_ms = max(self._newest_ms, stamp_ms)
            if stamp_ms - now_ms > SAFE_LEAD_MS and stamp_ms > self._reserved_ms:
                self._reserve(stamp_ms + RESERVED_MS)
                self._reserved_ms = stamp_ms + RESERVED_MS
            return stamp_ms
