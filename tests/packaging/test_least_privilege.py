"""Every function runs under exactly its own policy, and misses each action that is taken away from it."""

import base64
import json
import logging
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

import app as deployable
from chalicelib import api, commands, devices, twin
from chalicelib.adapters.sqs_calls import SqsCalls
from chalicelib.commands import KEPT_MS, Order
from chalicelib.errors import Unavailable
from chalicelib.model import CommandStatus, DeviceRef
from chalicelib.upkeep import COUNTER_HOURS_MS
from chalicelib.wiring import Services, use
from infra.aws.files import FOLDER
from infra.aws.functions import EDGE, functions
from infra.local.lambda_context import LambdaContext
from infra.local.source_events import scheduled_event, sqs_event
from tests.builders import a_device, a_reading, send
from tests.packaging import stage_on_moto
from tests.packaging.calls import MORE, SAMPLES, proxy_event
from tests.packaging.cast import words
from tests.packaging.stage_on_moto import STAGE, Stage

POLICIES: dict[str, Any] = json.loads((FOLDER / f"policy-{STAGE}.json").read_text(encoding="utf-8"))
ENDPOINTS = {declared.name: declared for declared in api.endpoints()}
LONG = "x" * 600_001
"""Body of a letter that takes parts."""


class World(NamedTuple):
    """A furnished stage, and what stands for the words in braces of the samples."""

    stage: Stage
    words: dict[str, str]
    removed: DeviceRef


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with stage_on_moto.running() as stage:
        services = stage.services()
        known, now_ms = words(services), time.time_ns() // 1_000_000
        device = services.devices.get(DeviceRef("default", int(known["device_id"])))
        assert device is not None
        removed = a_device(services, "gone").device
        for each, sent_ms in ((device, now_ms - 2 * KEPT_MS), (device, 0), (removed, now_ms)):
            order = Order("reboot", None, ttl_s=1, command_id=f"at-{sent_ms}")
            commands.send(order, each, commands=services.commands, now_ms=sent_ms)
        services.commands.advance(device.ref, "at-0", CommandStatus.SUCCEEDED, now_ms=0)
        twin.desire(removed.ref, {"on": True}, twins=services.twins, now_ms=now_ms)
        devices.remove(
            removed.ref, devices=services.devices, presence=services.presence, readings=services.readings, now_ms=0
        )
        services.counters.add("old", now_ms=now_ms - 2 * COUNTER_HOURS_MS)
        services.counters.flush()
        known["letter_id"] = _long_letter(services, now_ms)
        stage.stored = [a_reading(device, now_ms - 1000)]
        stage.keep()
        yield World(stage, known, removed.ref)


def _long_letter(services: Services, now_ms: int) -> str:
    services.queue.send(LONG, readings=1, now_ms=now_ms)
    (message,) = services.queue.receive(limit=1, visibility_s=30, now_ms=now_ms)
    services.queue.bury(message.receipt, reason="no such thing", now_ms=now_ms)
    return next(letter.id for letter in services.queue.dead_letters() if letter.body == LONG)


def run(
    name: str, policy: Mapping[str, Any], world: World, caplog: pytest.LogCaptureFixture
) -> Generator[tuple[Any, list[str]]]:
    """Call the function *name* under *policy*, in all the ways that take rights: what is seen of each call."""
    world.stage.restore()
    services = world.stage.services(retention_days=(("", 365),))
    act = WORKERS.get(name, _endpoint)
    if name == "store_readings":
        _fill_queue(services, world)
    if any(use.startswith("queue:") for use in functions()[name].uses):
        world.stage.spend()
    caplog.clear()
    with use(services), world.stage.under(policy), caplog.at_level(logging.WARNING):
        for seen in act(name, services, world):
            yield seen, [record.message for record in caplog.records if "is a dead letter" not in record.message]


def _endpoint(name: str, _services: Services, world: World) -> Iterator[object]:
    """A call, the same again, further ones, with a wrong key, with a token that may not."""
    declared = ENDPOINTS[name]
    event = proxy_event(declared, SAMPLES[name], world.words)
    event["headers"] |= {"X-Enrollment-Token": "enrol", "Idempotency-Key": "once"}
    nobody = {key: value for key, value in event["headers"].items() if key not in {"X-API-Key", "Authorization"}}
    more = [proxy_event(declared, each, world.words) for each in MORE.get(name, ())]
    refused = event | {"headers": nobody | {"X-API-Key": "iotf_d_00000000_wrong"}}
    forbidden = event | {"headers": nobody | {"Authorization": f"Bearer {world.words['spare']}"}}
    for each in (event, event, *more, refused, forbidden):
        answer = deployable.app(dict(each), context(name))
        yield answer["statusCode"], shape(answer)


def shape(answer: Mapping[str, Any]) -> object:
    """The body with nothing of its values but whether they are there."""

    def of(value: object) -> object:
        if isinstance(value, dict):
            return {key: of(each) for key, each in value.items()}
        return value is None

    return of(json.loads(answer["body"])) if answer["headers"].get("Content-Type") == "application/json" else None


def _fill_queue(services: Services, world: World) -> None:
    """A message that is stored, one of a removed device, one that says nothing, and one of IoT Core's rule."""
    now_ms = time.time_ns() // 1_000_000
    (reading,) = world.stage.stored
    device = services.devices.get(reading.device)
    assert device is not None
    send(services, device, a_reading(device, now_ms))
    gone = a_reading(device, now_ms)._replace(device=world.removed)
    send(services, device, gone)
    services.queue.send("no message of ours", readings=1, now_ms=now_ms)
    payload = base64.b64encode(b'{"temperature": 21.5}').decode()
    topic = f"iotflow/devices/{device.id}/telemetry"
    rule = {"payload": payload, "topic": topic, "accepted_ms": now_ms, "content_type": None}
    services.queue.send(json.dumps(rule), readings=0, now_ms=now_ms)


def _consume(name: str, services: Services, _world: World) -> Iterator[object]:
    """With Lambda's pollers before and after it."""
    queue = SqsCalls(services.settings.queue_url)
    try:
        queue.depth()
        messages = queue.receive(limit=10, visibility_s=30, wait_s=0)
        now_ms = time.time_ns() // 1_000_000
        event = sqs_event(messages, queue_name=services.settings.queue_url.rpartition("/")[2], now_ms=now_ms)
        yield deployable.store_readings(event, context(name))
        queue.delete([message.receipt for message in messages])
    except Unavailable as error:
        yield error.message


def _authorize(name: str, _services: Services, world: World) -> Iterator[object]:
    password = base64.b64encode(world.words["device"].encode()).decode()
    event = {"protocolData": {"mqtt": {"username": "", "password": password, "clientId": world.words["device_id"]}}}
    try:
        yield deployable.authorize_mqtt(event, context(name))["isAuthenticated"]
    except Unavailable as error:
        yield error.message


def _keep_up(name: str, _services: Services, _world: World) -> Iterator[object]:
    event = scheduled_event(name, event_id="1", now_ms=time.time_ns() // 1_000_000)
    try:
        yield deployable.keep_up(event, context(name))
    except Unavailable as error:
        yield error.message


WORKERS = {"store_readings": _consume, "authorize_mqtt": _authorize, "keep_up": _keep_up}


def context(name: str) -> LambdaContext:
    return LambdaContext(name, "request", 10.0)


def without(policy: Mapping[str, Any], action: str, resource: str) -> Mapping[str, Any]:
    """The policy less one action on one resource."""
    less = [
        statement
        | {"Action": [each for each in statement["Action"] if (each, statement["Resource"]) != (action, [resource])]}
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": [statement for statement in less if statement["Action"]]}


def granted(policy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every action and its resource, but those on the log, which Lambda writes."""
    return [
        (action, resource)
        for statement in policy["Statement"]
        for resource in statement["Resource"]
        for action in statement["Action"]
        if not action.startswith("logs:")
    ]


def test_every_function_has_a_policy_and_a_call() -> None:
    assert POLICIES.keys() - {EDGE} == SAMPLES.keys() | WORKERS.keys()


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("PATCH", 405)])
def test_the_function_for_all_other_methods_calls_nothing(world: World, method: str, status: int) -> None:
    """Its policy has no rights but those on its log."""
    event = proxy_event(ENDPOINTS["submit_telemetry"], SAMPLES["submit_telemetry"], world.words)
    event["httpMethod"] = event["requestContext"]["httpMethod"] = method
    with use(world.stage.services()), world.stage.under(POLICIES[EDGE]):
        assert deployable.app(event, context(EDGE))["statusCode"] == status
    assert granted(POLICIES[EDGE]) == []
    assert world.stage.calls == []


def test_moto_refuses_what_the_role_may_not(world: World) -> None:
    """Beside the check of ours, which a client of another session does not meet."""
    client = Session().create_client("sqs")
    with world.stage.under(POLICIES["read_root"]), pytest.raises(ClientError, match="not authorized to perform"):
        client.receive_message(QueueUrl=world.stage.services().settings.queue_url)


@pytest.mark.parametrize("name", [*SAMPLES, *WORKERS])
def test_a_function_needs_its_whole_policy_and_nothing_else(
    name: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It does its work in silence; with any one action less it fails, tells less, or warns of what it could not do."""
    policy = POLICIES[name]
    whole = list(run(name, policy, world, caplog))
    assert world.stage.denied == set()
    assert [warnings for _, warnings in whole if warnings] == []
    assert whole[0][0] == EXPECTED[name] if name in EXPECTED else whole[0][0][0] == SAMPLES[name].status
    for action, resource in granted(policy):
        less = run(name, without(policy, action, resource), world, caplog)
        missed = any(one != other for one, other in zip(less, whole, strict=True))
        less.close()
        assert missed, f"{name} does not miss {action} on {resource}"
        assert {each for each, _ in world.stage.denied} == {action}


EXPECTED = {"store_readings": {"batchItemFailures": []}, "authorize_mqtt": True, "keep_up": None}
