"""Use case: readings on their way out, all of a range however many, and in pages for HTTP."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from chalicelib import interchange, query
from chalicelib.errors import TooLarge
from chalicelib.limits import bytes_in_words
from chalicelib.model import Device, DeviceRef, Reading
from chalicelib.ports import ReadingStore

PAGE_BYTES = 5 * 1024 * 1024
"""Of one answer, counted as Lambda does, which takes 6 MB: the body is a JSON string, quotes and all."""
PAGE_S = 15.0
"""An answer is ended after this long; API Gateway waits for 29 s."""

_FIRST_READ = 64
_MOST_READ = 10_000
_READ_BYTES = 4_000_000
_VALUE_BYTES = 100
"""About what a value takes in memory, beside the characters of text."""


class Format(StrEnum):
    """What an answer is written in."""

    CSV = "csv"
    JSONL = "jsonl"


MEDIA_TYPES = {Format.CSV: "text/csv", Format.JSONL: "application/x-ndjson"}


class Wanted(NamedTuple):
    """What is to be exported: ``start_ms <= timestamp < end_ms``; all measurements if none are named."""

    start_ms: int
    end_ms: int
    measurements: tuple[str, ...] | None = None


class ExportPage(NamedTuple):
    """A text that is complete in itself, and the cursor of the next one; None at the end."""

    text: str
    readings: int
    next_cursor: str | None


def stream(store: ReadingStore, device: DeviceRef, wanted: Wanted) -> Iterator[Reading]:
    """All readings in order of time, read in pieces of about 4 MB of memory.

    Raises:
        Unavailable: The store does not answer.
    """
    start_ms, limit = wanted.start_ms, _FIRST_READ
    while start_ms < wanted.end_ms:
        found = store.read(
            device, start_ms=start_ms, end_ms=wanted.end_ms, limit=limit, measurements=wanted.measurements
        )
        yield from found
        if len(found) < limit:
            return
        start_ms = found[-1].timestamp_ms + 1
        limit = max(1, min(_MOST_READ, limit * 4, _READ_BYTES * len(found) // sum(map(_memory, found))))


def page(
    device: Device, wanted: Wanted, *, form: Format, cursor: str | None, limit: int, readings: ReadingStore
) -> ExportPage:
    """As many readings, oldest first, as an answer takes; each page of CSV begins with its header.

    Raises:
        InvalidInput: The cursor is not one of ours.
        TooLarge: A single reading is larger than an answer may be.
        Unavailable: The store does not answer.
    """
    if cursor is not None:
        wanted = wanted._replace(start_ms=max(wanted.start_ms, query.boundary_ms(cursor, newest_first=False)))
    if form is Format.CSV:  # a measurement that comes meanwhile would have no column
        wanted = wanted._replace(measurements=columns(device.ref, wanted, readings))
    header, line = _writer(device, wanted.measurements or (), form)
    lines, size, give_up_s = [header], _escaped_bytes(header), time.monotonic() + PAGE_S
    for number, reading in enumerate(stream(readings, device.ref, wanted)):
        text = line(reading)
        size += _escaped_bytes(text)
        if number and (number >= limit or size > PAGE_BYTES or time.monotonic() > give_up_s):
            return ExportPage("".join(lines), number, query.cursor_at(reading.timestamp_ms, newest_first=False))
        if size > PAGE_BYTES:
            limit_words = bytes_in_words(PAGE_BYTES)
            message = f"One reading has more than {limit_words}, what an answer may hold: ask for some of its fields"
            raise TooLarge(message, field="fields", limit=limit_words)
        lines.append(text)
    return ExportPage("".join(lines), len(lines) - 1, None)


def columns(device: DeviceRef, wanted: Wanted, readings: ReadingStore) -> tuple[str, ...]:
    """The measurements that a table has: those that were asked for, or all that the device ever had, by name."""
    return wanted.measurements if wanted.measurements is not None else tuple(sorted(readings.latest(device)))


def _writer(device: Device, names: Sequence[str], form: Format) -> tuple[str, Callable[[Reading], str]]:
    if form is Format.JSONL:
        return "", lambda reading: interchange.json_line(device.name, reading)
    return interchange.table_header(names), lambda reading: interchange.table_row(device.name, reading, names)


def _escaped_bytes(text: str) -> int:
    return len(json.dumps(text))


def _memory(reading: Reading) -> int:
    texts = (value for value in reading.values.values() if isinstance(value, str))
    return _VALUE_BYTES * (1 + len(reading.values)) + sum(map(len, texts))
