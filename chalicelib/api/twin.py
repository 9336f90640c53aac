"""Desired and reported state over HTTP."""

from chalicelib import access, twin
from chalicelib.api import command_shapes as shapes
from chalicelib.api.rates import DEVICE_WRITES
from chalicelib.calls import Call
from chalicelib.http import Resource
from chalicelib.model import Scope
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1", tag="Twin")


@resource.get("/devices/twin", access=access.DEVICE, uses=["twins:get"], conditional=True)
def read_own_twin(call: Call) -> shapes.TwinOut:
    """Read what the calling device is asked to be, what it reported, and the difference."""
    return shapes.twin_out(services().twins.get(call.device.ref))


@resource.put("/devices/twin", access=access.DEVICE, limit=DEVICE_WRITES, uses=["twins:change"], errors=(409, 413))
def report_state(call: Call, body: shapes.ReportedChange) -> shapes.TwinOut:
    """Report state by a merge patch (RFC 7396); at most 8 kB are kept."""
    changed = twin.report(
        call.device.ref, body.reported, twins=services().twins, now_ms=call.now_ms, version=body.version
    )
    return shapes.twin_out(changed)


@resource.get(
    "/admin/devices/{device_id}/twin",
    access=access.token(Scope.DEVICES_READ),
    uses=("devices:get", "twins:get"),
    conditional=True,
)
def read_twin(call: Call, device_id: int) -> shapes.TwinOut:
    """Read a device's desired and reported state, and the difference."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    return shapes.twin_out(services().twins.get(device.ref))


@resource.put(
    "/admin/devices/{device_id}/twin",
    access=access.token(Scope.COMMANDS_WRITE),
    uses=("devices:get", "twins:change", "audit:write"),
    errors=(409, 413),
)
def desire_state(call: Call, device_id: int, body: shapes.DesiredChange) -> shapes.TwinOut:
    """Change the desired state by a merge patch (RFC 7396); the device hears of it at once over MQTT."""
    now = services()
    device = access.visible_device(call.principal, device_id, devices=now.devices)
    changed = twin.desire(device.ref, body.desired, twins=now.twins, now_ms=call.now_ms, version=body.version)
    call.audit(now.audit, "desire_state", f"device:{device_id}", detail=f"version {changed.version}")
    return shapes.twin_out(changed)
