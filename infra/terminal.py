"""Plain, pretty output: colour only on a terminal, and never when NO_COLOR is set (https://no-color.org)."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


def colourful(stream: TextIO) -> bool:
    """Whether *stream* shows colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """*text* in *colour* where *stream* (standard output when omitted) shows it, as it is elsewhere."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colourful(stream or sys.stdout) else text


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with every column as wide as its widest cell; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def duration(seconds: float) -> str:
    """A length of time for people: `42 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`."""
    whole = max(0, int(seconds))
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {smaller_unit}"
    return f"{whole} s"
