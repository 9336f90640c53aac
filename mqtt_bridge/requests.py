"""What devices ask for beside telemetry: results of commands, attributes, registration. Runs off the event loop."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from chalicelib import access, commands, configuration, devices, topics, twin
from chalicelib.api.device_shapes import Registration
from chalicelib.errors import AppError, Forbidden, InvalidInput, TooMany
from chalicelib.model import DEFAULT_TENANT, CommandStatus, Device, DeviceDraft
from chalicelib.strict_json import parse_json
from chalicelib.wiring import Services
from mqtt_bridge.admission import Admission
from mqtt_bridge.clients import Role
from mqtt_bridge.intake import Arrival, Intake

MAX_REQUEST_BYTES = 65_536
MAX_DEPTH = 8
LEGACY_TAG = "legacy-mqtt"
"""Marks a device that IOTFLOW_MQTT_LEGACY registered by itself: only of such a one may a message lack the key."""


class Requests:
    """The handlers, for `Intake.on`.

    Args:
        services: The ports.
        admission: Counts registrations.
        intake: Takes telemetry of devices that were found here.
    """

    def __init__(self, services: Services, admission: Admission, intake: Intake) -> None:
        self._services = services
        self._admission = admission
        self._intake = intake

    def answer_command(self, arrival: Arrival) -> None:
        """``{"status": "succeeded", "result": ...}`` on `.../commands/{command_id}/ack`; the status may be left out."""
        document = _object(arrival.payload)
        status = _command_status(str(document.get("status", CommandStatus.SUCCEEDED)))
        self._answered(arrival, arrival.topic.values["command_id"], status, document.get("result"))

    def thingsboard(self, arrival: Arrival) -> None:
        """ThingsBoard's other topics: attributes told, attributes asked for, results of calls."""
        device, name = _device(arrival), arrival.topic.entry.name
        if name == "me_attributes":
            twin.report(
                device.ref, _object(arrival.payload), twins=self._services.twins, now_ms=arrival.now_ms, whole=True
            )
        elif name == "me_attributes_request":
            found = self._services.twins.get(device.ref)
            told = {"client": dict(found.reported), "shared": dict(found.desired)}
            arrival.reply(f"v1/devices/me/attributes/response/{arrival.topic.values['request_id']}", _compact(told))
        else:
            result = parse_json(arrival.payload, max_bytes=MAX_REQUEST_BYTES, max_depth=MAX_DEPTH)
            self._answered(arrival, arrival.topic.values["request_id"], CommandStatus.SUCCEEDED, result)

    def register(self, arrival: Arrival) -> None:
        """Register a device; the answer goes to the connection that asked, and to no other."""
        name = arrival.topic.values["name"]
        response = f"{topics.BASE}/discovery/response/{name}"
        if not arrival.listens(response):
            message = f"Subscribe to {response} first: the key is told once, there"
            raise InvalidInput(message, field="topic")
        try:
            told = self._registered(arrival, name)
        except AppError as error:
            arrival.reply(response, _compact({"status": "error", "error": error.code, "message": error.message}))
            raise
        arrival.reply(response, _compact({"status": "success", "device": told}))

    def legacy_telemetry(self, arrival: Arrival) -> None:
        """Telemetry of a client without a key: the payload's `api_key` says whose it is."""
        self._intake.telemetry(self._legacy_device(arrival), arrival)

    def legacy_status(self, arrival: Arrival) -> None:
        """Presence of a device that was registered by its telemetry."""
        self._intake.status(self._legacy_device(arrival), arrival)

    def _answered(self, arrival: Arrival, command_id: str, status: CommandStatus, result: Any) -> None:
        commands.answer(
            _device(arrival).ref, command_id, status, result, commands=self._services.commands, now_ms=arrival.now_ms
        )

    def _registered(self, arrival: Arrival, name: str) -> dict[str, Any]:
        if not self._admission.allows_registration(arrival.client.address, now_ms=arrival.now_ms):
            raise TooMany("Too many registrations from this address", retry_after_s=60)
        try:
            asked = Registration.model_validate({"name": name, **_object(arrival.payload)})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            message = f"{field}: {first['msg']}"
            raise InvalidInput(message, field=field) from None
        fields: dict[str, Any] = asked.model_dump(exclude={"configuration", "tags"})
        entries = {
            key: configuration.inferred_entry(value, now_ms=arrival.now_ms)
            for key, value in asked.configuration.items()
        }
        draft = DeviceDraft(
            tenant=arrival.client.tenant, configuration=entries, tags=tuple(dict.fromkeys(asked.tags)), **fields
        )
        made = self._add(draft, arrival.now_ms)
        device = made.device
        return {"id": device.id, "name": device.name, "device_type": device.device_type, "api_key": made.key}

    def _add(self, draft: DeviceDraft, now_ms: int) -> devices.Registered:
        services = self._services
        return devices.register(
            draft, devices=services.devices, credentials=services.credentials, pepper=services.pepper, now_ms=now_ms
        )

    def _legacy_device(self, arrival: Arrival) -> Device:
        if arrival.client.role is not Role.LEGACY:
            return _device(arrival)
        named = arrival.topic.device_id
        key = _key_in(arrival.payload)
        if key:
            found = self._holder(key, arrival.now_ms)
            if named not in {str(found.id), found.name}:
                raise Forbidden("The key is another device's than the topic", code="foreign_device")
            return found
        known = self._services.devices.find(DEFAULT_TENANT, named)
        if named.isdecimal() or (known is not None and LEGACY_TAG not in known.tags):
            raise Forbidden("A message of this device needs its api_key", code="api_key_missing")
        return known or self._auto_registered(arrival, named)

    def _auto_registered(self, arrival: Arrival, name: str) -> Device:
        if not self._admission.allows_registration(arrival.client.address, now_ms=arrival.now_ms):
            raise TooMany("Too many registrations from this address", retry_after_s=60)
        return self._add(DeviceDraft(name=name, device_type="mqtt", tags=(LEGACY_TAG,)), arrival.now_ms).device

    def _holder(self, key: str, now_ms: int) -> Device:
        services = self._services
        principal = access.authenticate(
            key, credentials=services.credentials, devices=services.devices, pepper=services.pepper, now_ms=now_ms
        )
        access.permit(principal, access.DEVICE)
        if principal.device is None:
            raise Forbidden("The key is not a device's", code="device_only")
        return principal.device


def _device(arrival: Arrival) -> Device:
    if arrival.client.device is None:
        raise Forbidden("This is for devices", code="device_only")
    return arrival.client.device


def _object(payload: bytes) -> Mapping[str, Any]:
    document = parse_json(payload or b"{}", max_bytes=MAX_REQUEST_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(document, dict):
        raise InvalidInput("The payload is not a JSON object")
    return document


def _key_in(payload: bytes) -> str:
    try:
        return str(_object(payload).get("api_key") or "")
    except InvalidInput:
        return ""


def _command_status(text: str) -> CommandStatus:
    try:
        return CommandStatus(text)
    except ValueError:
        raise InvalidInput("status is not one that a command can have", field="status") from None


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
