"""What administrators do with device records."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from chalicelib import access, devices
from chalicelib.api import configuration_shapes as values
from chalicelib.api import device_shapes as shapes
from chalicelib.api.devices import apply_change, stored_count
from chalicelib.calls import Call
from chalicelib.declare import Answer, Query, leads_to
from chalicelib.errors import NotFound
from chalicelib.http import Resource
from chalicelib.model import ONLINE_FOR_S, Device, DeviceStatus, Scope
from chalicelib.ports import DeviceFilter
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin/devices", tag="Administration")
READ = access.token(Scope.DEVICES_READ)
WRITE = access.token(Scope.DEVICES_WRITE)


class DeviceListQuery(Query):
    """Which devices, and which page of them."""

    status: shapes.Status | None = None
    device_type: str | None = Field(None, max_length=100)
    search: str | None = Field(None, max_length=100, description="part of a name or location, any case")
    online: bool | None = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, pattern=r"^[0-9]{1,18}$")


class ListedDevice(shapes.DeviceOut):
    """A device in a list."""

    is_online: bool
    config_count: int


class DeviceListOut(Answer):
    """A page of devices; `total_devices` counts all that match."""

    status: Literal["success"] = "success"
    total_devices: int
    devices: list[ListedDevice]
    next_cursor: str | None


class DetailedDevice(ListedDevice):
    """A device with its number of stored readings."""

    telemetry_count: int | None


class DeviceDetailsOut(Answer):
    """A device, its keys' metadata and its configuration."""

    status: Literal["success"] = "success"
    device: DetailedDevice
    auth_records: list[shapes.KeyOut]
    configurations: dict[str, values.ConfigValueOut]


class StatusChangedOut(Answer):
    """The status before and after."""

    status: Literal["success"] = "success"
    message: str
    device_id: int
    old_status: str
    new_status: str


class RevokedOut(Answer):
    """A key that is dead."""

    status: Literal["success"] = "success"
    message: str
    device_id: int
    key_id: str


@resource.get("", access=READ, uses=("devices:list-online", "presence:list", "presence:get"))
def list_devices(call: Call, query: DeviceListQuery) -> DeviceListOut:
    """List devices by id, filtered, by pages."""
    where = _filter(call, query)
    repository, tenant = services().devices, call.principal.tenant
    page = repository.page(tenant, where, after_id=int(query.cursor or 0), limit=query.limit + 1)
    shown = page[: query.limit]
    return DeviceListOut(
        total_devices=repository.count(tenant, where),
        devices=_listed(shown, call.now_ms),
        next_cursor=str(shown[-1].id) if len(page) > query.limit else None,
    )


@resource.get(
    "/{device_id}",
    access=READ,
    uses=("devices:get", "credentials:of-device", "presence:get", "readings:read"),
    conditional=True,
)
def read_device(call: Call, device_id: int) -> DeviceDetailsOut:
    """Read a device with its keys' metadata and its configuration."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    keys = services().credentials.of_device(device.ref)
    return DeviceDetailsOut(
        device=DetailedDevice(**_fields(device, call.now_ms), telemetry_count=stored_count(device)),
        auth_records=[shapes.key_out(key, now_ms=call.now_ms) for key in keys],
        configurations=values.configuration_out(device.configuration),
    )


@resource.put("/{device_id}", access=WRITE, uses=("devices:rename", "presence:get", "audit:write"), errors=(409,))
def change_device(call: Call, device_id: int, body: shapes.AnyChange) -> shapes.ChangedOut:
    """Change any field of a device."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    changed = apply_change(device, body, now_ms=call.now_ms)
    call.audit(services().audit, "change_device", f"device:{device_id}", detail=",".join(sorted(body.model_fields_set)))
    sighting = devices.sightings([changed], presence=services().presence).get(changed.ref)
    return shapes.ChangedOut(message="Device updated", device=shapes.DeviceOut(**shapes.fields_of(changed, sighting)))


@resource.put("/{device_id}/status", access=WRITE, uses=("devices:update", "audit:write"))
def change_device_status(call: Call, device_id: int, body: shapes.StatusChange) -> StatusChangedOut:
    """Set a device's status; `inactive` shuts it out everywhere."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    status = DeviceStatus(body.status)
    changed = devices.change(
        device.ref, lambda current: replace(current, status=status), devices=services().devices, now_ms=call.now_ms
    )
    call.audit(services().audit, "change_device_status", f"device:{device_id}", detail=f"{device.status} to {status}")
    return StatusChangedOut(
        message="Status updated", device_id=device_id, old_status=device.status, new_status=changed.status
    )


@resource.delete(
    "/{device_id}", access=WRITE, uses=("devices:remove", "presence:forget", "readings:delete", "audit:write")
)
def delete_device(call: Call, device_id: int) -> shapes.RemovedOut:
    """Delete a device: keys dead at once, telemetry purged, id never used again."""
    now = services()
    device = access.visible_device(call.principal, device_id, devices=now.devices)
    devices.remove(device.ref, devices=now.devices, presence=now.presence, readings=now.readings, now_ms=call.now_ms)
    call.audit(now.audit, "delete_device", f"device:{device_id}", detail=device.name)
    return shapes.RemovedOut(message="Device deleted", device_id=device_id)


@resource.post(
    "/{device_id}/keys",
    access=WRITE,
    status=201,
    uses=("credentials:add-key", "audit:write"),
    errors=(409,),
    links=leads_to("revoke_device_key", device_id="$request.path.device_id", key_id="$response.body#/key_id"),
)
def issue_device_key(call: Call, device_id: int) -> shapes.NewKeyOut:
    """Give a device one more key, shown this once; at most two live at a time."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    key = devices.issue_key(
        device.ref, credentials=services().credentials, pepper=services().pepper, now_ms=call.now_ms
    )
    call.audit(services().audit, "issue_device_key", f"device:{device_id}", detail=key.id)
    return shapes.NewKeyOut(message="Key issued", device_id=device_id, key_id=key.id, api_key=key.text)


@resource.delete(
    "/{device_id}/keys/{key_id}",
    access=WRITE,
    uses=("credentials:of-device", "credentials:remove", "audit:write"),
)
def revoke_device_key(call: Call, device_id: int, key_id: str) -> RevokedOut:
    """Revoke a key of a device; it is dead everywhere when this answers."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    if key_id not in {key.id for key in services().credentials.of_device(device.ref)}:
        message = "The device has no such key"
        raise NotFound(message, field="key_id")
    services().credentials.remove(device.tenant, key_id)
    call.audit(services().audit, "revoke_device_key", f"device:{device_id}", detail=key_id)
    return RevokedOut(message="Key revoked", device_id=device_id, key_id=key_id)


def _filter(call: Call, asked: DeviceListQuery) -> DeviceFilter:
    where = DeviceFilter(
        status=DeviceStatus(asked.status) if asked.status else None,
        device_type=asked.device_type,
        search=asked.search,
    )
    if asked.online is None:
        return where
    ids = services().presence.online(call.principal.tenant, since_ms=call.now_ms - ONLINE_FOR_S * 1000)
    return where._replace(ids=ids) if asked.online else where._replace(exclude_ids=ids)


def _listed(shown: Sequence[Device], now_ms: int) -> list[ListedDevice]:
    seen = devices.sightings(shown, presence=services().presence)
    return [
        ListedDevice(
            **shapes.fields_of(device, seen.get(device.ref)),
            is_online=devices.is_online(seen.get(device.ref), now_ms=now_ms),
            config_count=len(device.configuration),
        )
        for device in shown
    ]


def _fields(device: Device, now_ms: int) -> dict[str, Any]:
    return _listed([device], now_ms)[0].model_dump()
