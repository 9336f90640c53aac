"""What is deployed works, is what was declared, and a deployment without changes changes nothing."""

import json
import time
from typing import Any

import pytest

from chalicelib import api
from infra.aws import deployment
from infra.aws.functions import EDGE, functions, lambda_name
from infra.aws.names import CONSUMER
from infra.local.source_events import scheduled_event
from tests.contract.eventually import eventually
from tests.deployment.conftest import Deployment

PATIENCE_S = 60.0


def log_of(deployed: Deployment, name: str) -> str:
    """What a function and Lambda wrote."""
    logs = deployed.connect("logs")
    group = f"/aws/lambda/{lambda_name('iotflow', deployment.STAGE, name)}"
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    if group not in {each["logGroupName"] for each in found}:
        return ""
    return "\n".join(event["message"] for event in logs.filter_log_events(logGroupName=group)["events"])


def test_a_devices_reading_goes_through_its_functions_to_the_one_that_finds_it(deployed: Deployment) -> None:
    """The promise of the deployment in one go: accepted, queued, stored and read by four functions of their own."""
    device = deployed.nobody.post(
        "/api/v1/devices/register", {"name": f"pump-{time.time_ns()}", "device_type": "sensor"}
    ).json["device"]
    client = deployed.nobody.with_key(device["api_key"])
    accepted = client.post("/api/v1/devices/telemetry", {"data": {"pressure": 3.25}})
    assert accepted.status == 201, accepted.body

    def found() -> list[Any]:
        answer = client.get("/api/v1/devices/telemetry")
        assert answer.status == 200, answer.body
        return [row["pressure"] for row in answer.json["telemetry"]]

    assert eventually(lambda: found() == [3.25], PATIENCE_S)
    for name in ("register_device", "submit_telemetry", CONSUMER, "read_own_telemetry"):
        assert eventually(lambda name=name: "REPORT RequestId" in log_of(deployed, name), PATIENCE_S), name  # type: ignore[misc]


def test_every_route_leads_to_the_function_of_its_endpoint(deployed: Deployment) -> None:
    gateway = deployed.connect("apigateway")
    (rest_api,) = (each for each in deployment.resources() if each["resource_type"] == "rest_api")
    paths = gateway.get_resources(restApiId=rest_api["rest_api_id"], limit=500, embed=["methods"])["items"]
    found = {
        (each["path"], method): details["methodIntegration"]["uri"].split(":function:")[1].partition("/")[0]
        for each in paths
        for method, details in each.get("resourceMethods", {}).items()
    }
    for declared in api.endpoints():
        expected = lambda_name("iotflow", deployment.STAGE, declared.name)
        assert found[declared.path, declared.method] == expected
    assert {uri for (_, method), uri in found.items() if method == "ANY"} == {
        lambda_name("iotflow", deployment.STAGE, EDGE)
    }


def test_the_queue_feeds_the_consumer_and_keeps_what_it_fails(deployed: Deployment) -> None:
    (mapping,) = deployed.connect("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert mapping["FunctionArn"].endswith(lambda_name("iotflow", deployment.STAGE, CONSUMER))
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (1000, 1)


def test_poison_becomes_a_dead_letter_that_an_operator_reads_and_discards(deployed: Deployment) -> None:
    admin = deployed.service.admin
    deployed.connect("sqs").send_message(
        QueueUrl=deployed.variables["IOTFLOW_QUEUE_URL"],
        MessageBody="no message of ours",
        MessageAttributes={"readings": {"DataType": "Number", "StringValue": "1"}},
    )

    def letters() -> list[Any]:
        found: list[Any] = admin.get("/api/v1/admin/dead-letters").json["dead_letters"]
        return found

    assert eventually(lambda: len(letters()) == 1, PATIENCE_S)
    (letter,) = letters()
    assert letter["payload"] == "no message of ours"
    assert letter["reason"].startswith("Unreadable message")
    assert admin.delete(f"/api/v1/admin/dead-letters/{letter['id']}").status == 200
    assert letters() == []


def test_a_schedule_calls_the_upkeep(deployed: Deployment) -> None:
    (rule,) = deployed.connect("events").list_rules()["Rules"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(5 minutes)", "ENABLED")
    name = lambda_name("iotflow", deployment.STAGE, "keep_up")
    (target,) = deployed.connect("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(name)
    event = scheduled_event(rule["Name"], event_id="1", now_ms=time.time_ns() // 1_000_000)
    answer = deployed.connect("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    assert "FunctionError" not in answer, answer["Payload"].read()


@pytest.mark.parametrize("name", ["submit_telemetry", "read_own_telemetry", CONSUMER])
def test_a_function_has_the_rights_memory_and_time_that_it_declares(deployed: Deployment, name: str) -> None:
    found = deployed.connect("lambda").get_function_configuration(
        FunctionName=lambda_name("iotflow", deployment.STAGE, name)
    )
    declared = functions()[name]
    assert (found["MemorySize"], found["Timeout"]) == (declared.memory_mb, declared.timeout_s)
    role = found["Role"].rpartition("/")[2]
    (policy,) = deployed.connect("iam").list_role_policies(RoleName=role)["PolicyNames"]
    document = deployed.connect("iam").get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    wanted = json.loads((deployment.DEPLOYED.parents[1] / "policy-local.json").read_text())[name]
    assert document == wanted


def test_a_deployment_without_changes_changes_nothing(deployed: Deployment) -> None:
    before = state(deployed)
    assert deployment.deploy(deployed.variables) == deployed.url
    assert state(deployed) == before


def state(deployed: Deployment) -> dict[str, Any]:
    """Everything that a deployment could have touched, with versions and times where AWS gives them."""
    lambdas, gateway, events = (deployed.connect(name) for name in ("lambda", "apigateway", "events"))
    found = lambdas.get_paginator("list_functions").paginate().build_full_result()["Functions"]
    api_id = deployed.url.rpartition("/_aws/execute-api/")[2].partition("/")[0]
    return {
        "functions": {each["FunctionName"]: (each["RevisionId"], each["LastModified"]) for each in found},
        "policies": {
            each["FunctionName"]: lambdas.get_policy(FunctionName=each["FunctionName"])["Policy"]
            for each in found
            if not each["FunctionName"].endswith((CONSUMER, "authorize_mqtt"))
        },
        "mappings": [
            (each["UUID"], each["BatchSize"]) for each in lambdas.list_event_source_mappings()["EventSourceMappings"]
        ],
        "apis": [each["id"] for each in gateway.get_rest_apis()["items"]],
        "deployments": [each["id"] for each in gateway.get_deployments(restApiId=api_id)["items"]],
        "rules": [(each["Name"], each["ScheduleExpression"]) for each in events.list_rules()["Rules"]],
    }
