"""The mark of a restore that is moving files. It is small, for `up` asks for it at every start."""

from pathlib import Path

ASIDE = "replaced-"
"""Begins the name of the folder in the data directory that holds what a restore replaced."""
UNFINISHED = "unfinished"
"""The mark, a file in that folder."""


def unfinished(data: Path) -> list[Path]:
    """The marks of restores that were interrupted; none in a healthy installation."""
    return sorted(data.glob(f"{ASIDE}*/{UNFINISHED}"))
