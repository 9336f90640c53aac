"""Use cases that read telemetry back: history by pages, the newest values, aggregates; and deleting a range."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.aggregates import AggregateQuery, AggregateRow, Fill, Function, Window
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.model import MAX_MEASUREMENT_LENGTH, DeviceRef, Reading
from chalicelib.ports import ReadingStore

MAX_FIELDS = 256
ALIASES = {"mean": Function.AVG}
CURSOR = r"[ad]-?[0-9]{1,15}"
CURSOR_OLDEST_FIRST = r"a-?[0-9]{1,15}"
"""Ascending or descending, and the millisecond to go on from. To clients it is opaque."""
_DIRECTIONS = {False: "a", True: "d"}


class Page(NamedTuple):
    """Some readings, and the cursor of the next ones; None at the end."""

    readings: list[Reading]
    next_cursor: str | None


def history(
    device: DeviceRef,
    *,
    start_ms: int,
    end_ms: int,
    limit: int,
    newest_first: bool,
    measurements: tuple[str, ...] | None,
    cursor: str | None,
    readings: ReadingStore,
) -> Page:
    """One page of readings with ``start_ms <= timestamp < end_ms``; a cursor goes on where the last page ended.

    Raises:
        InvalidInput: The cursor is not one of ours.
        Unavailable: The store does not answer.
    """
    if cursor is not None:
        limit_ms = boundary_ms(cursor, newest_first=newest_first)
        if newest_first:
            end_ms = min(end_ms, limit_ms)
        else:
            start_ms = max(start_ms, limit_ms)
    if start_ms >= end_ms:
        return Page([], None)
    found = readings.read(
        device,
        start_ms=start_ms,
        end_ms=end_ms,
        limit=limit + 1,
        newest_first=newest_first,
        measurements=measurements,
    )
    if len(found) <= limit:
        return Page(found, None)
    last_ms = found[limit - 1].timestamp_ms
    return Page(found[:limit], cursor_at(last_ms if newest_first else last_ms + 1, newest_first=newest_first))


def require_order(start_ms: int, end_ms: int, *, start: str, end: str) -> None:
    """Refuse a range that ends before it begins; an empty one is fine.

    Raises:
        InvalidInput: It does; names *start*.
    """
    if start_ms > end_ms:
        message = f"{start} must not be after {end}"
        raise InvalidInput(message, field=start)


def cursor_at(limit_ms: int, *, newest_first: bool) -> str:
    """The cursor of what lies from *limit_ms* on, or before it."""
    return f"{_DIRECTIONS[newest_first]}{limit_ms}"


def boundary_ms(cursor: str, *, newest_first: bool) -> int:
    """Where a cursor goes on.

    Raises:
        InvalidInput: It is not one of ours, or of the other direction.
    """
    if re.fullmatch(CURSOR, cursor) is None or cursor[0] != _DIRECTIONS[newest_first]:
        message = "cursor is not one that this query gave"
        raise InvalidInput(message, field="cursor")
    return int(cursor[1:])


def field_names(given: str | Sequence[str] | None, *, field: str) -> tuple[str, ...] | None:
    """Measurement names, each once, out of a list or a comma-separated text; None when there are none.

    Raises:
        InvalidInput: Too many, or a name of more than 64 characters.
    """
    parts = [part.strip() for part in given.split(",")] if isinstance(given, str) else given or ()
    names = tuple(dict.fromkeys(part for part in parts if part))
    if len(names) > MAX_FIELDS or any(len(name) > MAX_MEASUREMENT_LENGTH for name in names):
        message = f"{field} takes up to {MAX_FIELDS} names of up to {MAX_MEASUREMENT_LENGTH} characters"
        raise InvalidInput(message, field=field, limit=str(MAX_FIELDS))
    return names or None


def functions(text: str) -> dict[str, Function]:
    """Aggregate functions by the names that the caller used for them, in his order.

    Raises:
        InvalidInput: An unknown name; the message lists the known ones.
    """
    asked: dict[str, Function] = {}
    for name in (part.strip().lower() for part in text.split(",")):
        if name in ALIASES:
            asked[name] = ALIASES[name]
        elif name in set(Function):
            asked[name] = Function(name)
        else:
            known = ", ".join([*ALIASES, *Function])
            message = f"aggregation knows {known}"
            raise InvalidInput(message, field="aggregation")
    return asked


def timezone(name: str, *, field: str) -> str:
    """An IANA time zone name that this machine knows.

    Raises:
        InvalidInput: It does not.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"{field} must be an IANA time zone like Europe/Berlin"
        raise InvalidInput(message, field=field) from None
    return name


class Aggregation(NamedTuple):
    """What was asked: functions by the caller's names, and the rest of the query."""

    functions: dict[str, Function]
    window: Window
    measurements: tuple[str, ...] | None
    fill: Fill
    timezone: str


def aggregate(
    device: DeviceRef, asked: Aggregation, *, start_ms: int, end_ms: int, readings: ReadingStore
) -> Sequence[AggregateRow]:
    """Numbers in windows over ``start_ms <= timestamp < end_ms``.

    Raises:
        InvalidInput: More windows than the store's cap.
        Unavailable: The store does not answer.
    """
    if start_ms >= end_ms:
        return []
    query = AggregateQuery(
        start_ms=start_ms,
        end_ms=end_ms,
        window=asked.window,
        functions=tuple(dict.fromkeys(asked.functions.values())),
        measurements=asked.measurements,
        fill=asked.fill,
        timezone=asked.timezone,
    )
    return readings.aggregate(device, query)


def not_empty(found: bool) -> None:
    """Refuse to answer for a device without readings.

    Raises:
        NotFound: It has none.
    """
    if not found:
        message = "The device has no telemetry yet"
        raise NotFound(message, code="no_telemetry")
