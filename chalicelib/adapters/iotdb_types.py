"""How values of any type live in typed series, and come back as they were sent.

A measurement's main series has the type of its first value; values of another type go to side series of the same
device: ``m__double``, ``m__int64``, ``m__boolean``, ``m__string``. Numbers are DOUBLE, integers beyond 2^53 INT64.

A DOUBLE without a fraction is an integer: 21 comes back as 21. What a timestamp's row alone cannot tell is written
beside it in ``m__kind``: a float without a fraction (21.0), and every value of a measurement that has more than one
series or a kind already. So a value that replaces one of another type is told from what it replaced, and a
measurement that never changes costs nothing more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Any

from chalicelib.adapters.iotdb_blocks import BOOLEAN, DOUBLE, FLOAT, INT32, INT64, STRING, TEXT, TYPE_NUMBERS
from chalicelib.adapters.iotdb_names import SeriesName
from chalicelib.model import Value

EXACT = 2**53
"""Integers up to here are exact as DOUBLE."""

KIND = "kind"
TAGS = {DOUBLE: "double", INT64: "int64", BOOLEAN: "boolean", STRING: "string"}

_pack_double = Struct(">bd").pack
_pack_int64 = Struct(">bq").pack
_pack_int32 = Struct(">bi").pack


class Kind(IntEnum):
    """What ``m__kind`` says of a row; the numbers are on disk."""

    NUMBER = 0
    FLOAT = 1
    INT64 = 2
    BOOLEAN = 3
    TEXT = 4


_TYPE_OF_KIND = {
    Kind.NUMBER: DOUBLE,
    Kind.FLOAT: DOUBLE,
    Kind.INT64: INT64,
    Kind.BOOLEAN: BOOLEAN,
    Kind.TEXT: STRING,
}


@dataclass(slots=True)
class Slots:
    """The series of one measurement: type -> node, and the node of the kinds if there is one."""

    measurement: str
    nodes: dict[int, str] = field(default_factory=dict)
    kind: str | None = None

    def add(self, node: str, tag: str, type_name: str) -> None:
        """Take note of a series that the server has."""
        if tag == KIND:
            self.kind = node
            return
        number = TYPE_NUMBERS.get(type_name, TEXT)
        self.nodes[STRING if number == TEXT else number] = node

    def node_for(self, number: int) -> str:
        """Where values of this type go; the first type has the main series."""
        node = self.nodes.get(number)
        if node is None:
            tag = TAGS[number] if self.nodes or self.kind else ""
            node = self.nodes[number] = SeriesName(self.measurement, tag).encode()
        return node

    def place(self, value: Value, nodes: list[str], values: list[bytes]) -> None:
        """Append the series and the encoded value, and its kind where it is needed."""
        if isinstance(value, float) and len(self.nodes) == 1 and self.kind is None and not value.is_integer():
            node = self.nodes.get(DOUBLE)
            if node is not None:  # nearly all values are such: a third less time a batch
                nodes.append(node)
                values.append(_pack_double(DOUBLE, value))
                return
        kind, packed = encode(value)
        nodes.append(self.node_for(_TYPE_OF_KIND[kind]))
        values.append(packed)
        if kind is Kind.FLOAT or self.kind is not None or len(self.nodes) > 1:
            if self.kind is None:
                self.kind = SeriesName(self.measurement, KIND).encode()
            nodes.append(self.kind)
            values.append(_pack_int32(INT32, kind))


def encode(value: Value) -> tuple[Kind, bytes]:
    """The kind of a value, and its type byte and bytes on the wire."""
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


def restore(value: Any, number: int, kind: int | None) -> Value:
    """The value as it was sent, from a column of type *number*."""
    if number == DOUBLE and kind != Kind.FLOAT and value.is_integer() and -EXACT <= value <= EXACT:
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
    if number in {DOUBLE, FLOAT}:
        return float(text)
    if number in {INT32, INT64}:
        return int(text)
    return text == "true" if number == BOOLEAN else text
