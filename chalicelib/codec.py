"""Bytes and JSON to the model and back: the only place where outside data becomes a Reading."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence

from chalicelib import cbor, formats, senml
from chalicelib.errors import InvalidInput, WrongType
from chalicelib.flatten import flatten
from chalicelib.formats import Draft, Sender
from chalicelib.limits import PayloadLimits
from chalicelib.model import Batch, DeviceRef, Reading, Value
from chalicelib.strict_json import load, parse_json, require_size, require_storable, shown
from chalicelib.times import to_iso

__all__ = ["batch_from_json", "batch_to_json", "parse_json", "readings_from_payload", "row_from_reading"]

BATCH_VERSION = 1
"""Of the queue message; a consumer buries what it does not know."""

_JSON_TYPES = frozenset({"", "application/json", "application/senml+json"})
_CBOR_TYPES = frozenset({"application/cbor", "application/senml+cbor"})
_SENML_TYPES = frozenset({"application/senml+json", "application/senml+cbor"})
_MEDIA_TYPES = _JSON_TYPES | _CBOR_TYPES - {""}
_SCALARS = frozenset({bool, int, float, str})
_ROW_KEYS = ("timestamp", "device_id")


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
    sender = Sender(device.id, device_name, now_ms)
    drafts = _drafts(payload, content_type, sender, limits)
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


def batch_to_json(batch: Batch) -> str:
    """The queue message of *batch*: compact, ASCII only, since SQS refuses some characters of Unicode.

    All readings are the batch's device's; it is written once.
    """
    readings = [(reading.timestamp_ms, reading.values) for reading in batch.readings]
    return _encode((BATCH_VERSION, batch.device, batch.accepted_ms, readings))


def batch_from_json(text: str) -> Batch:
    """The batch of a queue message, every value exactly as it was.

    Raises:
        InvalidInput: Not written by `batch_to_json`, or by a newer release: no retry will help.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("The message is not JSON", code="damaged_message") from None
    if not isinstance(message, list) or len(message) != 4 or type(message[0]) is not int:
        raise _damaged()
    version, device, accepted_ms, readings = message
    if version != BATCH_VERSION:
        reason = f"The message has version {version}, this release reads version {BATCH_VERSION}"
        raise InvalidInput(reason, code="unknown_version")
    if not (_is_device(device) and type(accepted_ms) is int and isinstance(readings, list) and readings):
        raise _damaged()
    for part in (*device, accepted_ms):
        require_storable(part, "message")
    ref = DeviceRef(*device)
    return Batch(ref, accepted_ms, tuple(_reading(ref, item) for item in readings))


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


def _drafts(payload: bytes, content_type: str, sender: Sender, limits: PayloadLimits) -> list[Draft]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _CBOR_TYPES:
        require_size(payload, limits.batch_bytes)
        document = cbor.decode(payload, max_depth=limits.depth, labels=senml.CBOR_LABELS)
    elif media_type in _JSON_TYPES:
        document = load(payload, max_bytes=limits.batch_bytes, max_depth=limits.depth)
    else:
        message = f"Content type {shown(media_type)} is not read here: send {', '.join(sorted(_MEDIA_TYPES))}"
        raise WrongType(message, field="Content-Type")
    if media_type in _SENML_TYPES:
        return formats.drafts_from_senml(document, sender=sender, most=limits.readings)
    return formats.drafts_from_document(document, sender=sender, most=limits.readings)


def _timestamps(drafts: Sequence[Draft], now_ms: int, stamp: Callable[[int], int] | None) -> list[int]:
    missing = sum(draft.timestamp_ms is None for draft in drafts)
    last_ms = stamp(missing) if stamp and missing else now_ms
    server_ms = itertools.count(last_ms - missing + 1)
    return [next(server_ms) if draft.timestamp_ms is None else draft.timestamp_ms for draft in drafts]


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
    for name, value in values.items():
        require_storable(name, name)
        require_storable(value, name)
    return Reading(device, timestamp_ms, values)


def _damaged() -> InvalidInput:
    return InvalidInput("The message is not a batch of readings", code="damaged_message")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=dict).encode
