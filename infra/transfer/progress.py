"""How far a long command is, on the terminal of whoever waits for it; nothing when nobody does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from chalicelib.model import DeviceRef, Reading
from chalicelib.ports import ReadingStore


class Bar(Protocol):
    """Shows progress."""

    def at(self, done: float, readings: int) -> None:
        """So much of the total is done; *readings* more have passed."""
        ...


class Share:
    """How much of a device's readings is done, going by their times.

    Args:
        store: Knows the newest reading.
        end_ms: Of the export.
    """

    def __init__(self, store: ReadingStore, end_ms: int) -> None:
        self._store = store
        self._end_ms = end_ms
        self._device: DeviceRef | None = None
        self._first_ms = self._last_ms = 0

    def of(self, reading: Reading) -> float:
        """From 0 to 1, if all that comes before *reading* is done; the first call for a device is its beginning."""
        if reading.device != self._device:
            self._device, self._first_ms = reading.device, reading.timestamp_ms
            newest = self._store.latest(reading.device).values()
            self._last_ms = min(max((at_ms for at_ms, _ in newest), default=self._end_ms), self._end_ms)
        whole_ms = max(self._last_ms - self._first_ms, 1)
        return min(max((reading.timestamp_ms - self._first_ms) / whole_ms, 0.0), 1.0)


class _Silent:
    def at(self, done: float, readings: int) -> None:
        """Nobody looks."""


@contextmanager
def bar(word: str, total: float) -> Iterator[Bar]:
    """A bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    numbers = (TextColumn("{task.fields[readings]:,} readings"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *numbers, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(word, total=max(total, 1e-9), readings=0)
        passed = 0

        class _Shown:
            def at(self, done: float, readings: int) -> None:
                nonlocal passed
                passed += readings
                shown.update(task, completed=done, readings=passed)

        yield _Shown()
