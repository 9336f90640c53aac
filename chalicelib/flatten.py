"""From nested objects to measurement -> value, with every limit of a reading."""

from collections.abc import Iterable, Mapping

from chalicelib.errors import InvalidInput
from chalicelib.limits import PayloadLimits, bytes_in_words
from chalicelib.model import MAX_MEASUREMENT_LENGTH, Value
from chalicelib.plain import is_plain
from chalicelib.strict_json import require_storable, shown

Parts = tuple[tuple[str, Mapping[str, object]], ...]
"""Prefix of the names, and the object they come from: for example ``(("", data), ("meta_", metadata))``."""


_SCALARS = frozenset({bool, int, float, str})


def flatten(parts: Parts, *, where: str, limits: PayloadLimits) -> dict[str, Value]:
    """The measurements of one reading.

    Objects are joined with ``.`` (``accelerometer.x``), arrays by index (``axes.0``), null is dropped.

    Args:
        parts: Nested no deeper than the stack bears; `strict_json.load` and `cbor.decode` see to that.
        where: What comes before the measurement's name in an error, for example ``readings[3].``.
        limits: Of which `measurements` and `text_bytes` count here.

    Returns:
        Possibly empty. Every name has 1 to 64 characters.

    Raises:
        InvalidInput: A limit is passed, a value cannot be stored exactly, or two values have the same name.
    """
    values: dict[str, Value] = {}
    for prefix, source in parts:
        _collect(values, source.items(), prefix, where, limits)
    return values


def _collect(
    values: dict[str, Value], items: Iterable[tuple[str, object]], prefix: str, where: str, limits: PayloadLimits
) -> None:
    for key, value in items:
        name = prefix + key
        if type(value) in _SCALARS:
            # Nearly everything passes a quick test; only the rest is looked at, and named, with care.
            if not (0 < len(name) <= MAX_MEASUREMENT_LENGTH and is_plain(name)):
                _require_name(name, where)
            if not is_plain(value) or (isinstance(value, str) and len(value) > limits.text_bytes):
                _require_value(value, where + name, limits.text_bytes)
            if name in values or len(values) >= limits.measurements:
                raise _unwanted(values, name, where, limits)
            values[name] = value  # type: ignore[assignment]
        elif isinstance(value, dict | list):
            _collect(values, _items(value), f"{name}.", where, limits)


def _items(container: dict[str, object] | list[object]) -> Iterable[tuple[str, object]]:
    if isinstance(container, dict):
        return container.items()
    return ((str(index), value) for index, value in enumerate(container))


def _unwanted(values: Mapping[str, Value], name: str, where: str, limits: PayloadLimits) -> InvalidInput:
    field = shown(where + name)
    if name in values:
        message = f"{field} is given twice"
        return InvalidInput(message, field=field)
    limit = f"{limits.measurements} measurements"
    message = f"{field} is one too many: a reading has at most {limit}"
    return InvalidInput(message, field=field, limit=limit)


def _require_name(name: str, where: str) -> None:
    if not 0 < len(name) <= MAX_MEASUREMENT_LENGTH:
        limit = f"{MAX_MEASUREMENT_LENGTH} characters"
        message = f"The measurement name {shown(where + name) or 'of no characters'} is not 1 to {limit} long"
        raise InvalidInput(message, field=shown(where + name), limit=limit)
    require_storable(name, where + name)


def _require_value(value: object, field: str, text_bytes: int) -> None:
    require_storable(value, field)
    if isinstance(value, str) and len(value.encode()) > text_bytes:
        limit = bytes_in_words(text_bytes)
        message = f"{shown(field)} is text of more than {limit}"
        raise InvalidInput(message, field=shown(field), limit=limit)
