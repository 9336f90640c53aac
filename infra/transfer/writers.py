"""Writes one part of an export in the format that was asked for."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from chalicelib import interchange
from chalicelib.model import Reading
from infra.transfer.columns import ParquetWriter, TsFileWriter
from infra.transfer.manifest import Request

_LINES = 500
COMPRESSION = 6


class Writer(Protocol):
    """A part that is being written."""

    def write(self, device: str, reading: Reading) -> None:
        """Append a reading of the device with that name."""
        ...

    def close(self) -> None:
        """Complete the part."""
        ...


class LineWriter:
    """Text, appended at *offset* of a file; what lies beyond it is cut off.

    Args:
        path: The file.
        offset: In bytes.
        header: Begins the part.
        line: Spells a reading.
        packed: Write the part as a gzip member; members that follow each other are one gzip file.
    """

    def __init__(
        self, path: Path, offset: int, header: str, line: Callable[[str, Reading], str], *, packed: bool
    ) -> None:
        self._file: IO[bytes] = path.open("r+b" if offset else "wb")
        self._file.truncate(offset)
        self._file.seek(offset)
        self._sink: IO[bytes] = self._file
        if packed:
            self._sink = gzip.GzipFile("", "wb", COMPRESSION, self._file, mtime=0)  # type: ignore[assignment]
        self._line = line
        self._lines = [header]

    def write(self, device: str, reading: Reading) -> None:
        self._lines.append(self._line(device, reading))
        if len(self._lines) >= _LINES:
            self._flush()

    def close(self) -> None:
        self._flush()
        if self._sink is not self._file:
            self._sink.close()
        self._file.close()

    def _flush(self) -> None:
        self._sink.write("".join(self._lines).encode())
        self._lines.clear()


def open_writer(request: Request, columns: Sequence[str] | None, path: Path, offset: int) -> Writer:
    """Begin a part."""
    if request.format == "parquet":
        return ParquetWriter(path)
    if request.format == "tsfile":
        return TsFileWriter(path)
    header, line = _lines(request, columns or ())
    return LineWriter(path, offset, "" if offset else header, line, packed=request.gzip)


def suffix(request: Request) -> str:
    """How the names of its files end."""
    return f".{request.format}{'.gz' if request.gzip else ''}"


def _lines(request: Request, columns: Sequence[str]) -> tuple[str, Callable[[str, Reading], str]]:
    if request.format == "jsonl":
        return "", interchange.json_line
    if request.wide:
        return interchange.table_header(columns), lambda device, row: interchange.table_row(device, row, columns)
    return interchange.csv_lines([interchange.TYPED_COLUMNS]), interchange.typed_rows


def sync(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
