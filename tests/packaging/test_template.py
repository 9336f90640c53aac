"""The template that CloudFormation gets for prod."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chalice.utils import to_cfn_resource_name

from chalicelib import api
from infra.aws import files, verify
from infra.aws.functions import EDGE, functions
from infra.aws.rights import RIGHTS

Json = Mapping[str, Any]

TRANSLATE = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
sam = json.load(open(sys.argv[1]))
for resource in sam["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
    if resource["Type"] == "AWS::Serverless::LayerVersion":
        resource["Properties"]["ContentUri"] = {"Bucket": "bucket", "Key": "key"}
json.dump(Translator({}, Parser()).translate(sam, {"AWS::Region": "eu-central-1"}), sys.stdout)
"""


def of(template: Json, name: str) -> Any:
    return template["Resources"][to_cfn_resource_name(name)]["Properties"]


def test_generated_files_are_current() -> None:
    """Else: python3 -m infra aws policies."""
    assert [path.name for path in files.stale()] == []


def test_template_has_no_problem(template: Json) -> None:
    assert verify.problems(template) == []


def test_every_endpoint_is_answered_by_its_own_function(template: Json) -> None:
    expected = {
        (declared.path, declared.method.lower()): to_cfn_resource_name(declared.name) for declared in api.endpoints()
    }
    assert verify.route_functions(template) == expected


@pytest.mark.parametrize("name", sorted(functions().keys() - {EDGE}))
def test_a_function_is_what_its_declaration_says(template: Json, name: str) -> None:
    declared, made = functions()[name], of(template, name)
    assert (made["MemorySize"], made["Timeout"]) == (declared.memory_mb, declared.timeout_s)
    assert made["FunctionName"] == f"iotflow-prod-{name}"
    assert made["Runtime"] == "python3.13"
    assert made["Architectures"] == ["arm64"]
    assert made["Environment"]["Variables"]["ENDPOINT_MODULE"] == declared.module
    assert made["Environment"]["Variables"]["IOTFLOW_STAGE"] == "prod"
    assert made["Role"] == {"Fn::GetAtt": [to_cfn_resource_name(f"{name}_role"), "Arn"]}


@pytest.mark.parametrize("name", sorted(functions()))
def test_a_role_has_exactly_the_actions_of_what_is_used(template: Json, name: str) -> None:
    wanted = {action for use in functions()[name].uses for found in RIGHTS[use].actions.values() for action in found}
    (policy,) = of(template, f"{name}_role")["Policies"]
    granted = {action for statement in policy["PolicyDocument"]["Statement"] for action in statement["Action"]}
    assert {action for action in granted if not action.startswith("logs:")} == wanted


def test_head_goes_to_the_function_of_get_and_other_methods_to_the_one_without_rights(template: Json) -> None:
    paths = of(template, "RestAPI")["DefinitionBody"]["paths"]
    for path, methods in paths.items():
        assert ("head" in methods) == ("get" in methods), path
        if "get" in methods:
            assert methods["head"] == methods["get"]
        uri = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        assert "${APIHandler.Arn}" in uri
    (policy,) = of(template, f"{EDGE}_role")["Policies"]
    assert [each["Action"][0].split(":")[0] for each in policy["PolicyDocument"]["Statement"]] == ["logs"]


def test_every_function_has_a_log_group_that_forgets(template: Json) -> None:
    """Chalice names the catch-all's group after a resource that does not exist."""
    resources = template["Resources"]
    groups = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::Logs::LogGroup"}
    assert groups.pop("MqttUndelivered")["RetentionInDays"] == 365
    owners = {group["LogGroupName"]["Fn::Sub"].partition("${")[2].rstrip("}") for group in groups.values()}
    assert owners == {name for name, each in resources.items() if each["Type"] == "AWS::Serverless::Function"}
    assert {group["RetentionInDays"] for group in groups.values()} == {30}


def test_the_queue_waits_for_the_consumer_and_then_gives_up_on_a_message(template: Json) -> None:
    queue, consumer = of(template, "TelemetryQueue"), of(template, "store_readings")
    (mapping,) = (event["Properties"] for event in consumer["Events"].values())
    assert mapping["Queue"]["Fn::Sub"].endswith(f":{queue['QueueName']}")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= 6 * consumer["Timeout"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    receives = consumer["Environment"]["Variables"]["IOTFLOW_MAX_RECEIVES"]
    assert str(queue["RedrivePolicy"]["maxReceiveCount"]) == receives


def test_what_cannot_be_made_again_survives_the_stack(template: Json) -> None:
    for name in ("Records", "Pepper", "DeadLetters"):
        assert template["Resources"][name]["DeletionPolicy"] == "Retain", name
    assert of(template, "Records")["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_only_functions_that_touch_telemetry_carry_the_client_of_its_store(template: Json, prod: Path) -> None:
    layered = {name for name in functions().keys() - {EDGE} if of(template, name).get("Layers")}
    assert layered == {
        name for name, each in functions().items() if any(use.startswith("readings:") for use in each.uses)
    }
    assert (prod / of(template, "IotdbLayer")["ContentUri"]).exists()


def test_gateways_own_answers_have_our_shape(template: Json) -> None:
    found = of(template, "RestAPI")["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    for kind, response in found.items():
        body = json.loads(response["responseTemplates"]["application/json"])
        assert body.keys() >= {"error", "message", "code", "request_id"}, kind
        assert body["request_id"] == "$context.requestId"
        assert response["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
        assert response["responseParameters"]["gatewayresponse.header.X-Content-Type-Options"] == "'nosniff'"
    assert found["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"
    assert found["THROTTLED"]["responseParameters"]["gatewayresponse.header.Retry-After"] == "'1'"


def test_cfn_lint_finds_nothing(environment: Path, prod: Path) -> None:
    command = [str(environment / "bin" / "cfn-lint"), "--regions", "eu-central-1", "--template", str(prod / "sam.json")]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert linted.stdout + linted.stderr == ""


def test_sam_translates_it_into_fewer_resources_than_cloudformation_takes(environment: Path, prod: Path) -> None:
    command = [str(environment / "bin" / "python"), "-W", "ignore", "-c", TRANSLATE, str(prod / "sam.json")]
    variables = {**os.environ, "AWS_DEFAULT_REGION": "eu-central-1"}
    translated = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert translated.returncode == 0, translated.stderr
    resources = json.loads(translated.stdout)["Resources"]
    kinds = [resource["Type"] for resource in resources.values()]
    assert kinds.count("AWS::Lambda::Function") == len(functions())
    assert len(kinds) < verify.MOST_RESOURCES
    (mapping,) = (
        each["Properties"] for each in resources.values() if each["Type"] == "AWS::Lambda::EventSourceMapping"
    )
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
