"""Which readings a store can keep: the last check, so that one bad value never fails its neighbours."""

import math
from collections.abc import Sequence

from chalicelib.model import MAX_INT64, MIN_INT64, Reading
from chalicelib.plain import is_plain
from chalicelib.ports import Rejected


def sift(readings: Sequence[Reading]) -> tuple[list[Reading], list[Rejected]]:
    """Part the readings that fit the model from those that do not, with the reason."""
    good: list[Reading] = []
    rejected: list[Rejected] = []
    for position, reading in enumerate(readings):
        flaw = find_flaw(reading)
        if flaw is None:
            good.append(reading)
        else:
            rejected.append(Rejected(position, flaw))
    return good, rejected


def find_flaw(reading: Reading) -> str | None:
    """Why no store can ever keep *reading*, in words for an operator; None if it can."""
    if not MIN_INT64 <= reading.timestamp_ms <= MAX_INT64:
        return "the timestamp does not fit in 64 bits"
    if not reading.values:
        return "the reading has no values"
    if all(map(is_plain, reading.values)) and all(map(is_plain, reading.values.values())):
        return None
    for name, value in reading.values.items():
        flaw = None if _is_text(name) else "a name that is not valid Unicode"
        flaw = flaw or _flaw_of_value(value)
        if flaw is not None:
            return f"{name!a} has {flaw}"
    return None


def _flaw_of_value(value: object) -> str | None:
    match value:
        case float():
            return None if math.isfinite(value) else "a number that is not finite"
        case bool():
            return None
        case int():
            return None if MIN_INT64 <= value <= MAX_INT64 else "an integer that does not fit in 64 bits"
        case str():
            return None if _is_text(value) else "text that is not valid Unicode"
        case _:
            return "a value that is no number, boolean or text"


def _is_text(text: str) -> bool:
    """Whether *text* can be written as UTF-8: a lone surrogate cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
