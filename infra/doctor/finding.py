"""What a check found."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is. Only `WRONG` makes `doctor` fail."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        level: How bad it is.
        subject: What it is about, in a word.
        sentence: What was found.
        remedy: A command, or what to do; empty when there is nothing to do.
    """

    level: Level
    subject: str
    sentence: str
    remedy: str = ""


def ok(subject: str, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, subject, sentence)


def note(subject: str, sentence: str, remedy: str = "") -> Finding:
    """Good to know."""
    return Finding(Level.NOTE, subject, sentence, remedy)


def warning(subject: str, sentence: str, remedy: str) -> Finding:
    """It works, and may not do so for long, or not as is meant."""
    return Finding(Level.WARNING, subject, sentence, remedy)


def wrong(subject: str, sentence: str, remedy: str) -> Finding:
    """It does not work, or must not be left like this."""
    return Finding(Level.WRONG, subject, sentence, remedy)
