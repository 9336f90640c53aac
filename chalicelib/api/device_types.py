"""What administrators declare of device types: the types in which a store keeps their measurements."""

from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import Field, StringConstraints

from chalicelib import access
from chalicelib.calls import Call
from chalicelib.declarations import MAX_MEASUREMENTS
from chalicelib.declare import Answer, Body, leads_to
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.http import Resource
from chalicelib.model import MAX_MEASUREMENT_LENGTH, MAX_NAME_LENGTH, MeasurementType, Scope
from chalicelib.strict_json import require_storable
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin/device-types", tag="Administration")
READ = access.token(Scope.DEVICES_READ)
WRITE = access.token(Scope.DEVICES_WRITE)
NEW_SERIES_ONLY = "IoTDB makes new series with these types; series that exist keep theirs"

Measurement = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MEASUREMENT_LENGTH)]


class DeclarationsBody(Body):
    """The type of each measurement; the whole list, measurements that are left out are not declared any more."""

    measurements: dict[Measurement, MeasurementType] = Field(min_length=1, max_length=MAX_MEASUREMENTS)


class DeclarationsOut(Answer):
    """The declared measurements of a device type; none for a type of which nothing is declared."""

    status: Literal["success"] = "success"
    device_type: str
    measurements: dict[str, MeasurementType]


class DeclaredOut(DeclarationsOut):
    """What is declared from now on, and whom that concerns."""

    message: str


class DeviceTypesOut(Answer):
    """Every device type that has declarations, with its measurements."""

    status: Literal["success"] = "success"
    device_types: dict[str, dict[str, MeasurementType]]
    count: int


class DroppedOut(Answer):
    """A device type that has no declarations any more."""

    status: Literal["success"] = "success"
    message: str
    device_type: str


@resource.get("", access=READ, uses=["declarations:list"])
def list_declarations(call: Call) -> DeviceTypesOut:
    """List the device types that have declared measurements."""
    found = services().declarations.all(call.principal.tenant)
    return DeviceTypesOut(device_types={name: dict(declared) for name, declared in found.items()}, count=len(found))


@resource.get("/{device_type}/measurements", access=READ, uses=["declarations:get"])
def read_declarations(call: Call, device_type: str) -> DeclarationsOut:
    """Read the declared types of a device type's measurements."""
    name = _type(device_type)
    return DeclarationsOut(
        device_type=name, measurements=dict(services().declarations.get(call.principal.tenant, name))
    )


@resource.put(
    "/{device_type}/measurements",
    access=WRITE,
    uses=["declarations:put", "audit:write"],
    links=leads_to("read_declarations", "drop_declarations", device_type="$request.path.device_type"),
)
def declare_measurements(call: Call, device_type: str, body: DeclarationsBody) -> DeclaredOut:
    """Declare in which types the measurements of a device type are stored.

    It concerns IoTDB, and series that are made from now on: those that exist keep their type. Values that do not fit
    the declared type are stored beside it; every value comes back as it was sent.
    """
    name, declared = _type(device_type), body.measurements
    services().declarations.put(call.principal.tenant, name, declared)
    detail = ",".join(f"{measurement}={kind}" for measurement, kind in sorted(declared.items()))
    call.audit(services().audit, "declare_measurements", f"device_type:{name}", detail=detail[:1000])
    return DeclaredOut(message=NEW_SERIES_ONLY, device_type=name, measurements=declared)


@resource.delete("/{device_type}/measurements", access=WRITE, uses=["declarations:remove", "audit:write"])
def drop_declarations(call: Call, device_type: str) -> DroppedOut:
    """Drop the declarations of a device type; series that exist keep their type."""
    name = _type(device_type)
    if not services().declarations.remove(call.principal.tenant, name):
        message = "Nothing is declared of this device type"
        raise NotFound(message, field="device_type")
    call.audit(services().audit, "drop_declarations", f"device_type:{name}")
    return DroppedOut(message="Series that exist keep their type", device_type=name)


def _type(segment: str) -> str:
    """The device type that a path names: most are words for people, with blanks.

    Raises:
        InvalidInput: No device can be of that type.
    """
    device_type = unquote(segment)
    require_storable(device_type, "device_type")
    if len(device_type) > MAX_NAME_LENGTH:
        message = f"device_type must have at most {MAX_NAME_LENGTH} characters"
        raise InvalidInput(message, field="device_type", limit=str(MAX_NAME_LENGTH))
    return device_type
