"""Counts that wait in memory for their next writing."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Generic, TypeVar

from chalicelib.errors import Unavailable

FLUSH_EVERY_MS = 1000

_log = logging.getLogger(__name__)

Counted = TypeVar("Counted")


class CountBuffer(Generic[Counted]):
    """Sums by what is counted; the first `add` after *every_ms* writes, and so does `flush`.

    Args:
        write: Makes the sums durable. When it fails, what is left in the dictionary is kept for the next time.
        every_ms: How long counts may wait.
    """

    def __init__(self, write: Callable[[dict[Counted, float]], None], *, every_ms: int = FLUSH_EVERY_MS) -> None:
        self._write = write
        self._every_ms = every_ms
        self._sums: defaultdict[Counted, float] = defaultdict(float)
        self._flushed_ms = 0
        self._failing = False
        self._lock = threading.Lock()
        self._flushing = threading.Lock()

    def add(self, amount: float, *counted: Counted, now_ms: int) -> None:
        """Add *amount* to each of *counted*."""
        with self._lock:
            for each in counted:
                self._sums[each] += amount
            due = not 0 <= now_ms - self._flushed_ms < self._every_ms
            if due:
                self._flushed_ms = now_ms
        if due:
            self._flush_if_idle()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            Unavailable: It goes on waiting.
        """
        with self._flushing:
            self._flush()

    def _flush_if_idle(self) -> None:
        """Flush unless another thread does; a failure is logged once, until it works again."""
        if not self._flushing.acquire(blocking=False):
            return
        try:
            self._flush()
            self._failing = False
        except Unavailable as error:
            if not self._failing:
                _log.warning("Counts stay in memory: %s", error.message)
            self._failing = True
        finally:
            self._flushing.release()

    def _flush(self) -> None:
        with self._lock:
            sums, self._sums = self._sums, defaultdict(float)
        if not sums:
            return
        try:
            self._write(sums)
        except BaseException:
            with self._lock:
                for counted, amount in sums.items():
                    self._sums[counted] += amount
            raise
