"""Presence, as the gateway sees it: connected is online. Marks are gathered and written by a thread of their own."""

import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Sighting
from chalicelib.ports import Presence

log = logging.getLogger(__name__)

GATHER_S = 0.05
"""How long marks are gathered before they are written."""


class Sightings:
    """Writes the newest mark of each device, a moment after it was made.

    Args:
        presence: Where they go; may be slow, it has its own thread.
        loop: The event loop of the callers.
    """

    def __init__(self, presence: Presence, loop: AbstractEventLoop) -> None:
        self._presence = presence
        self._loop = loop
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="presence")
        self._newest: dict[DeviceRef, Sighting] = {}
        self._timer: TimerHandle | None = None

    def mark(self, device: DeviceRef, now_ms: int, *, online: bool) -> None:
        """Remember that *device* was seen, or has left. Of two marks the later call wins, also in one millisecond."""
        before = self._newest.get(device)
        if before is not None and before.at_ms >= now_ms and before.online != online:
            now_ms = before.at_ms + 1
        self._newest[device] = Sighting(device, now_ms, online)
        if self._timer is None:
            self._timer = self._loop.call_later(GATHER_S, self.flush)

    def mark_all(self, devices: Iterable[DeviceRef], now_ms: int) -> None:
        """All of *devices* are seen."""
        for device in devices:
            self.mark(device, now_ms, online=True)

    def flush(self) -> None:
        """Hand what was gathered to the thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._newest:
            marks, self._newest = list(self._newest.values()), {}
            self._thread.submit(self._write, marks)

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        self._thread.shutdown()

    def _write(self, marks: list[Sighting]) -> None:
        try:
            self._presence.mark(marks)
        except Unavailable:
            log.warning("Presence does not answer; %d sightings are lost", len(marks))
