"""Put verified files in the place of those that are there, all or none.

What was there is moved into a folder ``replaced-TIME`` in the data directory, and stays there for the operator. While
files are being moved it also holds a mark: a machine that stops in between leaves old and new files mixed, and this is
how `up`, `doctor` and the next restore know.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.settings import Settings
from infra.backup.manifest import PEPPER
from infra.backup.marker import ASIDE, UNFINISHED, unfinished
from infra.backup.reading import Staged
from infra.databases import databases


def put_in_place(staged: list[Staged], settings: Settings, *, stamp: str) -> Path | None:
    """Replace every database and the pepper by *staged*; nothing of the installation may run.

    Args:
        staged: Verified files. What has no file here ends up absent.
        settings: Of the installation.
        stamp: Makes the folder's name; no other restore may have had it.

    Returns:
        The folder with what was replaced; None when there was nothing.

    Raises:
        OSError: Everything is as it was.
    """
    aside = settings.data / f"{ASIDE}{stamp}"
    aside.mkdir(mode=0o700)
    marker = aside / UNFINISHED
    marker.touch()
    try:
        with _undone_on_failure() as moved:
            for name, file in _existing(settings):
                _move(file, aside / name, moved)
            for each in staged:
                _move(each.path, each.target, moved)
    except OSError:
        marker.unlink()
        aside.rmdir()
        raise
    for old in unfinished(settings.data):
        old.unlink()
    if any(aside.iterdir()):
        return aside
    aside.rmdir()
    return None


def _existing(settings: Settings) -> Iterator[tuple[str, Path]]:
    """What is there now, with the name it gets aside."""
    for database in databases(settings):
        for file in database.files:
            if file.exists():
                yield database.name + file.name.removeprefix(database.path.name), file
    pepper = settings.data / PEPPER
    if pepper.exists():
        yield PEPPER, pepper


def _move(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
    shutil.move(source, target)
    moved.append((source, target))


@contextmanager
def _undone_on_failure() -> Iterator[list[tuple[Path, Path]]]:
    """Collects moves, and takes them back when the block fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        yield moved
    except BaseException:
        for source, target in reversed(moved):
            shutil.move(target, source)
        raise
