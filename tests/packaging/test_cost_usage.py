"""The bill counts what a reading on its way to the store calls on AWS."""

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

import app as deployable
from chalicelib import api
from chalicelib.adapters.sqs_calls import SqsCalls
from chalicelib.model import Device
from chalicelib.wiring import Services, use
from infra.cost import usage
from infra.local.lambda_context import LambdaContext
from infra.local.source_events import sqs_event
from tests.builders import a_device, send
from tests.packaging import stage_on_moto
from tests.packaging.calls import SAMPLES, proxy_event
from tests.packaging.stage_on_moto import Stage

READS, WRITES = ("GetItem", "BatchGetItem", "Query"), ("PutItem", "UpdateItem", "DeleteItem")
MESSAGES = 4
ENDPOINTS = {declared.name: declared for declared in api.endpoints()}


@pytest.fixture
def stage() -> Iterator[Stage]:
    with stage_on_moto.running() as running:
        yield running


def counted(stage: Stage, kinds: tuple[str, ...]) -> int:
    return sum(Counter(stage.calls)[kind] for kind in kinds)


def test_a_post_calls_what_the_bill_says(stage: Stage) -> None:
    """Of a process that serves already: its first call reads the pepper and writes the counters of a minute."""
    services = stage.services()
    words = {"device": a_device(services).key, "device_id": "1"}
    event = proxy_event(ENDPOINTS[usage.ACCEPT], SAMPLES[usage.ACCEPT], words)
    for _ in range(2):
        stage.calls.clear()
        with use(services):
            answer = deployable.app(dict(event), LambdaContext(usage.ACCEPT, "request", 10.0))
        assert answer["statusCode"] == 201
    assert counted(stage, READS) == usage.READS_A_REQUEST
    assert counted(stage, WRITES) == usage.WRITES_A_REQUEST
    assert len(stage.calls) == usage.READS_A_REQUEST + usage.WRITES_A_REQUEST + usage.SENDS_A_REQUEST


def consume(stage: Stage, services: Services) -> None:
    """Hand everything in the queue to a consumer that has just started."""
    url = services.settings.queue_url
    messages = SqsCalls(url).receive(limit=MESSAGES, visibility_s=30, wait_s=0)
    assert len(messages) == MESSAGES
    event = sqs_event(messages, queue_name=url.rpartition("/")[2], now_ms=time.time_ns() // 1_000_000)
    stage.calls.clear()
    with use(stage.services()):
        answer = deployable.store_readings(event, LambdaContext("store_readings", "request", 10.0))
    assert answer == {"batchItemFailures": []}


def some_devices(services: Services) -> list[Device]:
    return [a_device(services, f"device {number}").device for number in range(MESSAGES)]


def test_a_stored_message_calls_what_the_bill_says(stage: Stage) -> None:
    """Each of another device, which costs most. Lambda's pollers, not the function, receive and delete."""
    services = stage.services()
    for device in some_devices(services):
        send(services, device)
    consume(stage, services)
    assert counted(stage, READS) == MESSAGES * usage.READS_A_STORED_MESSAGE
    assert counted(stage, WRITES) == MESSAGES * usage.WRITES_A_STORED_MESSAGE + usage.WRITES_A_RUN
    assert len(stage.calls) == counted(stage, READS) + counted(stage, WRITES)


def test_a_stored_message_of_iot_core_calls_what_the_bill_says(stage: Stage) -> None:
    services = stage.services()
    payload = base64.b64encode(b'{"temperature": 21.5}').decode()
    for device in some_devices(services):
        rule = {"payload": payload, "topic": f"iotflow/devices/{device.id}/telemetry", "accepted_ms": 1_800_000_000_000}
        services.queue.send(json.dumps(rule), readings=0, now_ms=0)
    consume(stage, services)
    assert counted(stage, READS) == MESSAGES * usage.READS_A_RULE_MESSAGE
    assert counted(stage, WRITES) <= MESSAGES * usage.WRITES_A_STORED_MESSAGE + usage.WRITES_A_RUN
    assert len(stage.calls) == counted(stage, READS) + counted(stage, WRITES)
