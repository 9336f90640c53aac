"""Every packaged function in a clean process: only the zip, its environment, and AWS's runtime client.

Records live in memory here, so those calls that need a credential end as 401 in our words; that each function also
does its work under its rights is in `test_declared_rights`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app import WORKERS
from chalicelib import api
from infra.aws import lambda_process, packaging
from infra.aws.functions import EDGE, functions
from infra.aws.lambda_process import Recorder, Run
from infra.local.source_events import scheduled_event, sqs_event
from tests.builders import NOW_MS, a_device, memory_services, received, send
from tests.packaging.calls import NOBODY, SAMPLES, proxy_event

MEMORY = {
    "IOTFLOW_DEVICES": "memory",
    "IOTFLOW_QUEUE": "memory",
    "IOTFLOW_STORE": "memory",
    "IOTFLOW_PEPPER": "a pepper of tests",
}
WORDS = {
    "device": "iotf_d_00000000_wrong",
    "admin": "iotf_d_00000000_wrong",
    "device_id": "1",
    "key_id": "00000000",
    "token_id": "00000000",
    "letter_id": "1",
    "command_id": "1",
}
WORKER_NAMES = {worker.name for worker in WORKERS}
MODULES = {module: api.resource(module).endpoints for module in api.MODULES}


@pytest.fixture(scope="session")
def runtime(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lambda_process.provide(environment, tmp_path_factory.mktemp("runtime") / "packages")


def invoked(task: Path, runtime: Path, function: str, *events: Any) -> Run:
    """The run of a function with its own variables, but records in memory."""
    variables = functions()[function].environment("prod") | MEMORY | {"IOTFLOW_ENROLLMENT_TOKEN": "enrol"}
    handler = f"app.{function}" if function in WORKER_NAMES else "app.app"
    run = lambda_process.run(packaging.interpreter(), task, runtime, handler, events, variables)
    assert run.errors == [], run.log
    assert len(run.answers) == len(events), run.log
    return run


@pytest.mark.parametrize("module", MODULES)
def test_a_function_answers_every_route_of_its_module(
    task: Path, runtime: Path, module: str, record_property: Recorder
) -> None:
    """Functions of one module differ in their rights only, and are run in one process."""
    declared = MODULES[module]
    events = [proxy_event(each, SAMPLES[each.name], WORDS) for each in declared]
    for event in events:
        event["headers"]["X-Enrollment-Token"] = "enrol"
    run = invoked(task, runtime, declared[0].name, *events)
    for each, answer in zip(declared, run.answers, strict=True):
        sample = SAMPLES[each.name]
        assert answer["statusCode"] == (sample.status if sample.who == NOBODY else 401), answer
        assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
    record_property("init_ms", round(run.init_ms))
    record_property("handled_ms", [round(each, 1) for each in run.handled_ms])
    record_property("peak_mb", round(run.peak_mb))


def test_a_function_imports_its_own_module_only(task: Path, runtime: Path) -> None:
    """A route of another resource is unknown to it: that it is refused proves the slim start."""
    (other,) = (each for each in MODULES["chalicelib.api.system"] if each.name == "read_root")
    run = invoked(task, runtime, "submit_telemetry", proxy_event(other, SAMPLES["read_root"], WORDS))
    assert run.answers[0]["statusCode"] == 405


def test_the_catch_all_answers_options_and_wrong_methods_of_every_route(task: Path, runtime: Path) -> None:
    routes = [each for declared in MODULES.values() for each in declared]
    events = [proxy_event(each, SAMPLES[each.name], WORDS) for each in routes for _ in range(2)]
    for at, event in enumerate(events):
        event["httpMethod"] = event["requestContext"]["httpMethod"] = ("OPTIONS", "TRACE")[at % 2]
    run = invoked(task, runtime, EDGE, *events)
    assert [answer["statusCode"] for answer in run.answers] == [204, 405] * len(routes)
    assert {json.loads(answer["body"])["code"] for answer in run.answers[1::2]} == {"method_not_allowed"}


def test_the_consumer_takes_a_batch(task: Path, runtime: Path, record_property: Recorder) -> None:
    """Of a device that nobody knows here: the readings are discarded, no message fails."""
    services = memory_services()
    send(services, a_device(services).device)
    event = sqs_event(received(services), queue_name="iotflow-telemetry-prod", now_ms=NOW_MS)
    run = invoked(task, runtime, "store_readings", event)
    assert run.answers == [{"batchItemFailures": []}]
    record_property("init_ms", round(run.init_ms))


def test_the_authorizer_of_mqtt_answers(task: Path, runtime: Path) -> None:
    event = {"protocolData": {"mqtt": {"username": "1", "password": "", "clientId": "1"}}}
    assert invoked(task, runtime, "authorize_mqtt", event).answers == [{"isAuthenticated": False}]


def test_the_schedule_runs(task: Path, runtime: Path) -> None:
    run = invoked(task, runtime, "keep_up", scheduled_event("keep_up", event_id="1", now_ms=NOW_MS))
    assert run.answers == [None]
