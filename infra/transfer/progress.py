"""How far a long command is, on the terminal of whoever waits for it; nothing when nobody does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """Shows progress."""

    def at(self, done: float, readings: int) -> None:
        """So much of the total is done; *readings* more have passed."""
        ...


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
