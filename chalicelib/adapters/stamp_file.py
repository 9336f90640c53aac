"""The latest server time that a process may have given, in a file of the data folder.

Every process that gives times has a file of its own, and starts after what all of them say.
"""

import os
from pathlib import Path

from chalicelib.errors import Unavailable

PATTERN = "stamps-*"


def latest_ms(folder: Path) -> int:
    """The latest time that any process kept; 0 when none did. A file that cannot be read says nothing."""
    return max((_read(file) for file in folder.glob(PATTERN)), default=0)


class StampFile:
    """Keeps one time, on the disk when `keep` returns.

    Args:
        folder: The data folder.
        name: Of the process.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"stamps-{name}"

    def keep(self, stamp_ms: int) -> None:
        """Replace what was kept.

        Raises:
            Unavailable: The disk does not take it.
        """
        draft = self._path.with_name(f".{self._path.name}.new")
        try:
            with draft.open("w", encoding="ascii") as file:
                file.write(f"{stamp_ms}\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            message = f"A server time cannot be kept: {error.strerror}"
            raise Unavailable(message) from error


def _read(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
