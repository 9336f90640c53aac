"""Every function touches only what it declares: a port's method that no declared right covers is an error."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import app as deployable
from chalicelib import api
from chalicelib.declare import Endpoint
from chalicelib.wiring import Services, use
from infra.aws.functions import functions
from infra.aws.rights import RIGHTS, methods_of
from infra.local.lambda_context import LambdaContext
from infra.local.source_events import scheduled_event, sqs_event
from tests.builders import NOW_MS, a_device, memory_services, received, send
from tests.packaging.calls import MORE, SAMPLES, proxy_event
from tests.packaging.cast import words

PORTS = tuple(sorted({use.partition(":")[0] for use in RIGHTS}))
ENDPOINTS = [pytest.param(declared, id=declared.name) for declared in api.endpoints()]


class Guard:
    """A port that notes every method that is called without the right to it, and lets it through."""

    def __init__(self, port: Any, name: str, allowed: frozenset[str], noted: set[str]) -> None:
        self._port = port
        self._name = name
        self._allowed = allowed
        self._noted = noted

    def __getattr__(self, method: str) -> Any:
        if method not in self._allowed:
            self._noted.add(f"{self._name}.{method}")
        return getattr(self._port, method)


def without_rights(services: Services, name: str, act: Callable[[], Any]) -> tuple[Any, set[str]]:
    """What *act* returns, and the port methods that it used beyond the rights of the function *name*."""
    uses, noted = functions()[name].uses, set[str]()
    services.warm()
    for port in PORTS:
        setattr(services, port, Guard(getattr(services, port), port, methods_of(uses, port), noted))
    with use(services):
        return act(), noted


def test_every_endpoint_has_a_sample_call() -> None:
    """A new endpoint comes with a call that proves its rights."""
    assert SAMPLES.keys() == {declared.name for declared in api.endpoints()}


@pytest.mark.parametrize("declared", ENDPOINTS)
def test_an_endpoint_touches_only_what_it_declares(declared: Endpoint) -> None:
    services, sample = memory_services(stage="prod", enrollment_token="enrol"), SAMPLES[declared.name]
    event = proxy_event(declared, sample, words(services))
    event["headers"] |= {"X-Enrollment-Token": "enrol", "Idempotency-Key": "once", "Prefer": "wait=1"}
    answer, noted = without_rights(services, declared.name, lambda: invoke(event, declared.name))
    assert answer["statusCode"] == sample.status, answer["body"]
    assert noted == set()


@pytest.mark.parametrize("declared", ENDPOINTS)
def test_a_refusal_touches_only_what_is_declared(declared: Endpoint) -> None:
    """A wrong credential is counted and recorded under the function's rights, too."""
    services = memory_services(stage="prod", enrollment_token="enrol")
    event = proxy_event(declared, SAMPLES[declared.name], words(services))
    event["headers"] |= {"X-API-Key": "iotf_d_00000000_wrong", "Idempotency-Key": "once"}
    _, noted = without_rights(services, declared.name, lambda: invoke(event, declared.name))
    assert noted == set()


def test_the_consumer_touches_only_what_it_declares() -> None:
    """Stored, of a removed device, and poison: the three fates of a message."""
    services = memory_services()
    device, removed = a_device(services).device, a_device(services, "gone").device
    send(services, device)
    send(services, removed)
    services.queue.send("no message of ours", readings=1, now_ms=NOW_MS)
    services.devices.remove(removed.ref, now_ms=NOW_MS)
    event = sqs_event(received(services), queue_name="iotflow-telemetry-prod", now_ms=NOW_MS)
    _, noted = without_rights(services, "store_readings", lambda: deployable.store_readings(event, context("x")))
    assert noted == set()
    assert services.readings.count(device.ref) == 1


def test_the_authorizer_of_mqtt_touches_only_what_it_declares() -> None:
    services = memory_services()
    mqtt = {"username": "", "password": base64.b64encode(a_device(services).key.encode()).decode(), "clientId": "1"}
    event = {"protocolData": {"mqtt": mqtt}}
    answer, noted = without_rights(
        services, "authorize_mqtt", lambda: deployable.authorize_mqtt(event, context("authorize_mqtt"))
    )
    assert answer["isAuthenticated"]
    assert noted == set()


def test_the_schedule_touches_only_what_it_declares() -> None:
    services = memory_services(retention_days=(("", 1),))
    services.devices.remove(a_device(services, "gone").device.ref, now_ms=0)
    a_device(services)
    event = scheduled_event("keep_up", event_id="1", now_ms=NOW_MS)
    _, noted = without_rights(services, "keep_up", lambda: deployable.keep_up(event, context("keep_up")))
    assert noted == set()


def invoke(event: Mapping[str, Any], name: str) -> dict[str, Any]:
    answer: dict[str, Any] = deployable.app(dict(event), context(name))
    return answer


def context(name: str) -> LambdaContext:
    return LambdaContext(name, "request", 10.0)


class Witness:
    """A port that notes every method that is called."""

    def __init__(self, port: Any, name: str, noted: set[str]) -> None:
        self._port = port
        self._name = name
        self._noted = noted

    def __getattr__(self, method: str) -> Any:
        self._noted.add(f"{self._name}.{method}")
        return getattr(self._port, method)


@pytest.mark.parametrize("declared", ENDPOINTS)
def test_an_endpoint_declares_nothing_that_it_does_not_need(declared: Endpoint) -> None:
    """Each declared right is used by a call, by its repetition, by a further call, or by its refusal."""
    services, sample = memory_services(stage="prod", enrollment_token="enrol"), SAMPLES[declared.name]
    known = words(services)
    event = proxy_event(declared, sample, known)
    event["headers"] |= {"X-Enrollment-Token": "enrol", "Idempotency-Key": "once", "Prefer": "wait=1"}
    more = [proxy_event(declared, each, known) for each in MORE.get(declared.name, ())]
    refused = event | {"headers": event["headers"] | {"X-API-Key": "iotf_d_00000000_wrong"}}
    noted = set[str]()
    for port in PORTS:
        setattr(services, port, Witness(getattr(services, port), port, noted))
    with use(services):
        for each in (event, event, *more, refused):
            invoke(each, declared.name)
    assert {use for use in declared.uses if not _methods(use) & noted} == set()


def _methods(right: str) -> set[str]:
    return {f"{right.partition(':')[0]}.{method}" for method in RIGHTS[right].methods}
