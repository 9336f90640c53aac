"""What devices and administrators send and read of device records."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from chalicelib import times
from chalicelib.api.forms import Overlap
from chalicelib.api.texts import ConfigKey, Label, Name, Prose, Tag, Version
from chalicelib.declare import Answer, Body, DeviceBody
from chalicelib.model import Credential, Device, Sighting

Configuration = Annotated[dict[ConfigKey, JsonValue], Field(json_schema_extra={"additionalProperties": False})]
Status = Literal["active", "inactive", "maintenance", "error"]


class Registration(DeviceBody):
    """A device that introduces itself. Unknown keys are ignored."""

    name: Name
    device_type: Name
    description: Prose = ""
    location: Label = ""
    firmware_version: Version = ""
    hardware_version: Version = ""
    configuration: Configuration = Field(default_factory=dict)
    tags: list[Tag] = Field(default_factory=list, max_length=32)


def _at_least_one(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"required": [name]} for name in schema["properties"]]


class OwnChange(DeviceBody):
    """What a device may change of itself; what is left out, or null, stays."""

    model_config = ConfigDict(json_schema_extra=_at_least_one)

    location: Label | None = None
    firmware_version: Version | None = None
    hardware_version: Version | None = None
    configuration: Configuration | None = None
    status: Literal["active", "maintenance", "error"] | None = None


class AnyChange(Body):
    """What an administrator may change; what is left out, or null, stays."""

    model_config = ConfigDict(json_schema_extra=_at_least_one)

    name: Name | None = None
    device_type: Name | None = None
    description: Prose | None = None
    location: Label | None = None
    firmware_version: Version | None = None
    hardware_version: Version | None = None
    configuration: Configuration | None = None
    tags: list[Tag] | None = Field(default=None, max_length=32)
    status: Status | None = None


class StatusChange(Body):
    """A new status."""

    status: Status


class Rotation(DeviceBody):
    """How long the old key stays valid: ``24h``, ``90s``, ``0s``; at most 30 days."""

    overlap: Overlap = "24h"


class DeviceOut(Answer):
    """A device record. Times are ISO 8601 UTC; `last_seen` is null until the device was seen."""

    id: int
    name: str
    description: str
    device_type: str
    status: str
    location: str
    firmware_version: str
    hardware_version: str
    configuration: dict[str, JsonValue]
    tags: list[str]
    created_at: str
    updated_at: str
    last_seen: str | None


class RegisteredDevice(DeviceOut):
    """A device record with the key that is shown this once."""

    api_key: str


class RegisteredOut(Answer):
    """A registration that succeeded."""

    message: str
    device: RegisteredDevice


class OwnStatus(DeviceOut):
    """A device record as the device itself sees it. `telemetry_count` counts stored readings."""

    telemetry_count: int | None
    is_online: bool


class OwnStatusOut(Answer):
    """The calling device."""

    status: Literal["success"] = "success"
    device: OwnStatus


class HeartbeatOut(Answer):
    """A heartbeat that was recorded."""

    message: str
    device_id: int
    timestamp: str
    status: Literal["online"] = "online"


class ChangedOut(Answer):
    """The record after the change."""

    message: str
    device: DeviceOut


class NewKeyOut(Answer):
    """A new key, shown this once. Keys that still work beside it do so until `others_valid_until`."""

    message: str
    device_id: int
    key_id: str
    api_key: str
    others_valid_until: str | None = None


class KeyOut(Answer):
    """What is known of a key: never the key."""

    id: str
    is_active: bool
    created_at: str
    expires_at: str | None


class RemovedOut(Answer):
    """A device that is gone."""

    status: Literal["success"] = "success"
    message: str
    device_id: int
    note: str = "Its keys are dead and its telemetry is purged; the id is never used again."


def fields_of(device: Device, sighting: Sighting | None) -> dict[str, Any]:
    """The published fields of a device record."""
    return {
        "id": device.id,
        "name": device.name,
        "description": device.description,
        "device_type": device.device_type,
        "status": device.status,
        "location": device.location,
        "firmware_version": device.firmware_version,
        "hardware_version": device.hardware_version,
        "configuration": {key: entry.value for key, entry in device.configuration.items()},
        "tags": list(device.tags),
        "created_at": times.to_iso(device.created_ms),
        "updated_at": times.to_iso(device.updated_ms),
        "last_seen": times.to_iso(sighting.at_ms) if sighting else None,
    }


def key_out(credential: Credential, *, now_ms: int) -> KeyOut:
    """What is known of a key."""
    return KeyOut(
        id=credential.id,
        is_active=credential.alive(now_ms),
        created_at=times.to_iso(credential.created_ms),
        expires_at=times.to_iso(credential.expires_ms) if credential.expires_ms is not None else None,
    )
