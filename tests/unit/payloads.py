"""How the codec's tests send a payload."""

import json

from hypothesis import HealthCheck, settings

from chalicelib.codec import readings_from_payload
from chalicelib.errors import AppError
from chalicelib.limits import PayloadLimits
from chalicelib.model import DeviceRef, Reading, Value

NOW_MS = 1_751_553_000_000
"""2025-07-03T14:30:00Z"""
DEVICE = DeviceRef("default", 42)
DEVICE_NAME = "greenhouse-7"
LIMITS = PayloadLimits()
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Properties are about values: a busy machine must not fail them."""


def send(
    body: object, *, content_type: str = "application/json", limits: PayloadLimits = LIMITS
) -> tuple[Reading, ...]:
    """What becomes of *body*: bytes as they are, anything else as JSON."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return readings_from_payload(
        payload,
        content_type=content_type,
        device=DEVICE,
        device_name=DEVICE_NAME,
        now_ms=NOW_MS,
        limits=limits,
    )


def found(body: object, *, content_type: str = "application/json") -> list[tuple[int, dict[str, Value]]]:
    """Timestamps, in ms after `NOW_MS`, and values."""
    readings = send(body, content_type=content_type)
    return [(reading.timestamp_ms - NOW_MS, dict(reading.values)) for reading in readings]


def outcome(body: object, *, content_type: str = "application/json") -> tuple[Reading, ...] | AppError:
    """What becomes of *body*, be it a refusal. Anything but an AppError fails the test."""
    try:
        return send(body, content_type=content_type)
    except AppError as error:
        return error
