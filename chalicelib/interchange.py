"""How readings are written for other programs: JSON Lines, and CSV that no spreadsheet takes for a formula.

Both are exact: what `parse_cell` makes of `cell` is the value that was there, with its type.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence

from chalicelib.model import Reading, Value
from chalicelib.times import to_iso

FIXED_COLUMNS = ("device", "timestamp")
"""The first two of a table of readings; a measurement may have the same name, its place tells them apart."""

TYPED_COLUMNS = (*FIXED_COLUMNS, "measurement", "type", "value")
"""Of CSV with a line a value."""
BYTE_ORDER_MARK = "\ufeff"
"""Without it spreadsheets take UTF-8 for the encoding of the desktop's language."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001 - as spreadsheets do
"""How a cell begins that a spreadsheet may execute (OWASP, CSV Injection); and the mark itself."""
TYPES: dict[type, str] = {int: "int", float: "float", bool: "bool", str: "text"}
"""How types are spelled."""
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_LONGEST_INTEGER = 20
"""Characters of a 64-bit integer; whether it fits is checked elsewhere."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def json_line(device: str, reading: Reading) -> str:
    """One line: the device's name, the time, and the values as they were sent, by name."""
    row = {"device": device, "timestamp": to_iso(reading.timestamp_ms), "data": dict(sorted(reading.values.items()))}
    return _encode(row) + "\n"


def table_header(measurements: Sequence[str]) -> str:
    """The first line of a table with a column a measurement."""
    names = list(map(guarded, measurements))
    if (*FIXED_COLUMNS, *names) == TYPED_COLUMNS:
        names[0] = f"'{names[0]}"
    return BYTE_ORDER_MARK + csv_lines([(*FIXED_COLUMNS, *names)])


def table_row(device: str, reading: Reading, measurements: Sequence[str]) -> str:
    """One line of it; nothing measured is an empty cell."""
    values = (cell(reading.values[name]) if name in reading.values else "" for name in measurements)
    return csv_lines([(guarded(device), to_iso(reading.timestamp_ms), *values)])


def typed_rows(device: str, reading: Reading) -> str:
    """Lines of CSV, one a value, with its type: the same columns for all devices, whatever they measure."""
    first = (guarded(device), to_iso(reading.timestamp_ms))
    return csv_lines(
        (*first, guarded(name), TYPES[type(value)], guarded(value) if isinstance(value, str) else spelled(value))
        for name, value in sorted(reading.values.items())
    )


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows as RFC 4180 wants them."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def cell(value: Value) -> str:
    """A value in a cell: text that would be read as something else, or as nothing, has a ``'`` before it."""
    if isinstance(value, str):
        return f"'{value}" if not value or value in _BOOLEANS or _NUMBER.fullmatch(value) else guarded(value)
    return spelled(value)


def parse_cell(text: str) -> Value | None:
    """What `cell` wrote; None for an empty cell."""
    if not text:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NUMBER.fullmatch(text):
        return parse_typed(text, "int" if _INTEGER.fullmatch(text) else "float")
    return unguarded(text)


def parse_typed(text: str, type_name: str) -> Value:
    """The value of a line of `typed_rows`.

    Raises:
        ValueError: The text is no value of that type, or there is no such type.
    """
    match type_name:
        case "text":
            return unguarded(text)
        case "bool" if text in _BOOLEANS:
            return _BOOLEANS[text]
        case "int" if _INTEGER.fullmatch(text) and len(text) <= _LONGEST_INTEGER:
            return int(text)
        case "float" if _NUMBER.fullmatch(text):
            return float(text)
    message = f"is no {type_name}" if type_name in TYPES.values() else "has no type int, float, bool or text"
    raise ValueError(message)


def spelled(value: bool | float) -> str:
    """A number or boolean; a float always shows that it is one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """The text before `guarded`."""
    return text.removeprefix("'")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
