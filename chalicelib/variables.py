"""How settings are declared and parsed: a name, a parser, a sentence. No environment is read here."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Variable:
    """How a setting is read: the first name is the documented one, the others are understood too."""

    names: tuple[str, ...]
    parse: Callable[[str], Any]
    doc: str
    default: str
    secret: bool = False


def setting(
    names: str, parse: Callable[[str], Any], default: Any, doc: str, *, shown: str | None = None, secret: bool = False
) -> Any:
    """A dataclass field that is read from the environment by `parse`, which raises ValueError with "must be ..."."""
    text = str(default) if shown is None else shown
    variable = Variable(tuple(names.split()), parse, doc, text, secret)
    return field(default=default, repr=not secret, metadata={"variable": variable})


def boolean(text: str) -> bool:
    """True or false, in the usual spellings."""
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off", ""}:
        return False
    message = "must be true or false"
    raise ValueError(message)


def optional_boolean(text: str) -> bool | None:
    """Like `boolean`; auto or nothing is None."""
    return None if text.lower() in {"", "auto"} else boolean(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of the given words, any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            message = f"must be one of {', '.join(choices)}"
            raise ValueError(message)
        return text.lower()

    return parse


def between(low: int, high: int) -> Callable[[str], int]:
    """A whole number from *low* to *high*."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            message = f"must be a whole number from {low} to {high}"
            raise ValueError(message)
        return number

    return parse


def secret(shortest: int) -> Callable[[str], str]:
    """A secret of at least *shortest* characters, since a short one can be guessed; nothing is no secret."""

    def parse(text: str) -> str:
        if 0 < len(text) < shortest:
            message = f"must have at least {shortest} characters"
            raise ValueError(message)
        return text

    return parse


def words(text: str) -> tuple[str, ...]:
    """Comma-separated words."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def date_ms(text: str) -> int:
    """A day as epoch ms of its midnight UTC."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        message = "must be a date like 2000-01-01"
        raise ValueError(message) from None


def retention(text: str) -> tuple[tuple[str, int], ...]:
    """Days by device type; the empty type is the rule for all others."""
    days: dict[str, int] = {}
    for word in words(text):
        device_type, _, number = word.rpartition("=")
        days[device_type] = between(0, 100_000)(number)
    return tuple(days.items())


def optional_path(text: str) -> Path | None:
    """A path; None for nothing."""
    return Path(text) if text else None


def sqlite_path(text: str) -> Path | None:
    """The path of a sqlite:/// URL; None for nothing."""
    if not text:
        return None
    if not text.startswith("sqlite:///"):
        message = "must be sqlite:///PATH; other databases are chosen with IOTFLOW_DEVICES"
        raise ValueError(message)
    return Path(text.removeprefix("sqlite:///"))


def broker_url(text: str) -> str:
    """Where an MQTT broker listens; nothing is no broker. Who signs in is not part of it: URLs end up in logs."""
    if text and re.fullmatch(r"mqtts?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?", text) is None:
        message = "must be mqtt://HOST:PORT or mqtts://HOST:PORT, without a user name"
        raise ValueError(message)
    return text.rstrip("/")


def client_id(text: str) -> str:
    """A client id that every broker takes, and that can be a level of a topic."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) is None:
        message = "must have 1 to 64 letters, digits and _ . -"
        raise ValueError(message)
    return text


def iotdb_path(text: str) -> str:
    """A path in IoTDB that needs no quotes."""
    if re.fullmatch(r"root(\.[a-z][a-z0-9_]*)+", text) is None:
        message = "must be a path like root.iotflow, of small letters, digits and _"
        raise ValueError(message)
    return text
