"""How values of any type live in typed series, and come back as they were sent.

A measurement's main series has the type of its first value; values of another type go to side series of the same
device: ``m__double``, ``m__int64``, ``m__boolean``, ``m__string``. Numbers are DOUBLE, integers beyond 2^53 INT64.

Where an administrator declared a type, the main series has that one, and takes the values that come back from it as
they were sent: INT32 integers of 32 bits, INT64 all integers, FLOAT numbers of up to six significant digits (0.1 is
kept as the nearest of 32 bits, and read as the shortest decimal that it is nearest to). All others go to side series.

A DOUBLE or FLOAT without a fraction is an integer: 21 comes back as 21. What a timestamp's row alone cannot tell is
written beside it in ``m__kind``: a float without a fraction (21.0), and every value of a measurement that has more than
one series or a kind already. So a value that replaces one of another type is told from what it replaced, and a
measurement that never changes costs nothing more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Any

from chalicelib.adapters.iotdb_blocks import BOOLEAN, DOUBLE, FLOAT, INT32, INT64, STRING, TEXT, TYPE_NUMBERS
from chalicelib.adapters.iotdb_names import SeriesName
from chalicelib.model import MeasurementType, Value

EXACT = 2**53
"""Integers up to here are exact as DOUBLE."""

KIND = "kind"
TAGS = {DOUBLE: "double", INT64: "int64", BOOLEAN: "boolean", STRING: "string"}
_SMALLEST_INT32, _GREATEST_INT32 = -(2**31), 2**31 - 1

_pack_double = Struct(">bd").pack
_pack_int64 = Struct(">bq").pack
_pack_int32 = Struct(">bi").pack
_pack_float = Struct(">bf").pack
_FLOAT32 = Struct(">f")


class Kind(IntEnum):
    """What ``m__kind`` says of a row; the numbers are on disk."""

    NUMBER = 0
    FLOAT = 1
    INT64 = 2
    BOOLEAN = 3
    TEXT = 4
    INT32 = 5
    SINGLE = 6
    SINGLE_FLOAT = 7


_TYPE_OF_KIND = {
    Kind.NUMBER: DOUBLE,
    Kind.FLOAT: DOUBLE,
    Kind.INT64: INT64,
    Kind.BOOLEAN: BOOLEAN,
    Kind.TEXT: STRING,
    Kind.INT32: INT32,
    Kind.SINGLE: FLOAT,
    Kind.SINGLE_FLOAT: FLOAT,
}
_FLOATS = frozenset({Kind.FLOAT, Kind.SINGLE_FLOAT})
"""Kinds of floats that have no fraction, and would pass for integers."""


@dataclass(slots=True)
class Slots:
    """The series of one measurement: type -> node, and the node of the kinds if there is one.

    `main` is the type of the main series.
    """

    measurement: str
    nodes: dict[int, str] = field(default_factory=dict)
    kind: str | None = None
    main: int | None = None

    def add(self, node: str, tag: str, type_name: str) -> None:
        """Take note of a series that the server has."""
        if tag == KIND:
            self.kind = node
            return
        number = TYPE_NUMBERS.get(type_name, TEXT)
        number = STRING if number == TEXT else number
        self.nodes[number] = node
        if not tag:
            self.main = number

    @property
    def has_numbers(self) -> bool:
        """Whether there may be numbers among its values."""
        return not {BOOLEAN, STRING} >= self.nodes.keys()

    def declare(self, declared: MeasurementType) -> None:
        """Take note of a main series that was made as it was declared."""
        self.add(SeriesName(self.measurement).encode(), "", declared)

    def node_for(self, number: int) -> str:
        """Where values of this type go; the first type has the main series."""
        node = self.nodes.get(number)
        if node is None:
            tag = TAGS[number] if self.nodes or self.kind else ""
            node = self.nodes[number] = SeriesName(self.measurement, tag).encode()
            if not tag:
                self.main = number
        return node

    def place(self, value: Value, nodes: list[str], values: list[bytes]) -> None:
        """Append the series and the encoded value, and its kind where it is needed."""
        if isinstance(value, float) and len(self.nodes) == 1 and self.kind is None and not value.is_integer():
            node = self.nodes.get(DOUBLE)
            if node is not None:  # nearly all values are such: a third less time a batch
                nodes.append(node)
                values.append(_pack_double(DOUBLE, value))
                return
        kind, packed = encode(value, self.main)
        nodes.append(self.node_for(_TYPE_OF_KIND[kind]))
        values.append(packed)
        if kind in _FLOATS or self.kind is not None or len(self.nodes) > 1:
            if self.kind is None:
                self.kind = SeriesName(self.measurement, KIND).encode()
            nodes.append(self.kind)
            values.append(_pack_int32(INT32, kind))


def encode(value: Value, main: int | None = None) -> tuple[Kind, bytes]:
    """The kind of a value, and its type byte and bytes on the wire; those of the main series if it can hold it."""
    if main in _FITTED and not isinstance(value, bool | str):
        fitted = _FITTED[main](value)
        if fitted is not None:
            return fitted
    if isinstance(value, float):
        return (Kind.FLOAT if value.is_integer() else Kind.NUMBER), _pack_double(DOUBLE, value)
    if isinstance(value, bool):
        return Kind.BOOLEAN, b"\x00\x01" if value else b"\x00\x00"
    if isinstance(value, int):
        if -EXACT <= value <= EXACT:
            return Kind.NUMBER, _pack_double(DOUBLE, value)
        return Kind.INT64, _pack_int64(INT64, value)
    text = value.encode()
    return Kind.TEXT, _pack_int32(STRING, len(text)) + text


def _as_int32(value: float) -> tuple[Kind, bytes] | None:
    if isinstance(value, int) and _SMALLEST_INT32 <= value <= _GREATEST_INT32:
        return Kind.INT32, _pack_int32(INT32, value)
    return None


def _as_int64(value: float) -> tuple[Kind, bytes] | None:
    return (Kind.INT64, _pack_int64(INT64, value)) if isinstance(value, int) else None


def _as_float(value: float) -> tuple[Kind, bytes] | None:
    try:
        packed = _pack_float(FLOAT, value)
    except OverflowError:
        return None
    kind = Kind.SINGLE_FLOAT if type(value) is float and value.is_integer() else Kind.SINGLE
    found = restore(_FLOAT32.unpack_from(packed, 1)[0], FLOAT, kind)
    return (kind, packed) if repr(found) == repr(value) else None


_FITTED = {INT32: _as_int32, INT64: _as_int64, FLOAT: _as_float}


def shortest(single: float) -> float:
    """The decimal of six digits that a FLOAT was made of, or its exact value if it was made of another number."""
    decimal = float(f"{single:.6g}")
    try:
        same = _FLOAT32.unpack(_FLOAT32.pack(decimal))[0] == single
    except OverflowError:  # the greatest, rounded up
        same = False
    return decimal if same else single


def restore(value: Any, number: int, kind: int | None) -> Value:
    """The value as it was sent, from a column of type *number*."""
    if number == FLOAT:
        value = shortest(value)
    if number in {DOUBLE, FLOAT} and kind not in _FLOATS and value.is_integer() and -EXACT <= value <= EXACT:
        return int(value)
    result: Value = value
    return result


def choose(row: Mapping[int, Any], kind: int | None) -> Value | None:
    """The value that counts, of one measurement's columns at one time; None if all are null."""
    number = None if kind is None else _TYPE_OF_KIND[Kind(kind)]
    if number is not None and row.get(number) is not None:
        return restore(row[number], number, kind)
    for other, value in row.items():
        if value is not None:
            return restore(value, other, None)
    return None


def parse(text: str, type_name: str) -> Any:
    """A value as ``SELECT LAST`` writes it."""
    number = TYPE_NUMBERS.get(type_name, TEXT)
    if number == FLOAT:
        return _FLOAT32.unpack(_FLOAT32.pack(float(text)))[0]
    if number == DOUBLE:
        return float(text)
    if number in {INT32, INT64}:
        return int(text)
    return text == "true" if number == BOOLEAN else text
