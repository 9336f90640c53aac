"""Log files: the end of one, and rotation by size. Writers open them for appending and are never told."""

import shutil
from pathlib import Path

ROTATE_BYTES = 10_000_000
KEPT = 3
"""Old files kept of each log; the newest is NAME.log.1."""

_BLOCK_BYTES = 65_536


def rotate(path: Path, *, limit_bytes: int = ROTATE_BYTES, kept: int = KEPT) -> bool:
    """Keep a copy and empty the file when it has passed *limit_bytes*; returns whether it has.

    Copying and emptying, instead of renaming, spares the writers opening a new file. A line that is written
    between the two steps, a few microseconds, is lost.
    """
    if not path.exists() or path.stat().st_size < limit_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        old = _numbered(path, number)
        if old.exists():
            old.replace(_numbered(path, number + 1))
    with path.open("rb") as source, _numbered(path, 1).open("wb") as copy:
        shutil.copyfileobj(source, copy)
        with path.open("r+b") as emptied:
            emptied.truncate(0)
    return True


def last_lines(path: Path, count: int) -> list[str]:
    """The last *count* lines of a file, oldest first; none when there is no file."""
    if count <= 0 or not path.exists():
        return []
    content = b""
    with path.open("rb") as file:
        position = file.seek(0, 2)
        while position and content.count(b"\n") <= count:
            step = min(_BLOCK_BYTES, position)
            position = file.seek(position - step)
            content = file.read(step) + content
    return content.decode(errors="replace").splitlines()[-count:]


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
