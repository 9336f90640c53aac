"""Which shape a payload has, and where in it the measurements, the time and the sender's name are.

Every shape becomes drafts: what is left to do for `codec` is the same for all. The published words of the many
formats (`ts`, `fields`, `Time`) occur only here and in `senml`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeGuard

from chalicelib import senml
from chalicelib.errors import Forbidden, InvalidInput
from chalicelib.flatten import Parts
from chalicelib.times import iso_ms, parse_instant, zoneless

TASMOTA_SKEW_MS = 5 * 60_000
"""How far a clock without a zone may be from ours before the time of arrival is trusted more."""

_IDENTITY = ("device_id", "deviceId")
_TIMESTAMP = ("timestamp", "ts")
_ENVELOPE = frozenset({"api_key", "metadata", *_IDENTITY, *_TIMESTAMP})

_WORDS = _ENVELOPE - {"timestamp"} | {"data", "readings", "metrics", "measurements", "fields", "values", "Time"}
"""Keys by which an object may be more than a flat one."""

Object = Mapping[str, object]


class Sender(NamedTuple):
    """Whose payload it is, by its credential, and the server's time when it came."""

    id: int
    name: str
    now_ms: int


class Draft(NamedTuple):
    """A reading that is located in its payload, not yet checked.

    Attributes:
        where: What comes before a key of it in an error: empty, or for example ``readings[3].``.
        timestamp_ms: None when the payload gives no time, or none to be trusted.
        parts: Where its measurements are.
    """

    where: str
    timestamp_ms: int | None
    parts: Parts


def plain(document: object) -> tuple[dict[str, object], object] | None:
    """Measurements and time of the commonest payloads, ``{"data": {...}, "timestamp": ...}`` and a flat object.

    None says nothing of a payload but that `drafts_from_document` has to look. Of all others it would find the same.
    """
    if not isinstance(document, dict):
        return None
    timestamp, values = document.get("timestamp"), document.get("data")
    if isinstance(values, dict):
        return (values, timestamp) if len(document) == 1 + ("timestamp" in document) else None
    if not _WORDS.isdisjoint(document):
        return None
    return {key: value for key, value in document.items() if key != "timestamp"}, timestamp


def drafts_from_document(document: object, *, sender: Sender, most: int) -> list[Draft]:
    """Recognise the shape of a parsed payload.

    An object is one reading, or a batch when it has a list under `readings` (or Telegraf's under `metrics`); what such
    a batch says of `timestamp` and `metadata` holds for every reading that says nothing itself. An array is a SenML
    pack or a batch.

    Args:
        document: As parsed from JSON or CBOR.
        sender: Identity never comes from the payload.
        most: How many readings are accepted.

    Returns:
        In the order of the payload.

    Raises:
        InvalidInput: No shape fits, or a time is none; names the key.
        Forbidden: The payload names another device (code ``foreign_device``).
    """
    if isinstance(document, list):
        if senml.looks_like_pack(document):
            return drafts_from_senml(document, sender=sender, most=most)
        return _batch(document, "", {}, sender, most)
    if not isinstance(document, dict):
        raise InvalidInput("The body is neither an object nor an array")
    if isinstance(readings := document.get("readings"), list):
        return _batch(readings, "readings", document, sender, most)
    if _is_telegraf_batch(metrics := document.get("metrics")):
        return _batch(metrics, "metrics", document, sender, most)
    return [_draft(document, "", {}, sender)]


def drafts_from_senml(document: object, *, sender: Sender, most: int) -> list[Draft]:
    """The readings of a SenML pack: one for every instant in it.

    Raises:
        InvalidInput: It is none; names the field.
    """
    instants = senml.resolve(document, now_ms=sender.now_ms)
    _require_few(len(instants), "", most)
    return [Draft("", timestamp_ms, (("", values),)) for timestamp_ms, values in instants.items()]


def _batch(items: list[object], key: str, shared: Object, sender: Sender, most: int) -> list[Draft]:
    _require_few(len(items), key, most)
    _require_own(shared, "", sender)
    drafts = []
    for position, item in enumerate(items):
        where = f"{key}[{position}]"
        if not isinstance(item, dict):
            message = f"{where} is not an object"
            raise InvalidInput(message, field=where)
        drafts.append(_draft(item, f"{where}.", shared, sender))
    return drafts


def _draft(item: Object, where: str, shared: Object, sender: Sender) -> Draft:
    _require_own(item, where, sender)
    parts = _parts(item, where)
    metadata = item.get("metadata", shared.get("metadata"))
    if metadata is not None:
        parts = (*parts, ("meta_", _object(metadata, f"{where}metadata")))
    timestamp_ms = _timestamp_ms(item, where, sender.now_ms)
    if timestamp_ms is None and shared:
        timestamp_ms = _timestamp_ms(shared, "", sender.now_ms)
    return Draft(where, timestamp_ms, parts)


def _parts(item: Object, where: str) -> Parts:
    for shape in _SHAPES:
        parts = shape(item, where)
        if parts is not None:
            return parts
    return _flat(item)


def _iotflow(item: Object, where: str) -> Parts | None:
    return (("", _object(item["data"], f"{where}data")),) if "data" in item else None


def _simulator(item: Object, where: str) -> Parts | None:  # noqa: ARG001 - all shapes are called alike
    measurements, status = item.get("measurements"), item.get("status")
    if not isinstance(measurements, dict):
        return None
    return (("", measurements), ("status.", status) if isinstance(status, dict) else ("", {"status": status}))


def _telegraf(item: Object, where: str) -> Parts | None:  # noqa: ARG001
    """``cpu.cpu0.usage_idle``: name, values of the tags in the order of their keys, field.

    One agent sends `used_percent` of memory and of every disk at the same instant: the field alone would collide.
    The tag `host` is left out: it says who sends, which the credential says already.

    Source: Telegraf's own way to make one name of a metric, the Graphite serializer's ``host.tags.measurement.field``.
    """
    fields, name, tags = item.get("fields"), item.get("name"), item.get("tags")
    if not isinstance(fields, dict) or not isinstance(name, str):
        return None
    labels = sorted(tags.items()) if isinstance(tags, dict) else []
    path = [name, *(label for key, label in labels if isinstance(label, str) and key != "host")]
    return ((f"{'.'.join(path)}.", fields),)


def _thingsboard(item: Object, where: str) -> Parts | None:  # noqa: ARG001
    values = item.get("values")
    return (("", values),) if isinstance(values, dict) and item.keys() - _ENVELOPE == {"values"} else None


_SHAPES: tuple[Callable[[Object, str], Parts | None], ...] = (_iotflow, _simulator, _telegraf, _thingsboard)


def _flat(item: Object) -> Parts:
    """All keys are measurements, but the envelope's, and Tasmota's `Time` where it is one."""
    apart = _ENVELOPE | {"Time"} if _clock(item) is not None else _ENVELOPE
    return (("", {key: value for key, value in item.items() if key not in apart}),)


def _is_telegraf_batch(metrics: object) -> TypeGuard[list[object]]:
    return (
        isinstance(metrics, list)
        and bool(metrics)
        and all(isinstance(item, dict) and "fields" in item for item in metrics)
    )


def _clock(item: Object) -> str | None:
    """What Tasmota calls `Time`, when it is a date and time."""
    text = item.get("Time")
    return text if isinstance(text, str) and iso_ms(text) is not None else None


def _timestamp_ms(item: Object, where: str, now_ms: int) -> int | None:
    """The time of a reading.

    Tasmota's `Time` is local time without a zone unless its owner sets one. Within five minutes of the server's time
    it is taken for UTC; further away it is more likely another zone, or a clock that was never set, than a late
    message, and the time of arrival is better: Tasmota keeps nothing to send later.
    """
    for key in _TIMESTAMP:
        value = item.get(key)
        if value is not None:
            return parse_instant(value, field=f"{where}{key}", now_ms=now_ms)
    clock = _clock(item)
    if clock is None:
        return None
    instant_ms = parse_instant(clock, field=f"{where}Time", now_ms=now_ms)
    return None if zoneless(clock) and abs(instant_ms - now_ms) > TASMOTA_SKEW_MS else instant_ms


def _require_own(item: Object, where: str, sender: Sender) -> None:
    for key in _IDENTITY:
        claimed = item.get(key)
        if claimed is None or claimed in (sender.name, str(sender.id)):
            continue
        if type(claimed) is not int or claimed != sender.id:  # True equals 1
            message = f"{where}{key} is another device than the one that is signed in: leave it out"
            raise Forbidden(message, field=f"{where}{key}", code="foreign_device")


def _require_few(count: int, key: str, most: int) -> None:
    if count > most:
        message = f"The body has {count} readings, at most {most} are accepted"
        raise InvalidInput(message, field=key or None, limit=f"{most} readings")


def _object(value: object, field: str) -> Object:
    if isinstance(value, dict):
        return value
    message = f"{field} is not an object of names and values"
    raise InvalidInput(message, field=field)
