"""Decodes TsBlocks, the column blocks in which IoTDB answers queries, to Python lists; no numpy, no rows.

Source: the format as the server sends it, big-endian: number of columns (int32), a type byte for each, number
of rows (int32), an encoding byte for the time column and each other, then the columns. A column begins with one byte
that says whether a bitmap of nulls follows; fixed-width columns hold only the values that are not null.
"""

import sys
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

BOOLEAN, INT32, INT64, FLOAT, DOUBLE, TEXT, STRING = 0, 1, 2, 3, 4, 5, 11
TYPE_NUMBERS = {
    "BOOLEAN": BOOLEAN,
    "INT32": INT32,
    "INT64": INT64,
    "FLOAT": FLOAT,
    "DOUBLE": DOUBLE,
    "TEXT": TEXT,
    "STRING": STRING,
}
"""The server's words for types, and their numbers on the wire."""

_BITS, _INT32S, _INT64S, _BYTES, _CONSTANT = range(5)
"""Encodings of a column."""

_INT = Struct(">i")
_EIGHT = [[bool(byte >> shift & 1) for shift in range(7, -1, -1)] for byte in range(256)]
_WIDTHS = {_INT32S: 4, _INT64S: 8}
_CODES = {(_INT32S, FLOAT): "f", (_INT64S, DOUBLE): "d"}


class Block(NamedTuple):
    """The times in ms, and each column with None for null."""

    times: list[int]
    columns: list[list[Any]]


def decode(data: bytes) -> Block:
    """Decode one block."""
    (width,) = _INT.unpack_from(data)
    types = [INT64, *data[4 : 4 + width]]
    place = 4 + width
    (height,) = _INT.unpack_from(data, place)
    encodings = data[place + 4 : place + 5 + width]
    place += 5 + width
    columns = []
    for encoding, kind in zip(encodings, types, strict=True):
        values, place = _column(data, place, encoding, kind, height)
        columns.append(values)
    return Block(columns[0], columns[1:])


def _column(data: bytes, place: int, encoding: int, kind: int, height: int) -> tuple[list[Any], int]:
    if encoding == _CONSTANT:
        values, place = _column(data, place + 1, data[place], kind, 1)
        return values * height, place
    nulls: list[bool] | None = None
    has_nulls = data[place]
    place += 1
    if has_nulls:
        nulls, place = _bits(data, place, height)
    if encoding == _BITS:  # these alone keep a place for nulls
        values, place = _bits(data, place, height)
        if nulls is not None:
            values = [None if null else value for value, null in zip(values, nulls, strict=True)]
        return values, place
    count = height if nulls is None else height - sum(nulls)
    values, place = _VALUES[encoding](data, place, encoding, kind, count)
    if nulls is not None:
        present = iter(values)
        values = [None if null else next(present) for null in nulls]
    return values, place


def _bits(data: bytes, place: int, count: int) -> tuple[list[Any], int]:
    end = place + (count + 7) // 8
    bits = [bit for byte in data[place:end] for bit in _EIGHT[byte]]
    return bits[:count], end


def _fixed(data: bytes, place: int, encoding: int, kind: int, count: int) -> tuple[list[Any], int]:
    end = place + _WIDTHS[encoding] * count
    numbers: array[Any] = array(_CODES.get((encoding, kind), "i" if encoding == _INT32S else "q"))
    numbers.frombytes(data[place:end])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tolist(), end


def _texts(data: bytes, place: int, encoding: int, kind: int, count: int) -> tuple[list[Any], int]:  # noqa: ARG001
    texts = []
    for _ in range(count):
        (length,) = _INT.unpack_from(data, place)
        end = place + 4 + length
        texts.append(data[place + 4 : end].decode())
        place = end
    return texts, place


_VALUES: dict[int, Callable[[bytes, int, int, int, int], tuple[list[Any], int]]] = {
    _INT32S: _fixed,
    _INT64S: _fixed,
    _BYTES: _texts,
}
