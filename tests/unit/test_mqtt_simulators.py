"""What the MQTT simulators say, what they do when told to, and the spellings of their options."""

import json
from collections.abc import Callable, Mapping
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import topics as catalogue
from chalicelib.codec import readings_from_payload
from chalicelib.limits import PayloadLimits
from chalicelib.model import DEFAULT_TENANT, DeviceRef
from simulators import mqtt_device_simulator, mqtt_fleet_simulator
from simulators.client import TimedReading
from simulators.device import DevicePlan
from simulators.enrolment import Enrolled
from simulators.mqtt_discovery import Discovery
from simulators.mqtt_options import broker, mqtt_network, topics, with_credentials
from simulators.mqtt_topics import IoTFlowTopics, Message, ThingsBoardTopics, Topics
from simulators.mqtt_uplink import Broker
from simulators.options import run_options
from simulators.orders import Order, Orderly, Stage
from simulators.profiles import KINDS, Kind, kind_called
from simulators.totals import Counts
from tests.unit.simulated_service import START_S

OWNER = Enrolled("lab", "7", "the key", "registered")
BOTH: list[Topics] = [IoTFlowTopics(OWNER, "sensor"), ThingsBoardTopics(OWNER)]
START_MS = round(START_S * 1000)


def stored(message: Message) -> list[tuple[int, Mapping[str, object]]]:
    """Return what the service makes of a message: times and values."""
    readings = readings_from_payload(
        message.payload,
        content_type="application/json",
        device=DeviceRef(DEFAULT_TENANT, 7),
        device_name="lab",
        now_ms=START_MS + 3_600_000,
        limits=PayloadLimits(),
    )
    return [(reading.timestamp_ms, reading.values) for reading in readings]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("words", BOTH, ids=lambda words: type(words).__name__)
@pytest.mark.parametrize("count", [1, 3])
def test_service_reads_what_every_kind_of_device_sends(kind: Kind, words: Topics, count: int) -> None:
    profile = kind.make(Random(1), START_S)
    sent = [TimedReading(START_MS + n * 1000, profile.measure(START_S + n)) for n in range(count)]
    measured = [(r.timestamp_ms, {k: v for k, v in r.data.items() if v is not None}) for r in sent]
    assert stored(words.telemetry(sent)) == measured


@pytest.mark.parametrize("words", BOTH, ids=lambda words: type(words).__name__)
def test_every_topic_is_in_the_catalogue_and_of_its_direction(words: Topics) -> None:
    order = Order("c1", "reboot", {})
    said = [
        words.telemetry([TimedReading(START_MS, {"t": 1})]),
        words.heartbeat(),
        words.presence("online"),
        words.reported({"a": 1}),
        words.answer(order, Stage(0, "succeeded"), {}),
        words.will,
    ]
    for message in filter(None, said):
        found = catalogue.parse(message.topic)
        assert found is not None, message.topic
        assert found.entry.up, message.topic
    for name in words.subscriptions:
        found = catalogue.parse(name.replace("+", "1"))
        assert found is not None, name


def test_presence_and_will_are_the_predecessors_retained_words() -> None:
    words = BOTH[0]
    online = words.presence("online")
    assert online is not None
    assert words.will is not None
    assert online.topic == words.will.topic == "iotflow/devices/7/status/online"
    assert online.retain
    assert words.will.retain
    assert json.loads(words.will.payload) == {"status": "offline", "device_id": "7"}


def test_thingsboard_has_the_key_as_user_name_and_own_devices_the_id() -> None:
    assert [(words.username, words.password) for words in BOTH] == [("7", "the key"), ("the key", "")]


def test_commands_are_read_in_both_forms() -> None:
    own, foreign = BOTH
    told = b'{"type": "configure", "command_id": "c1", "config": {"a": 1}}'
    assert own.order("iotflow/devices/7/commands", told) == Order("c1", "configure", {"a": 1})
    called = b'{"method": "configure", "params": {"config": {"a": 1}}}'
    assert foreign.order("v1/devices/me/rpc/request/c1", called) == Order("c1", "configure", {"a": 1})


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_no_message_from_the_broker_breaks_a_device(payload: bytes) -> None:
    for words in BOTH:
        for topic in (*words.subscriptions, "v1/devices/me/rpc/request/1"):
            words.order(topic, payload)
            words.desired(topic, payload)


class Orders:
    """A device that carries out orders at once, however long they should take; what it told is remembered."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.told: list[tuple[str, str, str, Mapping[str, Any]]] = []
        self.waited_s: list[float] = []
        self.orderly = Orderly(self._tell, self.counts, self._later)

    def _tell(self, order: Order, stage: Stage, result: Mapping[str, Any]) -> None:
        self.told.append((order.id, stage.answer, stage.presence, result))

    def _later(self, after_s: float, call: Callable[[], None]) -> None:
        self.waited_s.append(after_s)
        call()


@pytest.mark.parametrize(("word", "state", "after_s"), [("reboot", "rebooting", 2), ("update", "updating", 3)])
def test_long_command_is_acknowledged_first_and_done_later(word: str, state: str, after_s: float) -> None:
    device = Orders()
    device.orderly.take(Order("c1", word, {}))
    assert device.told == [("c1", "acknowledged", state, {}), ("c1", "succeeded", "online", {})]
    assert device.waited_s == [after_s]


def test_configuration_is_taken_over_and_told() -> None:
    device = Orders()
    device.orderly.take(Order("c1", "configure", {"interval_s": 9}))
    assert device.told == [("c1", "succeeded", "", {"configuration": {"interval_s": 9}})]


def test_repeated_command_is_carried_out_once_and_one_without_an_id_each_time() -> None:
    device = Orders()
    for command_id in ("c1", "c1", "", ""):
        device.orderly.take(Order(command_id, "configure", {}))
    assert (device.counts.commands, device.counts.commands_carried_out) == (3, 3)


def test_unknown_command_is_rejected_by_its_name() -> None:
    device = Orders()
    device.orderly.take(Order("c1", "sing", {}))
    ((_, answer, _, result),) = device.told
    assert answer == "rejected"
    assert "'sing'" in result["error"]
    assert device.counts.commands_carried_out == 0


@pytest.mark.parametrize("flag", ["--id", "--device-id", "--name"])
def test_device_is_named_by_every_spelling(flag: str) -> None:
    assert mqtt_device_simulator.parser().parse_args([flag, "attic"]).name == "attic"


@pytest.mark.parametrize("flag", ["--count", "--device-count"])
def test_fleet_has_its_number_of_devices_with_types_in_turn(flag: str) -> None:
    parsed = mqtt_fleet_simulator.parser().parse_args([flag, "3", "--types", "smart_meter", "generic"])
    plans = mqtt_fleet_simulator.plans(parsed.types, parsed.count, interval_s=5)
    assert [plan.name for plan in plans] == ["smart_meter-0001", "generic-0002", "smart_meter-0003"]


@pytest.mark.parametrize("program", [mqtt_device_simulator, mqtt_fleet_simulator], ids=["device", "fleet"])
def test_defaults_are_the_predecessors(program: ModuleType) -> None:
    parsed = program.parser().parse_args([])
    options, where = run_options(parsed), broker(parsed)
    assert (options.duration_s, options.telemetry_interval_s) == (300, 5)
    assert (where.address, where.qos) == ("mqtt://localhost:1883", 1)


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["--tls"], "mqtts://localhost:8883"),
        (["--transport", "websockets"], "ws://localhost:9001"),
        (["--host", "edge", "--port", "81"], "mqtt://edge:81"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_port_follows_from_how_to_connect(arguments: list[str], address: str) -> None:
    assert broker(mqtt_device_simulator.parser().parse_args(arguments)).address == address


@pytest.mark.parametrize(
    ("arguments", "device_id", "topic_id"),
    [
        (["--username", "7", "--password", "k"], "7", "7"),
        (["--username", "7", "--password", "k", "--id", "attic"], "7", "7"),
        (["--username", "admin", "--password", "admin123", "--id", "attic"], "attic", "attic"),
    ],
    ids=["id", "id and name", "predecessor"],
)
def test_given_credentials_are_used_as_they_are(arguments: list[str], device_id: str, topic_id: str) -> None:
    parsed = mqtt_device_simulator.parser().parse_args(arguments)
    (plan,) = with_credentials([DevicePlan(parsed.name or "device", kind_called("generic"), 5)], parsed)
    assert plan.enrolled is not None
    assert (plan.enrolled.device_id, plan.enrolled.how) == (device_id, "given")
    words = topics(parsed, plan.enrolled, "generic")
    assert (words.username, words.password) == (parsed.username, parsed.password)
    assert words.subscriptions[0] == f"iotflow/devices/{topic_id}/commands"


@pytest.mark.parametrize("arguments", [["--qos", "3"], ["--port", "0"], ["--type", "toaster"], ["--transport", "udp"]])
def test_nonsense_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        mqtt_device_simulator.parser().parse_args(arguments)
    assert end.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_authority_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        mqtt_device_simulator.main(["--tls", "--ca", "/nowhere/ca.crt"])
    assert end.value.code == 2
    assert "/nowhere/ca.crt" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a/b", "lab 1", "+", "x" * 65])
def test_name_that_no_topic_can_hold_is_refused_without_asking(name: str) -> None:
    answer = Discovery(Broker("nowhere", 1)).register({"name": name}, idempotency_key="i")
    assert answer.status == 400
    assert "letters, digits" in answer.body["message"]


@pytest.mark.parametrize(("arguments", "stagger_s"), [([], 5.0), (["--no-stagger"], 0.0)], ids=["default", "none"])
def test_first_readings_are_spread_unless_told_otherwise(arguments: list[str], stagger_s: float) -> None:
    parsed = mqtt_fleet_simulator.parser().parse_args(arguments)
    assert mqtt_network(parsed, run_options(parsed), broker(parsed)).stagger_s == stagger_s


@pytest.mark.parametrize(
    ("arguments", "registry"),
    [
        ([], "http://service"),
        (["--discovery"], "mqtt://localhost:1883"),
        (["--username", "7"], "mqtt://localhost:1883"),
    ],
    ids=["http", "discovery", "given"],
)
def test_keys_are_kept_by_whom_they_are_from(arguments: list[str], registry: str) -> None:
    parsed = mqtt_fleet_simulator.parser().parse_args(["--url", "http://service", *arguments])
    assert mqtt_network(parsed, run_options(parsed), broker(parsed)).registry == registry
