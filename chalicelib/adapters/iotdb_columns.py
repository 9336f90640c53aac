"""Packs the values of many rows at once: rows whose measurements have the same series are a table.

Only for the plain case: every measurement has one series of numbers, booleans or text, and perhaps one of kinds. What
does not fit, `iotdb_types.Slots` places value by value; it is the reference for what is written here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat, starmap
from struct import Struct
from typing import Any, NamedTuple

from chalicelib.adapters import iotdb_frames as frames
from chalicelib.adapters.iotdb_blocks import BOOLEAN, DOUBLE, INT32, INT64, STRING
from chalicelib.adapters.iotdb_types import EXACT, Kind, Slots
from chalicelib.model import MAX_INT64, Value

_FORMATS = {DOUBLE: "bd", BOOLEAN: "bb", INT32: "bi", INT64: "bq"}
_KINDS = {BOOLEAN: Kind.BOOLEAN, STRING: Kind.TEXT, INT32: Kind.INT32, INT64: Kind.INT64}
_LARGEST = {INT32: 2**31 - 1, INT64: MAX_INT64}
_LENGTH = Struct(">i").pack
_TEXT = Struct(">bi").pack


class Column(NamedTuple):
    """Type of a measurement's series, and whether there is one of kinds beside it."""

    number: int
    has_kind: bool


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """What rows with the same series have in common; there is one object for each.

    Attributes:
        names: The fragment of the series' names.
        columns: The measurements in their order; empty for a row that was placed value by value.
    """

    names: bytes
    columns: tuple[Column, ...] = ()


Table = Sequence[Sequence[Any]]
"""Values by column, as long as there are rows."""


def shape_of(slots: Sequence[Slots | None]) -> Shape | None:
    """The shape of rows with these measurements; None if one is new, or has series of several types."""
    nodes: list[str] = []
    columns = []
    for each in slots:
        if each is None or len(each.nodes) != 1:
            return None
        ((number, node),) = each.nodes.items()
        if number not in _ALL_FIT or (number in _LARGEST and each.main != number):
            return None
        nodes.append(node)
        if each.kind is not None:
            nodes.append(each.kind)
        columns.append(Column(number, each.kind is not None))
    return _shape(frames.names(nodes), tuple(columns)) if columns else None


def table(shape: Shape, rows: Iterable[Mapping[str, Value]]) -> Table:
    """The rows' values by column."""
    width = len(shape.columns)
    flat = list(chain.from_iterable([values.values() for values in rows]))
    return [flat[place::width] for place in range(width)]


def misfits(shape: Shape, found: Table) -> set[int]:
    """Places of rows with a value that this shape cannot hold."""
    return set().union(*(_misfits(column, listed) for column, listed in zip(shape.columns, found, strict=True)))


def pack(shape: Shape, found: Table) -> list[bytes]:
    """The fragment of the values of each row; there must be no misfits."""
    count = len(found[0])
    pieces: list[list[bytes]] = []
    form, arguments = "", list[Iterable[Any]]()
    for (number, has_kind), listed in zip(shape.columns, found, strict=True):
        if number == STRING:
            if form:
                pieces.append(_packed(form, arguments))
                form, arguments = "", []
            pieces.append([_TEXT(STRING, len(raw)) + raw for raw in map(str.encode, listed)])
        else:
            form += _FORMATS[number]
            arguments += (repeat(number, count), listed)
        if has_kind:
            form += "bi"
            kinds = map(_kind_of_number, listed) if number == DOUBLE else repeat(_KINDS[number], count)
            arguments += (repeat(INT32, count), kinds)
    if not pieces:  # all rows are of the same length
        return _packed("i" + form, [repeat(Struct(">" + form).size, count), *arguments])
    if form:
        pieces.append(_packed(form, arguments))
    return [_LENGTH(len(row)) + row for row in map(b"".join, zip(*pieces, strict=True))]


@lru_cache(maxsize=4096)
def _shape(names: bytes, columns: tuple[Column, ...]) -> Shape:
    return Shape(names, columns)


def _packed(form: str, arguments: Sequence[Iterable[Any]]) -> list[bytes]:
    return list(starmap(Struct(">" + form).pack, zip(*arguments, strict=True)))


def _misfits(column: Column, listed: Sequence[Any]) -> list[int]:
    all_fit = _ALL_FIT[column.number](column, listed)
    return [] if all_fit else [place for place, value in enumerate(listed) if not _fits(column, value)]


def _numbers_fit(column: Column, listed: Sequence[Any]) -> bool:
    """Whether that is known at once: all are floats, and finite, or all are integers."""
    try:
        whole = any(map(float.is_integer, listed))
    except TypeError:  # there are others than floats
        return set(map(type, listed)) == {int} and min(listed) >= -EXACT and max(listed) <= EXACT
    if not whole:
        return math.isfinite(sum(listed))
    return column.has_kind and set(map(type, listed)) == {float} and math.isfinite(sum(listed))


def _integers_fit(column: Column, listed: Sequence[Any]) -> bool:
    largest = _LARGEST[column.number]
    return set(map(type, listed)) == {int} and -largest <= min(listed) and max(listed) <= largest


def _booleans_fit(column: Column, listed: Sequence[Any]) -> bool:  # noqa: ARG001 - all are called alike
    return set(map(type, listed)) == {bool}


def _texts_fit(column: Column, listed: Sequence[Any]) -> bool:  # noqa: ARG001
    return set(map(type, listed)) == {str} and all(map(str.isascii, listed))


_ALL_FIT = {
    DOUBLE: _numbers_fit,
    INT32: _integers_fit,
    INT64: _integers_fit,
    BOOLEAN: _booleans_fit,
    STRING: _texts_fit,
}


def _fits(column: Column, value: Value) -> bool:
    if isinstance(value, bool):
        return column.number == BOOLEAN
    if isinstance(value, str):
        return column.number == STRING and _is_unicode(value)
    if column.number in _LARGEST:
        return isinstance(value, int) and -_LARGEST[column.number] - 1 <= value <= _LARGEST[column.number]
    if column.number != DOUBLE:
        return False
    if isinstance(value, float):
        return math.isfinite(value) and (column.has_kind or not value.is_integer())
    return abs(value) <= EXACT


def _kind_of_number(value: Value) -> int:
    """Of a number in a DOUBLE: `Kind.FLOAT` for a float without a fraction, else `Kind.NUMBER`."""
    return Kind.FLOAT if isinstance(value, float) and value.is_integer() else Kind.NUMBER


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
