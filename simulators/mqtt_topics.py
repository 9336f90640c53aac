"""The topics and payloads of a device: IoTFlow's own, or those of firmware that was written for ThingsBoard. Pure.

Payloads have the shapes of the predecessor's MQTT devices, so that a run also tests that those are understood.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from simulators.client import TimedReading, json_object
from simulators.enrolment import Enrolled
from simulators.orders import Order, Stage
from simulators.signals import iso_utc

ME = "v1/devices/me"


class Message(NamedTuple):
    """Something to publish."""

    topic: str
    payload: bytes
    retain: bool = False


class Topics(Protocol):
    """What one device publishes and subscribes to, and what it signs in with.

    Attributes:
        username: of the connection.
        password: of the connection.
        subscriptions: topics and filters, all with QoS 1.
        will: what the broker says for a device that is gone; None for nothing.
    """

    username: str
    password: str
    subscriptions: tuple[str, ...]
    will: Message | None

    def telemetry(self, readings: Sequence[TimedReading]) -> Message:
        """Carry readings."""

    def heartbeat(self) -> Message:
        """Say that the device is there."""

    def presence(self, word: str) -> Message | None:
        """Say how the device is: online, offline, rebooting, updating; None where there is no topic for it."""

    def reported(self, config: Mapping[str, Any]) -> Message:
        """Say which configuration is in effect."""

    def order(self, topic: str, payload: bytes) -> Order | None:
        """Read a command; None when the message is none."""

    def desired(self, topic: str, payload: bytes) -> Mapping[str, Any]:
        """Read the configuration that the device is to have; {} when the message is none."""

    def answer(self, order: Order, stage: Stage, result: Mapping[str, Any]) -> Message | None:
        """Say how far an order is; None when nobody waits for it."""


class IoTFlowTopics:
    """`iotflow/devices/{id}/...`, with the predecessor's words.

    Args:
        enrolled: the device.
        device_type: what it registered as.
        username: to sign in with; its id, unless something else was given.
    """

    def __init__(self, enrolled: Enrolled, device_type: str, *, username: str = "") -> None:
        self.username = username or enrolled.device_id
        self.password = enrolled.api_key
        self._id = enrolled.device_id
        self._type = device_type
        self._base = f"iotflow/devices/{enrolled.device_id}"
        self.subscriptions: tuple[str, ...] = (f"{self._base}/commands", f"{self._base}/config")
        self.will: Message | None = self._status({"status": "offline", "device_id": self._id})

    def telemetry(self, readings: Sequence[TimedReading]) -> Message:
        if len(readings) > 1:
            items = [{"timestamp": each.timestamp_ms, "data": each.data} for each in readings]
            return Message(f"{self._base}/telemetry", encoded({"readings": items}))
        (reading,) = readings
        document = {"device_id": self._id, "device_type": self._type, "timestamp": reading.timestamp_ms}
        return Message(f"{self._base}/telemetry/sensors", encoded({**document, "measurements": reading.data}))

    def heartbeat(self) -> Message:
        return Message(f"{self._base}/heartbeat", b"")

    def presence(self, word: str) -> Message | None:
        return self._status({"device_id": self._id, "status": word, "timestamp": iso_utc(time.time())})

    def reported(self, config: Mapping[str, Any]) -> Message:
        return Message(f"{ME}/attributes", encoded(config))

    def order(self, topic: str, payload: bytes) -> Order | None:
        if topic != self.subscriptions[0]:
            return None
        document = json_object(payload)
        return Order(
            str(document.get("command_id", "")), str(document.get("type", "")), _object(document.get("config"))
        )

    def desired(self, topic: str, payload: bytes) -> Mapping[str, Any]:
        return _object(json_object(payload).get("config")) if topic == self.subscriptions[1] else {}

    def answer(self, order: Order, stage: Stage, result: Mapping[str, Any]) -> Message | None:
        if not order.id:
            return None
        return Message(f"{self._base}/commands/{order.id}/ack", encoded({"status": stage.answer, "result": result}))

    def _status(self, document: Mapping[str, Any]) -> Message:
        return Message(f"{self._base}/status/online", encoded(document), retain=True)


class ThingsBoardTopics:
    """`v1/devices/me/...`, with the key as user name. There is no topic for presence: the connection says it.

    Args:
        enrolled: the device.
    """

    will: Message | None = None

    def __init__(self, enrolled: Enrolled) -> None:
        self.username = enrolled.api_key
        self.password = ""
        self.subscriptions: tuple[str, ...] = (f"{ME}/rpc/request/+", f"{ME}/attributes")

    def telemetry(self, readings: Sequence[TimedReading]) -> Message:
        items = [{"ts": each.timestamp_ms, "values": each.data} for each in readings]
        return Message(f"{ME}/telemetry", encoded(items if len(items) > 1 else items[0]))

    def heartbeat(self) -> Message:
        return Message(f"{ME}/attributes", encoded({"firmware_version": "1.0.0"}))

    def presence(self, word: str) -> Message | None:  # noqa: ARG002 - has none
        return None

    def reported(self, config: Mapping[str, Any]) -> Message:
        return Message(f"{ME}/attributes", encoded(config))

    def order(self, topic: str, payload: bytes) -> Order | None:
        before, _, request_id = topic.rpartition("/")
        if before != f"{ME}/rpc/request":
            return None
        document = json_object(payload)
        config = _object(_object(document.get("params")).get("config"))
        return Order(request_id, str(document.get("method", "")), config)

    def desired(self, topic: str, payload: bytes) -> Mapping[str, Any]:
        return json_object(payload) if topic == f"{ME}/attributes" else {}

    def answer(self, order: Order, stage: Stage, result: Mapping[str, Any]) -> Message | None:
        if not stage.last:
            return None
        return Message(f"{ME}/rpc/response/{order.id}", encoded({"status": stage.answer, **result}))


def encoded(document: object) -> bytes:
    """Return a document as compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
