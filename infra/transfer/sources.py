"""Reads the files of an export, or others like them: rows with the place that each has, for errors.

The format follows from the name: ``.jsonl``, ``.csv``, both also with ``.gz``, ``.parquet``, ``.tsfile``.
"""

import csv
import gzip
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

from chalicelib import interchange, strict_json, times
from chalicelib.errors import InvalidInput
from infra.failure import Exit, Failure
from infra.transfer import columns

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet", ".tsfile")
LONGEST_LINE_BYTES = 64_000_000
_DEPTH = 8
_KEYS = frozenset({"device", "timestamp", "data"})


class Row(NamedTuple):
    """A reading, or a part of one, as it stands in a file.

    Attributes:
        number: Of its line or row, from 1.
        data: Measurement to value, not checked yet.
    """

    number: int
    device: str
    timestamp_ms: int
    data: Mapping[str, object]


def is_readable(path: Path) -> bool:
    """Whether the name says a format that is read here."""
    return path.name.endswith(SUFFIXES)


def rows(path: Path) -> Generator[Row, None, None]:
    """All rows of a file; to be closed by who does not read to its end.

    Raises:
        Failure: Names file and line: it is damaged, or a line is malformed. The rows before it are good.
    """
    if path.suffix == ".parquet":
        return _rows_of_columns(path, columns.parquet_rows(path))
    if path.suffix == ".tsfile":
        return _rows_of_columns(path, columns.tsfile_rows(path))
    if path.name.removesuffix(".gz").endswith(".csv"):
        return _csv_rows(path)
    return _json_rows(path)


def malformed(path: Path, number: int, reason: str) -> Failure:
    """The refusal of a line."""
    return Failure(f"{path}:{number}: {reason}", Exit.BAD_OPTION)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _json_rows(path: Path) -> Generator[Row, None, None]:
    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if line.strip():
                    yield _json_row(path, number, line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise malformed(path, number + 1, f"the file is damaged here: {error}") from None


def _json_row(path: Path, number: int, line: bytes) -> Row:
    try:
        document = strict_json.load(line, max_bytes=LONGEST_LINE_BYTES, max_depth=_DEPTH)
    except InvalidInput as error:
        raise malformed(path, number, error.message.replace("The body", "the line")) from None
    if not isinstance(document, dict) or not document.keys() <= _KEYS:
        raise malformed(path, number, "not an object with device, timestamp and data alone")
    device, data = document.get("device"), document.get("data")
    if not isinstance(device, str):
        raise malformed(path, number, "device must be the name of a device")
    if not isinstance(data, dict):
        raise malformed(path, number, "data must be an object of measurements and values")
    return Row(number, device, _instant(path, number, document.get("timestamp")), data)


def _csv_rows(path: Path) -> Generator[Row, None, None]:
    with closing(_csv_lines(path)) as lines:
        yield from _csv_rows_of(path, lines)


def _csv_rows_of(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE_BYTES)
    reader = csv.reader(lines, strict=True)
    number = 1
    try:
        header = next(reader, [])
        if tuple(header[:2]) != interchange.FIXED_COLUMNS:
            raise malformed(path, 1, f"the header must begin with {','.join(interchange.FIXED_COLUMNS)}")
        typed = tuple(header) == interchange.TYPED_COLUMNS
        names = [interchange.unguarded(name) for name in header[2:]]
        number = reader.line_num + 1
        for cells in reader:
            if cells:
                if len(cells) != len(header):
                    raise malformed(path, number, f"{len(cells)} cells, the header has {len(header)}")
                yield _typed_row(path, number, cells) if typed else _table_row(path, number, cells, names)
            number = reader.line_num + 1
    except csv.Error as error:
        raise malformed(path, number, f"not CSV: {error}") from None


def _csv_lines(path: Path) -> Generator[str, None, None]:
    """Lines with their ends, as the csv module wants them; a lone CR ends no line."""
    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise malformed(path, number, "not UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise malformed(path, number + 1, f"the file is damaged here: {error}") from None


def _typed_row(path: Path, number: int, cells: list[str]) -> Row:
    device, timestamp, measurement, type_name, text = cells
    name = interchange.unguarded(measurement)
    try:
        value = interchange.parse_typed(text, type_name)
    except ValueError as error:
        raise malformed(path, number, f"{strict_json.shown(name)}: value {text[:40]!r} {error}") from None
    return Row(number, interchange.unguarded(device), _cell_instant(path, number, timestamp), {name: value})


def _table_row(path: Path, number: int, cells: list[str], names: list[str]) -> Row:
    data: dict[str, object] = {}
    for name, text in zip(names, cells[2:], strict=True):
        try:
            value = interchange.parse_cell(text)
        except ValueError as error:
            raise malformed(path, number, f"{strict_json.shown(name)}: value {text[:40]!r} {error}") from None
        if value is not None:
            data[name] = value
    return Row(number, interchange.unguarded(cells[0]), _cell_instant(path, number, cells[1]), data)


def _cell_instant(path: Path, number: int, text: str) -> int:
    """As JSON would have it: digits are a number."""
    return _instant(path, number, int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else text)


def _instant(path: Path, number: int, given: object) -> int:
    try:
        return times.parse_instant(given, field="timestamp", now_ms=0)
    except InvalidInput as error:
        raise malformed(path, number, error.message) from None


def _rows_of_columns(path: Path, found: Iterator[columns.Row]) -> Generator[Row, None, None]:
    for number, (device, timestamp_ms, name, values) in enumerate(found, start=1):
        if len(values) != 1 or timestamp_ms is None or device is None or name is None:
            raise malformed(path, number, "a row must have device, time, measurement and exactly one value")
        yield Row(number, device, timestamp_ms, {name: values[0]})
