"""A device's connection: what counts as accepted, refused and unanswered. The client library is a fake; no sockets."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from simulators.client import NoAnswer, TimedReading
from simulators.enrolment import Enrolled
from simulators.mqtt_topics import IoTFlowTopics
from simulators.mqtt_uplink import Broker, MqttUplink
from simulators.totals import Counts

READING = [TimedReading(1_751_328_000_000, {"t": 1})]
ACCEPTED, REFUSED, QUOTA, BAD_KEY = 0x00, 0x99, 0x97, 0x86


class Reason(NamedTuple):
    """A reason code as the library gives it."""

    value: int

    @property
    def is_failure(self) -> bool:
        return self.value >= 0x80


@dataclass
class FakeInfo:
    """What the library tells of a published message."""

    mid: int
    rc: MQTTErrorCode
    confirmed: bool

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """A message that is never confirmed is over at once instead of after `timeout`."""
        if self.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise RuntimeError(f"not sent; would have waited {timeout} s")

    def is_published(self) -> bool:
        return self.confirmed


@dataclass
class FakeClient:
    """Connects when its network starts; a script says what becomes of each message, None for no answer."""

    connect_reason: int = ACCEPTED
    verdicts: Iterator[int | None] = field(default_factory=lambda: iter(()))
    published: list[tuple[str, Any, int, bool]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    subscribed: list[tuple[str, int]] = field(default_factory=list)
    will: tuple[str, bytes, int, bool] | None = None
    on_connect: Callable[..., None] = print
    on_disconnect: Callable[..., None] = print
    on_publish: Callable[..., None] = print
    on_message: Callable[..., None] = print

    def will_set(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        self.will = (topic, payload, qos, retain)

    def connect_async(self, host: str, port: int, keepalive: int) -> None:
        self.calls.append(f"connect {host}:{port} {keepalive}")

    def loop_start(self) -> None:
        self.on_connect(self, None, None, Reason(self.connect_reason), None)

    def subscribe(self, topics: list[tuple[str, int]]) -> None:
        self.subscribed += topics

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> FakeInfo:
        self.published.append((topic, payload, qos, retain))
        verdict = next(self.verdicts, ACCEPTED) if "telemetry" in topic else ACCEPTED
        if verdict is not None:
            self.on_publish(self, None, len(self.published), Reason(verdict), None)
        return FakeInfo(len(self.published), MQTTErrorCode.MQTT_ERR_SUCCESS, verdict is not None)

    def disconnect(self) -> None:
        self.calls.append("disconnect")

    def loop_stop(self) -> None:
        self.calls.append("loop_stop")


@dataclass(frozen=True)
class FakeBroker(Broker):
    """Gives out the fake client."""

    fake: FakeClient = field(default_factory=FakeClient)

    def client(self, client_id: str, username: str, password: str) -> Client:
        self.fake.calls.append(f"{client_id} {username} {password}")
        return cast("Client", self.fake)


def uplink(client: FakeClient, *, qos: int = 1, counts: Counts | None = None) -> MqttUplink:
    words = IoTFlowTopics(Enrolled("lab", "7", "key", "registered"), "sensor")
    where = FakeBroker("edge", 1883, qos=qos, fake=client)
    return MqttUplink(where, words, client_id="c", counts=counts or Counts(), later=lambda _after_s, call: call())


def test_connection_has_key_will_subscriptions_and_says_online() -> None:
    client = FakeClient()
    uplink(client)
    assert client.calls == ["c 7 key", "connect edge:1883 60"]
    assert client.will is not None
    assert json.loads(client.will[1])["status"] == "offline"
    assert client.subscribed == [("iotflow/devices/7/commands", 1), ("iotflow/devices/7/config", 1)]
    ((topic, payload, qos, retain),) = client.published
    assert (topic, json.loads(payload)["status"], qos, retain) == ("iotflow/devices/7/status/online", "online", 1, True)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_acknowledged_message_is_accepted(qos: int) -> None:
    client = FakeClient()
    device = uplink(client, qos=qos)
    assert (device.telemetry(READING).status, client.published[-1][2]) == (201, qos)
    assert device.heartbeat().status == 200


@pytest.mark.parametrize(("reason", "retryable"), [(REFUSED, False), (QUOTA, True)])
def test_refused_message_is_no_success_and_may_be_worth_a_repetition(reason: int, retryable: bool) -> None:
    device = uplink(FakeClient(verdicts=iter([reason])))
    refused = device.telemetry(READING)
    assert (refused.status, refused.retryable) == (reason, retryable)
    assert device.telemetry(READING).status == 201, "a refusal is of one message"


def test_message_without_acknowledgement_is_unanswered() -> None:
    with pytest.raises(NoAnswer):
        uplink(FakeClient(verdicts=iter([None]))).telemetry(READING)


def test_refused_connection_refuses_every_message_by_its_reason_and_publishes_nothing() -> None:
    client = FakeClient(connect_reason=BAD_KEY)
    answer = uplink(client).telemetry(READING)
    assert (answer.status, answer.retryable, client.published) == (BAD_KEY, False, [])


def test_goodbye_is_said_only_over_a_connection() -> None:
    client = FakeClient()
    device = uplink(client)
    device.close()
    assert json.loads(client.published[-1][1])["status"] == "offline"
    assert client.calls[-2:] == ["disconnect", "loop_stop"]
    lost = FakeClient()
    device = uplink(lost)
    lost.on_disconnect(lost, None, None, Reason(0), None)
    said = len(lost.published)
    device.close()
    assert (len(lost.published), lost.calls[-1]) == (said, "disconnect")


def test_command_is_answered_in_stages_with_presence_between() -> None:
    client, counts = FakeClient(), Counts()
    uplink(client, counts=counts)
    order = SimpleNamespace(topic="iotflow/devices/7/commands", payload=b'{"type": "reboot", "command_id": "c1"}')
    client.on_message(client, None, order)
    said = [(topic.rpartition("/")[2], json.loads(payload)["status"]) for topic, payload, *_ in client.published[1:]]
    assert said == [("ack", "acknowledged"), ("online", "rebooting"), ("ack", "succeeded"), ("online", "online")]
    assert (counts.commands, counts.commands_carried_out) == (1, 1)


def test_desired_configuration_is_reported() -> None:
    client = FakeClient()
    uplink(client)
    wish = SimpleNamespace(topic="iotflow/devices/7/config", payload=b'{"version": 2, "config": {"interval_s": 30}}')
    client.on_message(client, None, wish)
    assert client.published[-1][:2] == ("v1/devices/me/attributes", b'{"interval_s":30}')
