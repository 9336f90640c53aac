"""The one call that has to be fast, as bytes: `insertRecords`, what the generated stubs would write for it.

The stubs walk every string of every row; here a row is three fragments, most of which are known from the rows before.
Source: Thrift's binary protocol (strict) in a framed transport, and `TSInsertRecordsReq` of apache-iotdb 2.0.11; a test
compares the bytes with those of the stubs.
"""

from collections.abc import Iterable, Sequence
from struct import Struct, pack
from typing import NamedTuple

_LENGTH = Struct(">i").pack
_NAME = b"insertRecords"
_CALL = pack(">Ii", 0x80010001, len(_NAME)) + _NAME
_SESSION = b"\x0c\x00\x01\x0a\x00\x01"
_PATHS = b"\x0f\x00\x02\x0b"
_NAMES = b"\x0f\x00\x03\x0f"
_VALUES = b"\x0f\x00\x04\x0b"
_TIMES = b"\x0f\x00\x05\x0a"
_ALIGNED = b"\x02\x00\x06\x01\x00\x00"


class Rows(NamedTuple):
    """Parallel lists: the fragments of each row's device, series and values, and its time in ms."""

    paths: Sequence[bytes]
    names: Sequence[bytes]
    values: Sequence[bytes]
    times_ms: Sequence[int]

    def part(self, begin: int, end: int) -> "Rows":
        """Rows from *begin* up to but without *end*."""
        paths, names, values, times_ms = self
        return Rows(paths[begin:end], names[begin:end], values[begin:end], times_ms[begin:end])

    def only(self, places: Sequence[int]) -> "Rows":
        """The rows at *places*."""
        paths, names, values = ([column[place] for place in places] for column in self[:3])
        return Rows(paths, names, values, [self.times_ms[place] for place in places])

    def size_bytes(self) -> int:
        """About what they take on the wire."""
        return sum(sum(map(len, column)) for column in self[:3]) + 8 * len(self.times_ms)


def text(word: str) -> bytes:
    """The fragment of a device's path or of one name."""
    raw = word.encode()
    return _LENGTH(len(raw)) + raw


def names(nodes: Iterable[str]) -> bytes:
    """The fragment of a row's series."""
    listed = [text(node) for node in nodes]
    return b"\x0b" + _LENGTH(len(listed)) + b"".join(listed)


def values(packed: bytes) -> bytes:
    """The fragment of a row's values, each of which begins with the byte of its type."""
    return _LENGTH(len(packed)) + packed


def rows(
    devices: Iterable[str], times_ms: Sequence[int], nodes: Iterable[Iterable[str]], packed: Iterable[bytes]
) -> Rows:
    """Rows of plain lists."""
    return Rows(list(map(text, devices)), list(map(names, nodes)), list(map(values, packed)), times_ms)


def insert_records(given: Rows, *, session: int, sequence: int) -> bytes:
    """The whole frame, its length included.

    Raises:
        struct.error: A time does not fit in 64 bits.
    """
    count = _LENGTH(len(given.times_ms))
    body = b"".join(
        (
            *(_CALL, _LENGTH(sequence), _SESSION, pack(">q", session)),
            *(_PATHS, count, *given.paths),
            *(_NAMES, count, *given.names),
            *(_VALUES, count, *given.values),
            *(_TIMES, count, pack(f">{len(given.times_ms)}q", *given.times_ms)),
            _ALIGNED,
        )
    )
    return _LENGTH(len(body)) + body
