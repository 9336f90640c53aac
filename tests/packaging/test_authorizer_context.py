"""Every function authenticates by itself: what an authorizer in front of it may have said counts for nothing."""

from typing import Any

import pytest

import app as deployable
from chalicelib import api
from chalicelib.access import Who
from chalicelib.declare import Endpoint
from chalicelib.wiring import use
from infra.local.lambda_context import LambdaContext
from tests.builders import memory_services
from tests.packaging.calls import SAMPLES, proxy_event
from tests.packaging.cast import words

GUARDED = [declared for declared in api.endpoints() if declared.access.who is not Who.ANYONE]


@pytest.mark.parametrize("declared", [pytest.param(each, id=each.name) for each in GUARDED])
def test_no_endpoint_trusts_the_context_of_an_authorizer(declared: Endpoint) -> None:
    """A call without a credential is refused, though its context names an administrator and the device."""
    services = memory_services(stage="prod", enrollment_token="enrol")
    known = words(services)
    event = proxy_event(declared, SAMPLES[declared.name], known)
    event["headers"] = {"Content-Type": "application/json"}
    event["multiValueHeaders"] = {"Content-Type": ["application/json"]}
    claims: dict[str, Any] = {"scope": "admin", "device_id": known["device_id"], "sub": "token:ops"}
    event["requestContext"]["authorizer"] = {"principalId": "token:ops", **claims, "claims": claims}
    event["requestContext"]["identity"] |= {"apiKey": known["device"], "user": "token:ops"}
    with use(services):
        answer = deployable.app(event, LambdaContext(declared.name, "request", 10.0))
    assert answer["statusCode"] == 401, answer["body"]
