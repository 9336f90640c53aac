"""Schemathesis' hooks: credentials that work whatever earlier calls revoked, and requests that make sense.

Loaded by schemathesis itself, in its own process. IOTFLOW_DATA names the data folder of the service; without it
nobody signs in.
"""

import os
import time
import uuid
from typing import Any

import schemathesis

from chalicelib import devices, tokens
from chalicelib.model import DEFAULT_TENANT, DeviceDraft, DeviceStatus, Scope
from chalicelib.settings import from_environment
from chalicelib.wiring import Services
from tests.api.schemathesis_fixes import acceptable

DATA = os.environ.get("IOTFLOW_DATA", "")
service = Services(from_environment({"IOTFLOW_DATA": DATA}))


class Key:
    """A device's key: the same one until an operation kills it, or its device."""

    def __init__(self) -> None:
        self.made: devices.Registered | None = None
        self.id = ""

    def get(self, case: Any, context: Any) -> str:  # noqa: ARG002 - schemathesis' signature
        """The key of a device that is active now."""
        if self.made is None or not self._works(self.made):
            self.made = devices.register(
                DeviceDraft(name=f"fuzzed-{uuid.uuid4().hex}", device_type="sensor"),
                devices=service.devices,
                credentials=service.credentials,
                pepper=service.pepper,
                now_ms=_now_ms(),
            )
            self.id = service.credentials.of_device(self.made.device.ref)[0].id
        return self.made.key

    def set(self, case: Any, data: str, context: Any) -> None:  # noqa: ARG002
        """Send it."""
        case.headers["X-API-Key"] = data

    def _works(self, made: devices.Registered) -> bool:
        device, key = service.devices.get(made.device.ref), service.credentials.get(self.id)
        alive = key is not None and key.expires_ms is None
        return device is not None and device.status is not DeviceStatus.INACTIVE and alive


class Token:
    """An administrator's token: the same one until it is revoked."""

    def __init__(self) -> None:
        self.made: devices.IssuedKey | None = None

    def get(self, case: Any, context: Any) -> str:  # noqa: ARG002
        """A token that works now."""
        if self.made is None or service.credentials.get(self.made.id) is None:
            self.made = tokens.issue_token(
                f"fuzzer {uuid.uuid4().hex}",
                frozenset({Scope.ADMIN}),
                tenant=DEFAULT_TENANT,
                credentials=service.credentials,
                pepper=service.pepper,
                now_ms=_now_ms(),
            )
        return self.made.text

    def set(self, case: Any, data: str, context: Any) -> None:  # noqa: ARG002
        """Send it."""
        case.headers["Authorization"] = f"Bearer {data}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _takes_token(context: Any) -> bool:
    return any("token" in way for way in context.operation.definition.raw["security"])


def _takes_key(context: Any) -> bool:
    ways = context.operation.definition.raw["security"]
    return any("deviceKey" in way for way in ways) and not _takes_token(context)


if DATA:
    schemathesis.auth(refresh_interval=None).apply_to(func=_takes_token)(Token)
    schemathesis.auth(refresh_interval=None).apply_to(func=_takes_key)(Key)


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Let what is meant to be accepted be acceptable."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    return acceptable(case, context.operation.definition.raw["operationId"])
