"""Policies derived from declarations, and the rules for a finished template."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import access
from chalicelib.declare import Worker, endpoint
from infra.aws import functions as deployed
from infra.aws import verify
from infra.aws.functions import Function, functions, lambda_name
from infra.aws.policies import policy
from infra.aws.rights import RIGHTS


def function(*uses: str) -> Function:
    return Function("probe", "module", frozenset(uses), 512, 10)


@given(st.sets(st.sampled_from(sorted(RIGHTS))))
def test_no_policy_names_every_resource(uses: set[str]) -> None:
    for statement in policy(function(*uses), "iotflow", "prod")["Statement"]:
        assert statement["Effect"] == "Allow"
        for resource in statement["Resource"]:
            name = resource.rpartition(":")[2] if ":log-group:" not in resource else resource.split("log-group:")[1]
            assert "iotflow" in name
            assert not name.startswith("*")


@given(st.sets(st.sampled_from(sorted(RIGHTS))), st.sampled_from(sorted(RIGHTS)))
def test_a_right_more_takes_none_away(uses: set[str], more: str) -> None:
    assert allowed(uses) <= allowed(uses | {more})


def allowed(uses: set[str]) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for statement in policy(function(*uses), "iotflow", "prod")["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def test_a_policy_of_one_stage_reaches_no_other() -> None:
    found = {resource for _, resource in allowed(set(RIGHTS))}
    assert not [resource for resource in found if "prod" not in resource]


def test_sending_telemetry_cannot_read_the_queue() -> None:
    queue = {action for action, resource in allowed({"queue:write"}) if ":sqs:" in resource}
    assert queue == {"sqs:SendMessage"}


def test_an_unknown_right_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"probe declares queue:eat"):
        policy(function("queue:eat"), "iotflow", "prod")


def test_every_declared_right_is_known() -> None:
    assert {use for each in functions().values() for use in each.uses} <= RIGHTS.keys()


def test_every_name_fits_lambda() -> None:
    assert max(len(lambda_name("iotflow", "local", name)) for name in functions()) <= verify.LONGEST_NAME


def test_an_endpoint_cannot_ask_for_more_time_than_api_gateway_waits() -> None:
    def handler(call: object) -> None:
        """Wait."""

    declared = endpoint(handler, method="GET", path="/x", access=access.ANYONE, tag="X", timeout_s=30)
    with pytest.raises(ValueError, match=r"timeout_s=30; API Gateway waits 29 seconds"):
        deployed._of_endpoint(declared, "module")


def test_a_worker_cannot_ask_for_more_time_than_lambda_gives() -> None:
    with pytest.raises(ValueError, match=r"after 900 seconds"):
        deployed._of_worker(Worker("w", (), memory_mb=128, timeout_s=901))


def finished(**changes: Any) -> dict[str, Any]:
    """A template with one route and one consumer; a change replaces a property of the function ``Read``."""
    uri = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Read.Arn}/invocations"
    method = {"x-amazon-apigateway-integration": {"uri": {"Fn::Sub": uri}}}
    mapping = {
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 1,
    }
    read = {"FunctionName": "iotflow-prod-read", "Role": {"Fn::GetAtt": ["ReadRole", "Arn"]}}
    read |= {"Events": {"Source": {"Type": "SQS", "Properties": mapping}}}
    statement = {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": ["arn:*:sqs:*:*:iotflow"]}
    return {
        "Resources": {
            "RestAPI": {
                "Type": "AWS::Serverless::Api",
                "Properties": {"DefinitionBody": {"paths": {"/read": {"get": method}}}},
            },
            "Read": {"Type": "AWS::Serverless::Function", "Properties": {**read, **changes}},
            "ReadInvokePermission": {"Type": "AWS::Lambda::Permission", "Properties": {}},
            "ReadRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {"Policies": [{"PolicyDocument": {"Statement": [statement]}}]},
            },
        }
    }


def test_a_good_template_has_no_problem() -> None:
    assert verify.problems(finished()) == []


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"BatchSize": 1000, "MaximumBatchingWindowInSeconds": 1}, "AWS would delete the messages that failed"),
        ({"FunctionResponseTypes": ["ReportBatchItemFailures"], "BatchSize": 1000}, "and a window"),
        (
            {
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "BatchSize": 10,
                "MaximumBatchingWindowInSeconds": 1,
            },
            "batches of 100",
        ),
    ],
)
def test_a_consumer_that_would_lose_or_crawl_is_refused(mapping: dict[str, Any], words: str) -> None:
    (problem,) = verify.problems(finished(Events={"Source": {"Type": "SQS", "Properties": mapping}}))
    assert words in problem


def test_a_right_to_everything_is_refused() -> None:
    template = finished()
    policies = template["Resources"]["ReadRole"]["Properties"]["Policies"]
    policies[0]["PolicyDocument"]["Statement"][0]["Resource"] = "*"
    assert verify.problems(template) == ["ReadRole may sqs:SendMessage on every resource"]


def test_a_shared_role_is_refused() -> None:
    template = finished()
    other = {"FunctionName": "iotflow-prod-write", "Role": {"Fn::GetAtt": ["ReadRole", "Arn"]}}
    template["Resources"]["Write"] = {"Type": "AWS::Serverless::Function", "Properties": other}
    assert verify.problems(template) == ["Write shares its role with Read"]


def test_a_route_without_a_function_or_permission_of_its_own_is_refused() -> None:
    template = finished()
    paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    paths["/other"] = paths["/read"]
    assert verify.problems(template) == ["/other get shares the function Read with /read get"]
    del template["Resources"]["ReadInvokePermission"], paths["/other"]
    assert verify.problems(template) == ["API Gateway may not invoke Read"]
    del template["Resources"]["Read"]
    assert verify.problems(template) == ["/read get has no function of its own"]


def test_a_template_that_cloudformation_would_not_take_is_refused() -> None:
    template = finished()
    filling = {f"Filling{number}": {"Type": "AWS::SNS::Topic", "Properties": {}} for number in range(500)}
    template["Resources"] |= filling
    assert verify.problems(template) == ["there are 506 resources; CloudFormation takes 500"]


def test_a_name_that_lambda_would_not_take_is_refused() -> None:
    (problem,) = verify.problems(finished(FunctionName="x" * 65))
    assert "more than 64 characters" in problem
