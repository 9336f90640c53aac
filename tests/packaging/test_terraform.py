"""The same split, for those who deploy with Terraform."""

import json
from collections.abc import Mapping
from typing import Any

from chalicelib import api
from infra.aws.functions import functions

Json = Mapping[str, Any]


def test_every_endpoint_is_answered_by_its_own_function(terraform: Json) -> None:
    document = json.loads(terraform["locals"]["chalice_api_swagger"])
    for declared in api.endpoints():
        method = document["paths"][declared.path][declared.method.lower()]
        uri = method["x-amazon-apigateway-integration"]["uri"]
        assert uri == f"${{aws_lambda_function.{declared.name}.invoke_arn}}"


def test_every_function_has_its_own_role_and_may_be_invoked(terraform: Json) -> None:
    resources = terraform["resource"]
    assert resources["aws_lambda_function"].keys() == functions().keys()
    roles = [function["role"] for function in resources["aws_lambda_function"].values()]
    assert len(set(roles)) == len(functions())
    for declared in api.endpoints():
        assert f"{declared.name}_invoke" in resources["aws_lambda_permission"]


def test_the_consumer_reports_partial_batches(terraform: Json) -> None:
    (mapping,) = terraform["resource"]["aws_lambda_event_source_mapping"].values()
    assert mapping["function_response_types"] == ["ReportBatchItemFailures"]
    assert mapping["batch_size"] >= 100
    assert mapping["maximum_batching_window_in_seconds"] >= 1


def test_every_function_forgets_its_log(terraform: Json) -> None:
    """Chalice cannot put log groups into Terraform by itself."""
    groups = terraform["resource"]["aws_cloudwatch_log_group"].values()
    names = {function["function_name"] for function in terraform["resource"]["aws_lambda_function"].values()}
    assert {group["name"] for group in groups} == {f"/aws/lambda/{name}" for name in names}
    assert {group["retention_in_days"] for group in groups} == {30}
