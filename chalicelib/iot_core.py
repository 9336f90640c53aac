"""AWS IoT Core as the MQTT broker: who may connect and to which topics, and what its rule puts into the queue.

Source: AWS IoT Core Developer Guide, "Custom authentication and authorization", "AWS IoT SQL reference".
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib import access, codec, topics
from chalicelib.access import Principal
from chalicelib.errors import Forbidden, InvalidInput, Unauthorized
from chalicelib.limits import PayloadLimits
from chalicelib.model import DEFAULT_TENANT, Batch, Device, DeviceRef, DeviceStatus
from chalicelib.ports import CredentialRepository, DeviceRepository
from chalicelib.strict_json import parse_json

Json = dict[str, Any]

REFRESH_S = 300
"""The shortest time after which IoT Core asks again: a revoked key ends its connection within it."""
SESSION_S = 86_400
"""The longest that a connection may last."""
RULE_SQL = (
    "SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS accepted_ms, "
    "get_mqtt_property('content_type') AS content_type FROM 'iotflow/devices/+/telemetry/#'"
)
"""Puts a telemetry message into the queue; a filter that ends in ``/#`` also takes the level above."""
MAX_MESSAGE_BYTES = 262_144
"""Twice what IoT Core takes as a payload (128 kB), since base64 makes a third more of it."""


def authorize(
    event: Mapping[str, Any],
    *,
    function_arn: str,
    credentials: CredentialRepository,
    devices: DeviceRepository,
    pepper: bytes,
    now_ms: int,
) -> Json:
    """Answer IoT Core's question whether a client may connect.

    A device connects with its id (or nothing) as user name, its key as password, and its id as client id; a second
    connection takes ``ID-anything``. Client ids are unique in an account, so that no device may have another's. A
    token that may read telemetry connects as ``token-anything``.

    Args:
        event: Has ``protocolData.mqtt`` with ``username``, ``password`` in base64, and ``clientId``.
        function_arn: Of the authorizer: its account and region are those of the topics.
        credentials: Keys and tokens.
        devices: Device records.
        pepper: Under which keys are hashed.
        now_ms: Server time.

    Returns:
        ``{"isAuthenticated": False}``, or what the client may do.

    Raises:
        Unavailable: The records do not answer; IoT Core refuses the connection, and the client tries again.
    """
    mqtt = event.get("protocolData", {}).get("mqtt", {})
    username = str(mqtt.get("username") or "").partition("?")[0]
    key = _decoded(mqtt.get("password")) or username
    try:
        principal = access.authenticate(
            key,
            credentials=credentials,
            devices=devices,
            pepper=pepper,
            now_ms=now_ms,
        )
        named = "" if username == key else username
        return _allowed(principal, named, str(mqtt.get("clientId") or ""), function_arn)
    except (Unauthorized, Forbidden):
        return {"isAuthenticated": False}


def reader(devices: DeviceRepository, limits: PayloadLimits) -> Callable[[str], tuple[Batch, ...]]:
    """A function that reads queue messages: ours, and those that IoT Core's rule put there.

    It raises `InvalidInput` for a message that can never be stored. Devices are looked up once in its life, which is
    to be that of a batch.
    """
    known: dict[int, Device | None] = {}

    def device_of(topic: str) -> Device:
        parsed = topics.parse(topic)
        if parsed is None or not parsed.device_id.isdecimal():
            raise InvalidInput("The topic is not one of a device", field="topic")
        number = int(parsed.device_id)
        if number not in known:
            known[number] = devices.get(DeviceRef(DEFAULT_TENANT, number))
        found = known[number]
        if found is None or found.status is DeviceStatus.INACTIVE:
            raise InvalidInput(f"Device {number} is not there or inactive", field="topic", code="device_unknown")
        return found

    def read(text: str) -> tuple[Batch, ...]:
        return (_batch(text, device_of, limits),) if text.startswith("{") else codec.batches_from_json(text)

    return read


def _allowed(principal: Principal, username: str, client_id: str, function_arn: str) -> Json:
    """What a principal may do, as IoT policies.

    Raises:
        Forbidden: The device is inactive, or the token may not read telemetry.
        Unauthorized: User name or client id are another's.
    """
    device = principal.device
    access.permit(principal, access.READER)
    if device is None:
        own, statements = "token", _tap(function_arn)
    else:
        if username not in {"", str(device.id), device.name}:
            raise Unauthorized("The user name is that of another device")
        own, statements = str(device.id), _own_topics(device.id, function_arn)
    if client_id != own and not client_id.startswith(f"{own}-"):
        raise Unauthorized(f"The client id has to be {own}, or begin with {own}-")
    connect = {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{_base(function_arn)}:client/{client_id}"}
    return {
        "isAuthenticated": True,
        "principalId": "".join(letter for letter in principal.name if letter.isalnum()),
        "disconnectAfterInSeconds": SESSION_S,
        "refreshAfterInSeconds": REFRESH_S,
        "policyDocuments": [{"Version": "2012-10-17", "Statement": [connect, *statements]}],
    }


def _own_topics(device_id: int, function_arn: str) -> list[Json]:
    """Those of the catalogue that begin with the device's own levels."""
    base, own = _base(function_arn), f"{topics.BASE}/devices/{device_id}"
    up = [f"{own}/telemetry", f"{own}/telemetry/*", f"{own}/status", f"{own}/status/*", f"{own}/heartbeat"]
    up.append(f"{own}/commands/*/ack")
    down = [f"{own}/commands", f"{own}/commands/*", f"{own}/config"]
    filters = [f"{own}/commands", f"{own}/commands/#", f"{own}/commands/+", f"{own}/config"]
    return [
        _statement(["iot:Publish", "iot:RetainPublish"], f"{base}:topic/", up),
        _statement(["iot:Receive"], f"{base}:topic/", down),
        _statement(["iot:Subscribe"], f"{base}:topicfilter/", filters),
    ]


def _tap(function_arn: str) -> list[Json]:
    base, every = _base(function_arn), f"{topics.BASE}/devices/*/telemetry"
    return [
        _statement(["iot:Receive"], f"{base}:topic/", [every, f"{every}/*"]),
        _statement(["iot:Subscribe"], f"{base}:topicfilter/", [every, f"{every}/*"]),
    ]


def _statement(actions: list[str], prefix: str, names: list[str]) -> Json:
    return {"Effect": "Allow", "Action": actions, "Resource": [prefix + name for name in names]}


def _base(function_arn: str) -> str:
    """``arn:PARTITION:iot:REGION:ACCOUNT`` of the account that the function is in."""
    _, partition, _, region, account, *_ = function_arn.split(":")
    return f"arn:{partition}:iot:{region}:{account}"


def _decoded(password: object) -> str:
    """The password in clear; empty when there is none, or it is not one that we ever gave."""
    try:
        return base64.b64decode(str(password or ""), validate=True).decode("ascii")
    except ValueError:
        return ""


def _batch(text: str, device_of: Callable[[str], Device], limits: PayloadLimits) -> Batch:
    """The batch in a message of the rule.

    A later delivery reads the same again: the server time is the broker's, and stands in the message.
    """
    document = parse_json(text.encode(), max_bytes=MAX_MESSAGE_BYTES, max_depth=2)
    if not isinstance(document, dict) or type(document.get("accepted_ms")) is not int:
        raise InvalidInput("The message is neither ours nor of IoT Core's rule", code="damaged_message")
    device, accepted_ms = device_of(str(document.get("topic"))), document["accepted_ms"]
    try:
        payload = base64.b64decode(str(document.get("payload")), validate=True)
    except ValueError:
        raise InvalidInput("The payload is not base64", field="payload", code="damaged_message") from None
    try:
        readings = codec.readings_from_payload(
            payload,
            content_type=str(document.get("content_type") or ""),
            device=device.ref,
            device_name=device.name,
            now_ms=accepted_ms,
            limits=limits,
        )
    except Forbidden as error:  # names another device: it will never be acceptable
        raise InvalidInput(error.message, field=error.field, code=error.code) from None
    return Batch(device.ref, accepted_ms, readings)
