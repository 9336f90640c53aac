"""What clients send and read of a device's configuration values."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import ConfigDict, JsonValue

from chalicelib import times
from chalicelib.api.texts import ConfigKey
from chalicelib.declare import Answer, DeviceBody
from chalicelib.model import MAX_INT64, MIN_INT64, ConfigEntry

_TYPED_VALUES: dict[str, list[dict[str, Any]]] = {
    "string": [{"type": ["string", "number", "boolean"]}],
    "integer": [
        {"type": "integer", "minimum": MIN_INT64, "maximum": MAX_INT64},
        {"type": "string", "pattern": "^[+-]?[0-9]{1,18}$"},
    ],
    "float": [{"type": "number"}, {"type": "string", "pattern": r"^[+-]?[0-9]{1,15}(\.[0-9]{1,15})?$"}],
    "boolean": [{"type": "boolean"}, {"enum": ["true", "false", "1", "0", "yes", "no", "on", "off", 1, 0]}],
    "json": [
        {"type": ["object", "array", "number", "boolean", "null"]},
        {"type": "string", "contentMediaType": "application/json"},
    ],
}


def _value_of_its_type(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [
        {"properties": {"data_type": {"const": data_type}, "config_value": {"anyOf": values}}}
        | ({} if data_type == "string" else {"required": ["data_type"]})
        for data_type, values in _TYPED_VALUES.items()
    ]


class ConfigItem(DeviceBody):
    """One configuration value with its declared type; text forms of the other types are understood."""

    model_config = ConfigDict(json_schema_extra=_value_of_its_type)

    config_key: ConfigKey
    config_value: JsonValue
    data_type: Literal["string", "integer", "float", "boolean", "json"] = "string"


class ConfigValueOut(Answer):
    """One configuration value, in its declared type."""

    value: JsonValue
    data_type: str
    updated_at: str


class ConfigurationOut(Answer):
    """All configuration values of the calling device."""

    status: Literal["success"] = "success"
    device_id: int
    configuration: dict[str, ConfigValueOut]


class ConfigItemOut(Answer):
    """The value that was set, as text."""

    status: Literal["success"] = "success"
    message: str
    config_key: str
    config_value: str
    data_type: str


def configuration_out(entries: Mapping[str, ConfigEntry]) -> dict[str, ConfigValueOut]:
    """Configuration values with their types and times."""
    return {
        key: ConfigValueOut(
            value=cast("JsonValue", entry.value), data_type=entry.data_type, updated_at=times.to_iso(entry.updated_ms)
        )
        for key, entry in entries.items()
    }
