"""AWS IoT Core: who is let in and to which topics, and what becomes of its rule's messages.

Source of the events: AWS IoT Core Developer Guide, "Defining your Lambda function" of custom authentication.
"""

import base64
import fnmatch
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import ingest, iot_core, tokens, topics
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.model import DEFAULT_TENANT, DeviceStatus, Scope
from chalicelib.topics import Kind
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, memory_services

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:iotflow-prod-authorize_mqtt"
IOT = "arn:aws:iot:eu-central-1:123456789012"


def asked(services: Services, *, username: str = "", password: str = "", client_id: str = "1") -> dict[str, Any]:
    encoded = base64.b64encode(password.encode()).decode()
    event = {
        "protocols": ["tls", "mqtt"],
        "protocolData": {"mqtt": {"username": username, "password": encoded, "clientId": client_id}},
        "connectionMetadata": {"id": "11111111-2222-3333-4444-555555555555"},
    }
    return iot_core.authorize(
        event,
        function_arn=ARN,
        credentials=services.credentials,
        devices=services.devices,
        pepper=services.pepper,
        now_ms=NOW_MS,
    )


def allows(answer: dict[str, Any], action: str, resource: str) -> bool:
    """Whether the answer's policies allow it, by IoT's rule that ``*`` stands for any characters."""
    return any(
        action in ([granted["Action"]] if isinstance(granted["Action"], str) else granted["Action"])
        and any(
            fnmatch.fnmatchcase(f"{IOT}:{resource}", pattern)
            for pattern in ([granted["Resource"]] if isinstance(granted["Resource"], str) else granted["Resource"])
        )
        for document in answer["policyDocuments"]
        for granted in document["Statement"]
    )


def concrete(pattern: str, device_id: int) -> str:
    return pattern.replace("{device_id}", str(device_id)).replace("{", "").replace("}", "")


@pytest.mark.parametrize("username", ["", "1", "kitchen", "1?x-amz-customauthorizer-name=iotflow-prod"])
def test_a_device_is_let_in_with_its_key(username: str) -> None:
    services = memory_services()
    answer = asked(services, username=username, password=a_device(services).key)
    assert answer["isAuthenticated"]
    assert answer["principalId"] == "device1"
    assert allows(answer, "iot:Connect", "client/1")


def test_the_key_may_be_the_user_name() -> None:
    services = memory_services()
    assert asked(services, username=a_device(services).key)["isAuthenticated"]


@pytest.mark.parametrize("client_id", ["2", "", "10", "token-1", "iotflow-bridge"])
def test_a_client_id_that_may_be_anothers_is_refused(client_id: str) -> None:
    """IoT Core ends an older connection of the same client id: a foreign one would be a way to cut others off."""
    services = memory_services()
    assert asked(services, password=a_device(services).key, client_id=client_id) == {"isAuthenticated": False}


def test_a_second_connection_of_a_device_has_a_client_id_of_its_own() -> None:
    services = memory_services()
    answer = asked(services, password=a_device(services).key, client_id="1-spare")
    assert allows(answer, "iot:Connect", "client/1-spare")
    assert not allows(answer, "iot:Connect", "client/1")


@pytest.mark.parametrize(
    ("username", "password"), [("2", ""), ("2", "iotf_dev_wrong"), ("", ""), ("1", "\N{SNOWMAN}"), ("admin", "admin")]
)
def test_a_wrong_credential_is_refused(username: str, password: str) -> None:
    services = memory_services()
    a_device(services)
    assert asked(services, username=username, password=password) == {"isAuthenticated": False}


def test_another_devices_name_is_refused_with_a_right_key() -> None:
    services = memory_services()
    key = a_device(services).key
    a_device(services, "attic")
    assert asked(services, username="attic", password=key) == {"isAuthenticated": False}


def test_an_inactive_or_removed_device_is_refused() -> None:
    services = memory_services()
    made = a_device(services)
    inactive = services.devices.update(replace(made.device, status=DeviceStatus.INACTIVE), now_ms=NOW_MS)
    assert asked(services, password=made.key) == {"isAuthenticated": False}
    services.devices.remove(inactive.ref, now_ms=NOW_MS)
    assert asked(services, password=made.key) == {"isAuthenticated": False}


def test_a_device_may_use_every_topic_of_the_catalogue_that_is_its_own_and_no_other() -> None:
    services = memory_services()
    answer = asked(services, password=a_device(services).key)
    own = [entry for entry in topics.CATALOGUE if "{device_id}" in entry.pattern]
    assert own
    for entry in own:
        action = "iot:Publish" if entry.up else "iot:Receive"
        assert allows(answer, action, f"topic/{concrete(entry.pattern, 1)}"), entry.name
        for foreign in (2, 11):
            assert not allows(answer, action, f"topic/{concrete(entry.pattern, foreign)}"), entry.name
    for wide in ("#", "iotflow/#", "iotflow/devices/+/commands", "$share/any/iotflow/devices/1/commands"):
        assert not allows(answer, "iot:Subscribe", f"topicfilter/{wide}")
    assert not allows(answer, "iot:Receive", "topic/iotflow/devices/1/telemetry")
    assert not allows(answer, "iot:Publish", "topic/iotflow/devices/1/config")


def test_the_policies_fit_into_what_iot_core_takes() -> None:
    """2048 characters a document, without white space; the largest id makes the longest one."""
    services = memory_services()
    made = a_device(services)
    answer = asked(services, password=made.key)
    grown = json.dumps(answer["policyDocuments"][0], separators=(",", ":")).replace("/1/", "/9007199254740991/")
    assert len(grown) < 2048


@pytest.mark.parametrize(("scope", "let_in"), [(Scope.TELEMETRY_READ, True), (Scope.DEVICES_READ, False)])
def test_a_token_hears_telemetry_and_may_say_nothing(scope: Scope, let_in: bool) -> None:
    services = memory_services()
    token = tokens.issue_token(
        "dashboard",
        frozenset({scope}),
        tenant=DEFAULT_TENANT,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=NOW_MS,
    )
    answer = asked(services, username="dashboard", password=token.text, client_id="token-a")
    assert answer["isAuthenticated"] is let_in
    if let_in:
        assert allows(answer, "iot:Subscribe", "topicfilter/iotflow/devices/+/telemetry")
        assert allows(answer, "iot:Receive", "topic/iotflow/devices/7/telemetry")
        assert not allows(answer, "iot:Publish", "topic/iotflow/devices/7/telemetry")
        assert not allows(answer, "iot:Receive", "topic/iotflow/devices/7/commands")


def ruled(said: bytes, topic: str = "iotflow/devices/1/telemetry", **changes: object) -> str:
    """What the rule puts into the queue."""
    document = {"payload": base64.b64encode(said).decode(), "topic": topic, "accepted_ms": NOW_MS}
    return json.dumps({**document, **changes})


def stored(services: Services, *bodies: str) -> None:
    for body in bodies:
        services.queue.send(body, readings=1, now_ms=NOW_MS)
    messages = services.queue.receive(limit=100, visibility_s=30, now_ms=NOW_MS)
    read = iot_core.reader(services.devices, services.limits)
    sinks = ingest.Sinks(services.queue, services.readings, services.devices, services.presence, read=read)
    ingest.store(messages, sinks, now_ms=NOW_MS + 60_000)


def test_a_message_of_the_rule_is_stored_with_the_time_of_its_arrival() -> None:
    services = memory_services()
    device = a_device(services).device
    stored(services, ruled(b'{"temperature": 21.5, "device_id": "kitchen"}'))
    assert services.readings.latest(device.ref) == {"temperature": (NOW_MS, 21.5)}


def test_a_repeated_message_of_the_rule_changes_nothing() -> None:
    services = memory_services()
    device = a_device(services).device
    stored(services, ruled(b'{"temperature": 21.5}'), ruled(b'{"temperature": 21.5}'))
    assert services.readings.count(device.ref) == 1


def test_binary_telemetry_passes_the_rule() -> None:
    services = memory_services()
    device = a_device(services).device
    pack = bytes.fromhex("81a2006b74656d706572617475726502182a")  # [{0: "temperature", 2: 42}]
    stored(services, ruled(pack, content_type="application/senml+cbor"))
    assert services.readings.latest(device.ref)["temperature"][1] == 42


@pytest.mark.parametrize(
    "body",
    [
        ruled(b"not json"),
        ruled(b'{"temperature": NaN}'),
        ruled(b'{"temperature": 1}', topic="iotflow/devices/77/telemetry"),
        ruled(b'{"temperature": 1}', topic="$aws/things/1/shadow/update"),
        ruled(b'{"temperature": 1, "device_id": "77"}'),
        ruled(b'{"temperature": 1}', payload="?"),
        ruled(b'{"temperature": 1}', accepted_ms="soon"),
        "{}",
        '{"payload": ',
    ],
)
def test_poison_of_the_rule_is_buried_with_its_reason_and_spares_its_neighbours(body: str) -> None:
    services = memory_services()
    device = a_device(services).device
    stored(services, ruled(b'{"temperature": 1}'), body, ruled(b'{"humidity": 2}'))
    (letter,) = services.queue.dead_letters()
    assert letter.reason.startswith("Unreadable message: ")
    assert set(services.readings.latest(device.ref)) == {"temperature", "humidity"}


def test_records_that_do_not_answer_are_no_refusal() -> None:
    """IoT Core is told nothing, and the client tries again: false would mean that its key is wrong."""
    services = memory_services()
    key = a_device(services).key

    class Silent:
        def get(self, _credential_id: str) -> None:
            raise Unavailable("The records do not answer")

    services.credentials = Silent()  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        asked(services, password=key)


def test_the_rule_takes_what_the_catalogue_calls_telemetry() -> None:
    """Its filter, ``iotflow/devices/+/telemetry/#``, hears exactly these."""
    pattern = iot_core.RULE_SQL.rpartition("FROM ")[2].strip("'")
    for entry in topics.CATALOGUE:
        heard = topics.matches(pattern, concrete(entry.pattern, 1))
        assert heard == (entry.kind is Kind.TELEMETRY), entry.name


def test_a_message_that_is_neither_ours_nor_the_rules_is_unreadable() -> None:
    services = memory_services()
    with pytest.raises(InvalidInput):
        iot_core.reader(services.devices, services.limits)("42")
