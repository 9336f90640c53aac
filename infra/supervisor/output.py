"""Where the words of the processes go: files in the background, the terminal in the foreground."""

import os
import time
from pathlib import Path
from typing import Protocol, TextIO

from infra import terminal
from infra.supervisor import logfiles

SUPERVISOR = "supervisor"
TAIL_LINES = 10


class Output(Protocol):
    """What the supervisor needs of either."""

    def open(self, name: str, /) -> int | None:
        """A descriptor for process *name* to write to, the caller's to close; None: pipe its lines to `line`."""
        ...

    def line(self, name: str, text: str, /) -> None:
        """Add one line of process *name*, or of the supervisor."""
        ...

    def tail(self, name: str, /) -> list[str]:
        """The last lines of process *name*."""
        ...

    def rotate(self) -> None:
        """Begin anew where a file has grown too long."""
        ...


class LogFiles:
    """Each process writes into its own file by itself: its words do not depend on the supervisor's life.

    Args:
        folder: Where the NAME.log files are; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, name: str) -> int | None:
        """See `Output`."""
        self._folder.mkdir(exist_ok=True)  # somebody may have tidied up
        return os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def line(self, name: str, text: str) -> None:
        """See `Output`."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with self._path(name).open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")

    def tail(self, name: str) -> list[str]:
        """See `Output`."""
        return logfiles.last_lines(self._path(name), TAIL_LINES)

    def rotate(self) -> None:
        """See `Output`."""
        for path in self._folder.glob("*.log"):
            logfiles.rotate(path)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.log"


class Screen:
    """The terminal, each line with the name of the process that wrote it.

    Args:
        stream: Where lines go.
        names: The processes; decides colours and the width of the first column.
    """

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._width = max(map(len, [*names, SUPERVISOR]))
        colours = (terminal.CYAN, terminal.GREEN, terminal.YELLOW)
        self._colours = {name: colours[number % len(colours)] for number, name in enumerate(names)}

    def open(self, _name: str) -> int | None:
        """See `Output`."""
        return None

    def line(self, name: str, text: str) -> None:
        """See `Output`."""
        column = terminal.paint(f"{name:{self._width}} |", self._colours.get(name, terminal.DIM), self._stream)
        self._stream.write(f"{column} {text}\n")
        self._stream.flush()

    def tail(self, _name: str) -> list[str]:
        """Nothing: the lines are on the screen already."""
        return []

    def rotate(self) -> None:
        """See `Output`."""
