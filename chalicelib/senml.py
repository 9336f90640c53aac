"""SenML packs (RFC 8428) resolved to plain measurements. Section numbers below are that document's."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from chalicelib.errors import InvalidInput
from chalicelib.model import MAX_INT64, MIN_INT64
from chalicelib.strict_json import shown

CBOR_LABELS = {
    -6: "bs",
    -5: "bv",
    -4: "bu",
    -3: "bt",
    -2: "bn",
    -1: "bver",
    0: "n",
    1: "u",
    2: "v",
    3: "vs",
    4: "vb",
    5: "s",
    6: "t",
    7: "ut",
    8: "vd",
}
"""Table 4: what stands for the labels in CBOR."""
VERSION = 10
ABSOLUTE_FROM_S = 2**28
"""Section 4.5.3: smaller times are relative to now."""
LATEST_S = 10**11
"""Year 5138: later times are milliseconds by mistake."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*", re.ASCII)
_VALUES = ("v", "vs", "vb", "vd")
_BASE = frozenset({"bn", "bt", "bu", "bv", "bs", "bver"})
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("bn", "n", "bu", "u", "vs", "vd"), (str,)),
    **dict.fromkeys(("bt", "t", "bv", "v", "bs", "s", "ut"), (int, float)),
    "bver": (int,),
    "vb": (bool,),
}

Record = Mapping[str, object]


class _Entry(NamedTuple):
    name: str
    unit: str | None
    timestamp_ms: int | None
    value: object
    sum: float | None


def looks_like_pack(document: list[object]) -> bool:
    """Whether a JSON array that came without SenML's content type is a pack: records with names and values."""
    records = [record for record in document if isinstance(record, dict)]
    if not records or len(records) != len(document):
        return False
    first = records[0]
    if isinstance(first.get("bn"), str):
        return True
    labelled = {"s", *_VALUES}
    return all(isinstance(record.get("n"), str) and not labelled.isdisjoint(record) for record in records)


def resolve(pack: object, *, now_ms: int) -> dict[int | None, dict[str, object]]:
    """Apply base fields and times (section 4.6) and group by instant.

    Names stay whole, base name included, so that sensors behind one gateway never collide. A name that is used with
    several units in one pack (as in section 5.1.3) is several measurements, ``name.unit``. A sum becomes
    ``name.sum``; data values are their base64url text. Units are not stored otherwise, update times not at all.

    Args:
        pack: The parsed array; from CBOR with its labels spelled out.
        now_ms: What relative times count from.

    Returns:
        Epoch milliseconds, or None for "now", -> measurement -> value, in the order of the pack. Values are not
        checked.

    Raises:
        InvalidInput: Not a pack, of a newer version, with a field that must be understood and is not, or with two
            values for one name at one instant.
    """
    if not isinstance(pack, list):
        raise InvalidInput("A SenML pack is an array of records")
    entries = _entries(pack, now_ms)
    units: dict[str, set[str | None]] = {}
    for entry in entries:
        units.setdefault(entry.name, set()).add(entry.unit)
    readings: dict[int | None, dict[str, object]] = {}
    for entry in entries:
        name = entry.name
        if entry.unit is not None and len(units[name]) > 1:
            name = f"{name}.{entry.unit}"
        values = readings.setdefault(entry.timestamp_ms, {})
        _put(values, name, entry.value)
        _put(values, f"{name}.sum", entry.sum)
    return readings


def _put(values: dict[str, object], name: str, value: object) -> None:
    if value is None:
        return
    if name in values:
        message = f"{shown(name)} has two values at the same time"
        raise InvalidInput(message, field=shown(name))
    values[name] = value


def _entries(pack: list[object], now_ms: int) -> list[_Entry]:
    base: dict[str, object] = {}
    entries = []
    for position, record in enumerate(pack):
        if not isinstance(record, dict):
            message = f"Record {position} of the SenML pack is not an object"
            raise InvalidInput(message, field=f"[{position}]")
        _check(record, position)
        base.update((label, record[label]) for label in _BASE & record.keys())
        if not record.keys() <= _BASE:
            entries.append(_entry(record, base, position, now_ms))
    return entries


def _check(record: Record, position: int) -> None:
    for label, value in record.items():
        field = f"[{position}].{shown(label)}"
        types = _TYPES.get(label)
        if types is None:
            if label.endswith("_"):
                message = f"{field} must be understood (RFC 8428 section 4.4) and is not"
                raise InvalidInput(message, field=field)
        elif not _fits(value, types) and not (value is None and label in _VALUES):
            message = f"{field} is not what SenML has there"
            raise InvalidInput(message, field=field)
    version = record.get("bver", VERSION)
    if not isinstance(version, int) or not 0 < version <= VERSION:
        message = f"[{position}].bver is not a version from 1 to {VERSION}"
        raise InvalidInput(message, field=f"[{position}].bver", limit=str(VERSION))


def _fits(value: object, types: tuple[type, ...]) -> bool:
    """Exact types: a boolean is no number here. Infinities come from JSON's 1e999, NaN from CBOR."""
    if type(value) not in types:
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or MIN_INT64 <= value <= MAX_INT64


def _entry(record: Record, base: Record, position: int, now_ms: int) -> _Entry:
    name = f"{base.get('bn', '')}{record.get('n', '')}"
    if _NAME.fullmatch(name) is None:
        field = f"[{position}].n"
        message = f"{field}: SenML names begin with a letter or digit and hold only letters, digits and - : . / _"
        raise InvalidInput(message, field=field)
    unit = record.get("u", base.get("bu"))
    return _Entry(
        name=name,
        unit=unit if isinstance(unit, str) else None,
        timestamp_ms=_timestamp_ms(_total(record, base, "t") or 0, position, now_ms),
        value=_value(record, base, position),
        sum=_total(record, base, "s"),
    )


def _timestamp_ms(seconds: float, position: int, now_ms: int) -> int | None:
    if seconds == 0:
        return None
    if not abs(seconds) < LATEST_S:
        message = f"[{position}].t is not a time in seconds"
        raise InvalidInput(message, field=f"[{position}].t")
    milliseconds = round(seconds * 1000)
    return milliseconds if seconds >= ABSOLUTE_FROM_S else now_ms + milliseconds


def _value(record: Record, base: Record, position: int) -> object:
    given = [label for label in _VALUES if label in record]
    if len(given) > 1:
        message = f"[{position}] has more than one value: {', '.join(given)}"
        raise InvalidInput(message, field=f"[{position}].{given[1]}")
    if given and (given[0] != "v" or record["v"] is None):
        return record[given[0]]
    value = _total(record, base, "v")
    if value is None and _total(record, base, "s") is None:
        message = f"[{position}] has no value"
        raise InvalidInput(message, field=f"[{position}].v")
    return value


def _total(record: Record, base: Record, label: str) -> float | None:
    """Field plus base field (sections 4.5.3 and 4.5.4); one alone stays as it is, a missing pair is None."""
    given = [number for number in (base.get(f"b{label}"), record.get(label)) if isinstance(number, int | float)]
    return sum(given[1:], given[0]) if given else None
