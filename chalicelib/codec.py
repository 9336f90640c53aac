"""Bytes and JSON to the model and back: the only place where outside data becomes a Reading."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json

from chalicelib import cbor, formats, senml
from chalicelib.errors import InvalidInput, WrongType
from chalicelib.flatten import flatten
from chalicelib.formats import Draft, Sender
from chalicelib.limits import PayloadLimits
from chalicelib.model import MAX_MEASUREMENT_LENGTH, Batch, DeviceRef, Reading, Value
from chalicelib.plain import are_plain, is_plain
from chalicelib.strict_json import load, parse_json, require_size, require_storable, shown
from chalicelib.times import to_iso

__all__ = [
    "batch_to_json",
    "batches_from_json",
    "joined",
    "parse_json",
    "reading_from_parts",
    "readings_from_payload",
    "row_from_reading",
]

BATCH_VERSION = 1
JOINED_VERSION = 2
"""Of a queue message that holds messages of `BATCH_VERSION`. A consumer buries versions that it does not know."""

_JSON_TYPES = frozenset({"", "application/json", "application/senml+json"})
_CBOR_TYPES = frozenset({"application/cbor", "application/senml+cbor"})
_SENML_TYPES = frozenset({"application/senml+json", "application/senml+cbor"})
_MEDIA_TYPES = _JSON_TYPES | _CBOR_TYPES - {""}
_SCALARS = frozenset({bool, int, float, str})
_ROW_KEYS = ("timestamp", "device_id")
_TOGETHER = 4
"""From so many readings on, looking at all their values together is faster than at each."""


def readings_from_payload(
    payload: bytes,
    *,
    content_type: str,
    device: DeviceRef,
    device_name: str,
    now_ms: int,
    limits: PayloadLimits,
    stamp: Callable[[int], int] | None = None,
) -> tuple[Reading, ...]:
    """Read what a device sends, in any of the accepted shapes.

    Args:
        payload: Bytes off the wire.
        content_type: As given, parameters included; empty for JSON.
        device: The authenticated sender: every reading is its.
        device_name: What the payload may call the sender, beside its id.
        now_ms: Server time, for readings without a time. Of several in one payload the last gets it and those before
            it the milliseconds before, in order, so that none replaces another.
        limits: What a payload may hold.
        stamp: Asked instead of *now_ms* for the last of so many consecutive milliseconds as there are readings
            without a time; not called when there are none.

    Returns:
        At least one reading, in the order of the payload; readings without any value are left out.

    Raises:
        TooLarge: More than `limits.batch_bytes`, or than `limits.body_bytes` with a single reading.
        WrongType: A content type that is not read here.
        Forbidden: The payload names another device (code ``foreign_device``).
        InvalidInput: Anything else; names the field and the limit where there is one.
    """
    media_type = content_type.partition(";")[0].strip().lower() if content_type else ""
    document = _document(payload, media_type, limits)
    if media_type not in _SENML_TYPES:
        reading = _plain_reading(document, device, now_ms, limits, stamp)
        if reading is not None:
            require_size(payload, limits.body_bytes)
            return (reading,)
    drafts = _drafts(document, media_type, Sender(device.id, device_name, now_ms), limits)
    if len(drafts) < 2:
        require_size(payload, limits.body_bytes)
    readings = []
    for draft, timestamp_ms in zip(drafts, _timestamps(drafts, now_ms, stamp), strict=True):
        _require_in_range(timestamp_ms, draft.where, now_ms, limits)
        values = flatten(draft.parts, where=draft.where, limits=limits)
        if values:
            readings.append(Reading(device, timestamp_ms, values))
    if not readings:
        raise InvalidInput("There is no value to store", field="data")
    return tuple(readings)


def reading_from_parts(
    device: DeviceRef, timestamp_ms: int, data: Mapping[str, object], *, now_ms: int, limits: PayloadLimits
) -> Reading | None:
    """A reading out of a file, under the limits of one that is sent; None when all its values are null.

    Raises:
        InvalidInput: A value can never be accepted; names the field.
    """
    _require_in_range(timestamp_ms, "", now_ms, limits)
    values = flatten((("", data),), where="", limits=limits)
    return Reading(device, timestamp_ms, values) if values else None


def batch_to_json(batch: Batch) -> str:
    """The queue message of *batch*: compact, ASCII only, since SQS refuses some characters of Unicode.

    All readings are the batch's device's; it is written once.
    """
    readings = [(reading.timestamp_ms, reading.values) for reading in batch.readings]
    return _encoded((BATCH_VERSION, tuple(batch.device), batch.accepted_ms, readings))  # a plain tuple: much quicker


def joined(messages: Sequence[str]) -> str:
    """One queue message of several, each as `batch_to_json` wrote it; a single one stays as it is."""
    return messages[0] if len(messages) == 1 else f"[{JOINED_VERSION},[{','.join(messages)}]]"


def batches_from_json(text: str) -> tuple[Batch, ...]:
    """The batches of a queue message, one or as many as were `joined`, every value exactly as it was.

    Raises:
        InvalidInput: Not written by `batch_to_json` or `joined`, or by a newer release: no retry will help.
    """
    try:
        message = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise InvalidInput("The message is not JSON", code="damaged_message") from None
    if not isinstance(message, list) or len(message) < 2 or type(message[0]) is not int:
        raise _damaged()
    version, *rest = message
    plain = text.isascii() and "\\u" not in text
    if version == BATCH_VERSION:
        return (_batch(message, plain=plain),)
    if version != JOINED_VERSION:
        reason = f"The message has version {version}, this release reads up to version {JOINED_VERSION}"
        raise InvalidInput(reason, code="unknown_version")
    if len(rest) != 1 or not isinstance(rest[0], list) or not rest[0]:
        raise _damaged()
    return tuple(_batch(item, plain=plain) for item in rest[0])


def row_from_reading(reading: Reading) -> dict[str, Value]:
    """The reading as the API shows it: ``timestamp``, ``device_id``, then the measurements by name.

    A measurement that would shadow one of the two appears as ``data.timestamp`` or ``data.device_id``.
    """
    row: dict[str, Value] = {"timestamp": to_iso(reading.timestamp_ms), "device_id": str(reading.device.id)}
    values = reading.values
    if _ROW_KEYS[0] in values or _ROW_KEYS[1] in values:
        values = _unshadowed(values)
    row.update(values)
    return row


def _document(payload: bytes, media_type: str, limits: PayloadLimits) -> object:
    if media_type in _JSON_TYPES:
        return load(payload, max_bytes=limits.batch_bytes, max_depth=limits.depth)
    if media_type in _CBOR_TYPES:
        require_size(payload, limits.batch_bytes)
        return cbor.decode(payload, max_depth=limits.depth, labels=senml.CBOR_LABELS)
    message = f"Content type {shown(media_type)} is not read here: send {', '.join(sorted(_MEDIA_TYPES))}"
    raise WrongType(message, field="Content-Type")


def _plain_reading(
    document: object, device: DeviceRef, now_ms: int, limits: PayloadLimits, stamp: Callable[[int], int] | None
) -> Reading | None:
    """The reading of nearly every payload, or None when it takes a closer look, for instance to say what is wrong."""
    found = formats.plain(document)
    if found is None:
        return None
    values, timestamp_ms = found
    if not 0 < len(values) <= limits.measurements or not _are_plain_names(tuple(values)):
        return None
    for value in values.values():
        if not is_plain(value) or (isinstance(value, str) and len(value) > limits.text_bytes):
            return None
    if timestamp_ms is None:
        timestamp_ms = stamp(1) if stamp else now_ms
    elif type(timestamp_ms) is not int or not 10**11 <= timestamp_ms < 10**14:  # what `times` takes for milliseconds
        return None
    if not limits.oldest_ms <= timestamp_ms <= now_ms + limits.future_s * 1000:
        return None
    return Reading(device, timestamp_ms, values)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _are_plain_names(names: tuple[str, ...]) -> bool:
    """Whether all *names* are surely measurements' names; senders repeat theirs, so the answer is kept."""
    return all(0 < len(name) <= MAX_MEASUREMENT_LENGTH and is_plain(name) for name in names)


def _drafts(document: object, media_type: str, sender: Sender, limits: PayloadLimits) -> list[Draft]:
    if media_type in _SENML_TYPES:
        return formats.drafts_from_senml(document, sender=sender, most=limits.readings)
    return formats.drafts_from_document(document, sender=sender, most=limits.readings)


def _timestamps(drafts: Sequence[Draft], now_ms: int, stamp: Callable[[int], int] | None) -> list[int]:
    given = [draft.timestamp_ms for draft in drafts]
    missing = given.count(None)
    last_ms = stamp(missing) if stamp and missing else now_ms
    server_ms = itertools.count(last_ms - missing + 1)
    return [next(server_ms) if timestamp_ms is None else timestamp_ms for timestamp_ms in given]


def _require_in_range(timestamp_ms: int, where: str, now_ms: int, limits: PayloadLimits) -> None:
    latest_ms = now_ms + limits.future_s * 1000
    if not limits.oldest_ms <= timestamp_ms <= latest_ms:
        limit = f"{to_iso(limits.oldest_ms)} to {to_iso(latest_ms)}"
        message = f"{where}timestamp is outside of what is accepted now, {limit}"
        raise InvalidInput(message, field=f"{where}timestamp", limit=limit)


def _unshadowed(values: Mapping[str, Value]) -> dict[str, Value]:
    renamed = {}
    for name, value in values.items():
        key = f"data.{name}" if name in _ROW_KEYS else name
        while key != name and key in values:
            key = f"data.{key}"
        renamed[key] = value
    return renamed


def _batch(item: object, *, plain: bool) -> Batch:
    """The batch in a message; *plain* if all its texts are ASCII without NUL, as they are without escapes."""
    if not isinstance(item, list) or len(item) != 4 or item[0] is True or item[0] != BATCH_VERSION:
        raise _damaged()
    _, device, accepted_ms, readings = item
    if not (_is_device(device) and type(accepted_ms) is int and isinstance(readings, list) and readings):
        raise _damaged()
    for part in (*device, accepted_ms):
        require_storable(part, "message")
    ref = DeviceRef(*device)
    found = _plain_readings(ref, readings) if plain and len(readings) >= _TOGETHER else None
    return Batch(ref, accepted_ms, found or tuple([_reading(ref, reading) for reading in readings]))


def _plain_readings(device: DeviceRef, items: Sequence[Any]) -> tuple[Reading, ...] | None:
    """The readings, if one look at all of them together shows that they can be stored; None for a doubt."""
    if set(map(type, items)) != {list} or set(map(len, items)) != {2}:
        return None
    times_ms, rows = zip(*items, strict=True)
    if set(map(type, times_ms)) != {int} or set(map(type, rows)) != {dict} or not all(rows):
        return None
    values = list(itertools.chain.from_iterable([row.values() for row in rows]))
    if not (_SCALARS.issuperset(map(type, values)) and are_plain(times_ms) and are_plain(values)):
        return None
    return tuple(map(Reading, itertools.repeat(device), times_ms, rows))


def _is_device(item: object) -> bool:
    return isinstance(item, list) and [type(part) for part in item] == [str, int]


def _reading(device: DeviceRef, item: object) -> Reading:
    if not isinstance(item, list) or len(item) != 2:
        raise _damaged()
    timestamp_ms, values = item
    if type(timestamp_ms) is not int or not isinstance(values, dict) or not values:
        raise _damaged()
    if not _SCALARS.issuperset(map(type, values.values())):
        raise _damaged()
    require_storable(timestamp_ms, "timestamp")
    if all(map(is_plain, values)) and all(map(is_plain, values.values())):
        return Reading(device, timestamp_ms, values)
    for name, value in values.items():
        require_storable(name, name)
        require_storable(value, name)
    return Reading(device, timestamp_ms, values)


def _encoded(message: object) -> str:
    """JSON in ASCII, by the faster writer where it agrees: it writes UTF-8, and NaN as a word."""
    try:
        text = to_json(message).decode()
    except ValueError:  # half a surrogate pair, or a mapping that is no dict
        return _encode(message)
    return text if text.isascii() and "NaN" not in text and "Inf" not in text else _encode(message)


def _damaged() -> InvalidInput:
    return InvalidInput("The message is not a batch of readings", code="damaged_message")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=dict).encode
