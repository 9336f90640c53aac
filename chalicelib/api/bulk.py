"""Many registrations in one request."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from chalicelib import access, devices
from chalicelib.api import device_shapes as shapes
from chalicelib.api.devices import draft_from
from chalicelib.calls import Call, checked
from chalicelib.declare import Answer, Body
from chalicelib.errors import AppError
from chalicelib.http import Resource
from chalicelib.model import Scope
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin/devices", tag="Administration")
WRITE = access.token(Scope.DEVICES_WRITE)


class BulkRegistration(Body):
    """Up to 1000 registrations."""

    devices: list[dict[str, Any]] = Field(min_length=1, max_length=1000)


class BulkRow(Answer):
    """What became of one registration: a device with its key, or an error."""

    row: int
    status: int
    device: shapes.RegisteredDevice | None = None
    error: str | None = None
    message: str | None = None
    code: str | None = None
    field: str | None = None


class BulkOut(Answer):
    """Results in the order of the request."""

    registered: int
    failed: int
    results: list[BulkRow]


@resource.post(
    "/bulk",
    access=WRITE,
    uses=("devices:add", "audit:write"),
    bulk=True,
)
def register_devices(call: Call, body: BulkRegistration) -> BulkOut:
    """Register up to 1000 devices; each row succeeds or fails by itself."""
    results = [_register_row(call, row, given) for row, given in enumerate(body.devices)]
    registered = sum(result.device is not None for result in results)
    call.audit(services().audit, "register_devices", f"{registered} devices")
    return BulkOut(registered=registered, failed=len(results) - registered, results=results)


def _register_row(call: Call, row: int, given: dict[str, Any]) -> BulkRow:
    now = services()
    try:
        draft = draft_from(checked(shapes.Registration, given), now_ms=call.now_ms)
        made = devices.register(
            replace(draft, tenant=call.principal.tenant),
            devices=now.devices,
            credentials=now.credentials,
            pepper=now.pepper,
            now_ms=call.now_ms,
        )
    except AppError as error:
        return BulkRow(
            row=row,
            status=error.status,
            error=error.title,
            message=error.message,
            code=error.code,
            field=error.field,
        )
    device = shapes.RegisteredDevice(**shapes.fields_of(made.device, None), api_key=made.key)
    return BulkRow(row=row, status=201, device=device)
