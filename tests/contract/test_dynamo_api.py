"""Every endpoint answers with its records in DynamoDB as it does elsewhere."""

from typing import Any

import pytest

import app as deployable
from chalicelib import api
from chalicelib.wiring import Services, use
from infra.local.lambda_context import LambdaContext
from tests.builders import memory_services
from tests.contract.dynamo_tables import Tables
from tests.packaging.calls import SAMPLES, proxy_event
from tests.packaging.cast import words

ENDPOINTS = {declared.name: declared for declared in api.endpoints()}


@pytest.fixture
def services(tables: Tables) -> Services:
    """Records in DynamoDB, all else in memory."""
    made = memory_services(stage="prod", enrollment_token="enrol", devices="dynamodb", table="records")
    made._table = tables.new("dynamodb")
    return made


@pytest.mark.parametrize("name", SAMPLES)
def test_an_endpoint_answers_with_its_records_in_dynamodb(name: str, services: Services) -> None:
    """Asked twice under one idempotency key: the second answer is as good as the first."""
    sample = SAMPLES[name]
    with use(services):
        event = proxy_event(ENDPOINTS[name], sample, words(services))
        event["headers"] |= {"X-Enrollment-Token": "enrol", "Idempotency-Key": "once", "Prefer": "wait=1"}
        first = call(event, name)
        assert first["statusCode"] == sample.status, first["body"]
        second = call(event, name)
    if ENDPOINTS[name].idempotent == "answer":
        assert (second["statusCode"], second["body"]) == (first["statusCode"], first["body"])


def call(event: dict[str, Any], name: str) -> dict[str, Any]:
    answer: dict[str, Any] = deployable.app(dict(event), LambdaContext(name, "request", 10.0))
    return answer
