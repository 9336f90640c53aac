"""What a device does with its own record: register, report, configure itself, rotate its key, leave."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chalicelib import access, configuration, devices, times, twin
from chalicelib.api import configuration_shapes as values
from chalicelib.api import device_shapes as shapes
from chalicelib.api.rates import DEVICE_WRITES, REGISTRATIONS
from chalicelib.calls import Call
from chalicelib.declare import leads_to
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.http import Resource
from chalicelib.model import DEFAULT_TENANT, Device, DeviceDraft, DeviceStatus, Sighting
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/devices", tag="Devices")
MAX_OVERLAP_S = 30 * 86_400


@resource.post(
    "/register",
    access=access.ENROLLEE,
    limit=REGISTRATIONS,
    status=201,
    uses=["devices:add", "credentials:get"],
    idempotent="rerun",
    errors=(409,),
    links=leads_to(
        "read_device",
        "change_device",
        "change_device_status",
        "issue_device_key",
        "delete_device",
        device_id="$response.body#/device/id",
    ),
)
def register_device(call: Call, body: shapes.Registration) -> shapes.RegisteredOut:
    """Register a device and show its key, this once."""
    now = services()
    made = devices.register(
        draft_from(body, now_ms=call.now_ms),
        devices=now.devices,
        credentials=now.credentials,
        pepper=now.pepper,
        now_ms=call.now_ms,
        seed=call.repeatable,
    )
    device = shapes.RegisteredDevice(**shapes.fields_of(made.device, None), api_key=made.key)
    return shapes.RegisteredOut(message="Device registered", device=device)


@resource.get("/status", access=access.DEVICE, uses=["presence:get", "readings:read"], conditional=True)
def read_own_status(call: Call) -> shapes.OwnStatusOut:
    """Read the calling device's record, how many readings are stored, and whether it counts as online."""
    device = call.device
    sighting = devices.sightings([device], presence=services().presence).get(device.ref)
    own = shapes.OwnStatus(
        **shapes.fields_of(device, sighting),
        telemetry_count=stored_count(device),
        is_online=devices.is_online(sighting, now_ms=call.now_ms),
    )
    return shapes.OwnStatusOut(device=own)


@resource.post("/heartbeat", access=access.DEVICE, limit=DEVICE_WRITES, uses=["presence:mark"], inline=True)
def send_heartbeat(call: Call) -> shapes.HeartbeatOut:
    """Mark the calling device as seen now. No body is needed."""
    services().presence.mark([Sighting(call.device.ref, call.now_ms)])
    return shapes.HeartbeatOut(
        message="Heartbeat received", device_id=call.device.id, timestamp=times.to_iso(call.now_ms)
    )


@resource.put(
    "/config",
    access=access.DEVICE,
    limit=DEVICE_WRITES,
    uses=["devices:update", "presence:get", "twins:change"],
    errors=(409, 413),
)
def change_own_record(call: Call, body: shapes.OwnChange) -> shapes.ChangedOut:
    """Change the calling device's location, versions, configuration or status.

    Each key of `configuration` is set whole, null deletes it; it becomes reported state, too: see `devices/twin`.
    """
    _report(call, body.configuration or {})
    changed = apply_change(call.device, body, now_ms=call.now_ms)
    sighting = devices.sightings([changed], presence=services().presence).get(changed.ref)
    return shapes.ChangedOut(message="Device updated", device=shapes.DeviceOut(**shapes.fields_of(changed, sighting)))


@resource.get("/config", access=access.DEVICE, uses=["devices:get"], conditional=True)
def read_own_configuration(call: Call) -> values.ConfigurationOut:
    """Read the calling device's configuration values with their types."""
    entries = values.configuration_out(call.device.configuration)
    return values.ConfigurationOut(device_id=call.device.id, configuration=entries)


@resource.post(
    "/config",
    access=access.DEVICE,
    limit=DEVICE_WRITES,
    uses=["devices:update", "twins:change"],
    errors=(409, 413),
)
def set_own_configuration(call: Call, body: values.ConfigItem) -> values.ConfigItemOut:
    """Set one configuration value, checked against its declared type; it becomes reported state, too."""
    entry = configuration.typed_entry(body.config_value, body.data_type, now_ms=call.now_ms, field="config_value")
    _report(call, {body.config_key: entry.value})
    devices.change(
        call.device.ref,
        lambda device: configuration.with_configuration(device, {body.config_key: entry}),
        devices=services().devices,
        now_ms=call.now_ms,
    )
    return values.ConfigItemOut(
        message="Configuration updated",
        config_key=body.config_key,
        config_value=configuration.entry_text(entry),
        data_type=body.data_type,
    )


@resource.post(
    "/keys/rotate",
    access=access.DEVICE,
    limit=DEVICE_WRITES,
    uses=["credentials:of-device", "credentials:remove", "credentials:expire", "credentials:add-key", "audit:write"],
)
def rotate_own_key(call: Call, body: shapes.Rotation) -> shapes.NewKeyOut:
    """Replace the key of this call; it goes on working for `overlap`, any other key of the device dies now."""
    key = devices.rotate_key(
        call.device.ref,
        call.key_id,
        overlap_s=overlap_seconds(body.overlap),
        credentials=services().credentials,
        pepper=services().pepper,
        now_ms=call.now_ms,
    )
    call.audit(services().audit, "rotate_own_key", f"device:{call.device.id}", detail=key.id)
    return shapes.NewKeyOut(
        message="Key rotated",
        device_id=call.device.id,
        key_id=key.id,
        api_key=key.text,
        others_valid_until=times.to_iso(key.old_until_ms) if key.old_until_ms is not None else None,
    )


@resource.delete(
    "/unregister",
    access=access.DEVICE,
    uses=["devices:remove", "presence:forget", "readings:delete", "audit:write"],
)
def unregister_device(call: Call) -> shapes.RemovedOut:
    """Remove the calling device: its keys die everywhere at once, its telemetry is purged."""
    now = services()
    devices.remove(
        call.device.ref, devices=now.devices, presence=now.presence, readings=now.readings, now_ms=call.now_ms
    )
    call.audit(now.audit, "unregister_device", f"device:{call.device.id}", detail=call.device.name)
    return shapes.RemovedOut(message="Device unregistered", device_id=call.device.id)


def _report(call: Call, reported: Mapping[str, Any]) -> None:
    """Take the device's configuration for what it reports of itself."""
    if reported:
        twin.report(call.device.ref, reported, twins=services().twins, now_ms=call.now_ms, whole=True)


def draft_from(body: shapes.Registration, *, now_ms: int) -> DeviceDraft:
    """The device that a registration asks for."""
    fields: dict[str, Any] = body.model_dump(exclude={"configuration", "tags"})
    entries = {key: configuration.inferred_entry(value, now_ms=now_ms) for key, value in body.configuration.items()}
    return DeviceDraft(tenant=DEFAULT_TENANT, configuration=entries, tags=tuple(dict.fromkeys(body.tags)), **fields)


def apply_change(device: Device, body: shapes.OwnChange | shapes.AnyChange, *, now_ms: int) -> Device:
    """Write those fields of *body* that were given."""
    given = body.model_dump(exclude_none=True, exclude={"configuration"})
    if "status" in given:
        given["status"] = DeviceStatus(given["status"])
    if "tags" in given:
        given["tags"] = tuple(dict.fromkeys(given["tags"]))
    given_entries = body.configuration or {}
    entries = {
        key: configuration.inferred_entry(value, now_ms=now_ms)
        for key, value in given_entries.items()
        if value is not None
    }
    if not body.model_fields_set:
        message = f"Nothing to change: give at least one of {', '.join(type(body).model_fields)}"
        raise InvalidInput(message, field="body")
    return devices.change(
        device.ref,
        lambda current: configuration.with_configuration(
            replace(current, **given), entries, without=given_entries.keys() - entries.keys()
        ),
        devices=services().devices,
        now_ms=now_ms,
    )


def overlap_seconds(text: str) -> int:
    """How long an old key stays valid.

    Raises:
        InvalidInput: Not a duration, or over 30 days.
    """
    overlap_s = times.parse_duration_s(text, field="overlap") if text not in {"0", "0s"} else 0
    if overlap_s > MAX_OVERLAP_S:
        message = "overlap is at most 30 days"
        raise InvalidInput(message, field="overlap", limit="30d")
    return overlap_s


def stored_count(device: Device) -> int | None:
    """How many readings are stored; None while the store does not answer."""
    try:
        return services().readings.count(device.ref)
    except Unavailable:
        return None
