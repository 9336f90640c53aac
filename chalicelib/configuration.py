"""Configuration values of a device, each with its declared type."""

import json
import math
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any

from chalicelib.errors import InvalidInput
from chalicelib.model import MAX_INT64, MIN_INT64, ConfigEntry, Device
from chalicelib.strict_json import parse_json

MAX_CONFIG_ENTRIES = 256
MAX_CONFIG_BYTES = 65_536
MAX_CONFIG_DEPTH = 8


def with_configuration(
    device: Device, entries: Mapping[str, ConfigEntry], *, without: Set[str] = frozenset()
) -> Device:
    """The device with *entries* set and the keys *without* gone; others stay.

    Raises:
        InvalidInput: More than `MAX_CONFIG_ENTRIES` in all.
    """
    kept = {key: entry for key, entry in device.configuration.items() if key not in without}
    merged = {**kept, **entries}
    if len(merged) > MAX_CONFIG_ENTRIES:
        message = f"A device has at most {MAX_CONFIG_ENTRIES} configuration values"
        raise InvalidInput(message, field="configuration", limit=str(MAX_CONFIG_ENTRIES))
    return replace(device, configuration=merged)


def typed_entry(value: Any, data_type: str, *, now_ms: int, field: str) -> ConfigEntry:
    """A configuration value checked against its declared type; text forms of numbers and booleans are understood.

    Raises:
        InvalidInput: The value is not of that type.
    """
    try:
        return ConfigEntry(_CONVERSIONS[data_type](value), data_type, now_ms)
    except (ValueError, TypeError, OverflowError, InvalidInput):
        message = f"{field} is not a valid {data_type}"
        raise InvalidInput(message, field=field) from None


def inferred_entry(value: Any, *, now_ms: int) -> ConfigEntry:
    """A configuration value with the type that its JSON form has."""
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "float", str: "string"}
    return ConfigEntry(value, kinds.get(type(value), "json"), now_ms)


def entry_text(entry: ConfigEntry) -> str:
    """The value as text: itself if it is text, else as JSON."""
    return entry.value if isinstance(entry.value, str) else json.dumps(entry.value, ensure_ascii=False)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError
    if isinstance(value, str) and _WHOLE.fullmatch(value) is None:  # int() takes 1_000 and the digits of all scripts
        raise ValueError
    if not MIN_INT64 <= int(value) <= MAX_INT64:
        raise OverflowError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, str) and _REAL.fullmatch(value) is None):
        raise TypeError
    if not math.isfinite(float(value)):
        raise OverflowError
    return float(value)


def _boolean(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _string(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        raise TypeError
    return value if isinstance(value, str) else json.dumps(value)


def _json(value: Any) -> Any:
    """Text is JSON that was written out, as the predecessor's clients send it."""
    if not isinstance(value, str):
        return value
    return parse_json(value.encode(), max_bytes=MAX_CONFIG_BYTES, max_depth=MAX_CONFIG_DEPTH)


_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "json": _json,
}
