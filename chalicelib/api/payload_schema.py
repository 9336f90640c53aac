"""What devices may send, as JSON Schema: the codec reads it, this describes it."""

from typing import Any

from chalicelib.model import MAX_INT64, MAX_MEASUREMENT_LENGTH, MIN_INT64

_NAMES: dict[str, Any] = {"maxLength": MAX_MEASUREMENT_LENGTH}
_VALUE: dict[str, Any] = {
    "description": "A number, a boolean or text; null is dropped; objects and arrays are flattened with dots.",
    "anyOf": [
        {"type": "integer", "minimum": MIN_INT64, "maximum": MAX_INT64},
        {"type": "number"},
        {"type": "string", "maxLength": 4096},
        {"type": ["boolean", "null", "object", "array"]},
    ],
}
_VALUES: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 256,
    "propertyNames": _NAMES,
    "additionalProperties": _VALUE,
}
_TIMESTAMP: dict[str, Any] = {
    "description": "ISO 8601, or epoch s, ms, us or ns; from 2000 to tomorrow. Without it, the time of arrival.",
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "minimum": 0}, {"type": "null"}],
}
_READING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": _VALUES,
        "metadata": {"type": ["object", "null"], "description": "stored as measurements meta_<key>"},
        "timestamp": _TIMESTAMP,
    },
    "required": ["data"],
}
_RESERVED = [
    "data", "readings", "metrics", "measurements", "fields", "values", "metadata", "timestamp", "ts", "Time",
    "device_id", "deviceId", "api_key",
]  # fmt: skip
_FLAT: dict[str, Any] = {**_VALUES, "propertyNames": {**_NAMES, "not": {"enum": _RESERVED}}}
_BATCH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "readings": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"anyOf": [_READING, _FLAT]}}
    },
    "required": ["readings"],
}
_SENML: dict[str, Any] = {
    "description": "A SenML pack (RFC 8428); each name at most once per instant.",
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "n": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9:./_-]{0,31}$"},
            "u": {"type": "string"},
            "v": {"type": "number"},
            "vs": {"type": "string", "maxLength": 4096},
            "vb": {"type": "boolean"},
            "t": {"type": "number", "description": "seconds; below 2**28 relative to now"},
        },
        "required": ["n"],
        "oneOf": [{"required": ["v"]}, {"required": ["vs"]}, {"required": ["vb"]}],
    },
}
PAYLOAD_SCHEMA: dict[str, Any] = {
    "application/json": {
        "schema": {
            "description": "Also ThingsBoard, Telegraf, SenML, Tasmota, and arrays of readings.",
            "anyOf": [_READING, _BATCH, _FLAT],
        },
        "examples": {
            "iotflow": {"value": {"data": {"temperature": 23.5, "humidity": 65.2}, "metadata": {"room": "kitchen"}}},
            "batch": {"value": {"readings": [{"data": {"temperature": 23.5}}, {"data": {"temperature": 23.6}}]}},
            "flat": {"value": {"temperature": 23.5, "accelerometer": {"x": 0.1, "y": 9.8}}},
        },
    },
    "application/senml+json": {
        "schema": _SENML,
        "examples": {"senml": {"value": [{"n": "temperature", "u": "Cel", "v": 23.5}]}},
    },
    "application/senml+cbor": {"schema": {"type": "string", "format": "binary"}},
}
