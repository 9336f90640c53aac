"""Telemetry on its way in."""

import threading
from typing import Any

from chalicelib import access, ingest, times
from chalicelib.api import intake
from chalicelib.api import telemetry_shapes as shapes
from chalicelib.api.payload_schema import PAYLOAD_SCHEMA
from chalicelib.api.rates import DEVICE_WRITES
from chalicelib.calls import Call
from chalicelib.declare import leads_to
from chalicelib.http import Resource
from chalicelib.model import Reading
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1", tag="Telemetry")
MAX_WAIT_S = 20
MAX_WAITERS = 8
"""Half of the local front's threads: the others serve everybody else, also while nothing gets stored."""
READ_BACK = leads_to(
    "read_latest",
    "read_telemetry",
    "read_telemetry_range",
    "read_aggregated",
    "delete_telemetry",
    device_id="$response.body#/device_id",
)

SENDING: dict[str, Any] = {
    "access": access.DEVICE,
    "limit": DEVICE_WRITES,
    "status": 201,
    "uses": ["queue:write", "readings:read"],
    "timeout_s": 29,
    "inline": True,
    "idempotent": "answer",
    "payload_schema": PAYLOAD_SCHEMA,
    "links": READ_BACK,
}
"""What both addresses for sending readings declare."""

_waiters = threading.BoundedSemaphore(MAX_WAITERS)


def _accept(call: Call) -> shapes.AcceptedOut:
    device, accepted = call.device, intake.accept(call)
    return shapes.AcceptedOut(
        message="Telemetry accepted",
        device_id=device.id,
        device_name=device.name,
        timestamp=times.to_iso(accepted.last.timestamp_ms),
        readings=accepted.readings,
        stored=_wait(call, accepted.last),
    )


@resource.post("/devices/telemetry", **SENDING)
def submit_telemetry(call: Call) -> shapes.AcceptedOut:
    """Send readings; 201 means that they are durable.

    With `Prefer: wait=N` (1 to 20 seconds) the answer waits until they are stored and says so.
    """
    return _accept(call)


@resource.post("/telemetry", **SENDING)
def submit_telemetry_short(call: Call) -> shapes.AcceptedOut:
    """Send readings, under the predecessor's second address."""
    return _accept(call)


def _wait(call: Call, last: Reading) -> bool | None:
    """Whether *last* was stored within the time that the caller prefers to wait; None when nobody waits.

    A preference is not an order (RFC 7240): when too many wait already, the answer comes at once.
    """
    wait_s = _preferred_wait_s(call.headers.get("prefer", ""))
    if not wait_s or not _waiters.acquire(blocking=False):
        return None
    try:
        call.answer_headers["Preference-Applied"] = f"wait={wait_s}"
        return ingest.wait_until_stored(last, readings=services().readings, timeout_s=wait_s)
    finally:
        _waiters.release()


def _preferred_wait_s(prefer: str) -> int:
    """Seconds of ``Prefer: wait=N`` (RFC 7240), 0 without one, capped at `MAX_WAIT_S`."""
    for preference in prefer.split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdecimal():
            return min(int(value[:6]), MAX_WAIT_S)
    return 0
