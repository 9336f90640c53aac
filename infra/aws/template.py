"""What a deployment needs beside functions: the template that `chalice package --merge-template` merges into its own.

Written to ``.chalice/template-STAGE.json``, so that plain chalice finds it and a review sees what changes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalice.utils import to_cfn_resource_name

from infra.aws import alarms, dashboard, iot, layer
from infra.aws.configuration import with_declaration
from infra.aws.functions import functions
from infra.aws.names import CONSUMER, dead_letters_name, pepper_name, queue_name, table_name
from infra.aws.packaging import PYTHON
from infra.aws.table import table

Json = dict[str, Any]

VISIBILITY_FACTOR = 6
"""Of the consumer's time-out. Source: AWS Lambda, Using Lambda with Amazon SQS, configuring a queue."""
RETENTION_S = 14 * 86_400
"""The longest that SQS keeps a message."""
MESSAGE_BYTES = 1_048_576
"""SQS's limit since August 2025; one request is one message, however many readings it carries."""
RATE_PER_S, BURST = 2000, 1000
"""Of the whole API in a stage; what is over it gets 429. An account has 10 000 calls a second for all its APIs."""
STAGES = ("dev", "prod")
"""The local stage is deployed by `chalice deploy`, which merges no template."""
NETWORK_POLICY = "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
TRACES_POLICY = "arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"


def merge_template(config: Mapping[str, Any], stage_name: str) -> Json:
    """The template of a stage.

    Args:
        config: `.chalice/config.json`.
        stage_name: One of its stages.
    """
    stage = config["stages"][stage_name]
    consumer = with_declaration(config, stage_name, CONSUMER)["stages"][stage_name]["lambda_functions"][CONSUMER]
    resources = {
        **queues(stage_name, int(consumer["environment_variables"]["IOTFLOW_MAX_RECEIVES"])),
        "Records": table(table_name(stage_name)),
        "Pepper": _pepper(stage_name),
        "RestAPI": {"Properties": {"MethodSettings": [_throttling()]}},
        **_log_groups(stage),
        **_managed_policies(stage),
        "IotdbLayer": _layer(stage_name, stage),
        **_layered(stage),
        **iot.resources(stage_name),
        "Dashboard": dashboard.dashboard(config["app_name"], stage_name),
        **alarms.alarms(config["app_name"], stage_name, visibility_s=visibility_s()),
    }
    return {
        "Description": f"IoTFlow, stage {stage_name}: a function for each endpoint, queue, records, alarms",
        "Globals": {"Function": {"Environment": {"Variables": _deployed_variables()}}},
        "Resources": resources,
        "Outputs": {
            "TelemetryQueueUrl": {"Value": {"Ref": "TelemetryQueue"}},
            "DeadLettersUrl": {"Value": {"Ref": "DeadLetters"}},
            "AlarmTopicArn": {"Value": {"Ref": "AlarmTopic"}},
            "MqttDomainArn": {"Value": {"Fn::GetAtt": ["MqttEndpoint", "Arn"]}},
        },
    }


def files(folder: Path, config: Mapping[str, Any]) -> dict[Path, str]:
    """What belongs in each template file below *folder*."""
    return {
        folder / f"template-{stage}.json": json.dumps(merge_template(config, stage), indent=1) + "\n"
        for stage in STAGES
    }


def visibility_s() -> int:
    """How long SQS hides a message from other consumers."""
    return VISIBILITY_FACTOR * functions()[CONSUMER].timeout_s


def _deployed_variables() -> Json:
    """Variables whose values only the deployment knows."""
    return {
        "IOTFLOW_TABLE": {"Ref": "Records"},
        "IOTFLOW_QUEUE_URL": {"Ref": "TelemetryQueue"},
        "IOTFLOW_DEAD_LETTER_URL": {"Ref": "DeadLetters"},
        "IOTFLOW_PEPPER_SECRET": {"Ref": "Pepper"},
    }


def queues(stage_name: str, max_receives: int) -> Json:
    """The queue of accepted readings, and where SQS puts what was received too often."""
    kept = {"MessageRetentionPeriod": RETENTION_S, "MaximumMessageSize": MESSAGE_BYTES, "SqsManagedSseEnabled": True}
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}, "maxReceiveCount": max_receives}
    return {
        "TelemetryQueue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": queue_name(stage_name),
                "VisibilityTimeout": visibility_s(),
                "RedrivePolicy": redrive,
                **kept,
            },
        },
        "DeadLetters": {
            "Type": "AWS::SQS::Queue",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"QueueName": dead_letters_name(stage_name), **kept},
        },
    }


def _pepper(stage_name: str) -> Json:
    """Made once and kept: without it no key of any device is valid any more."""
    return {
        "Type": "AWS::SecretsManager::Secret",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "Name": pepper_name(stage_name),
            "Description": "Under which IoTFlow hashes keys; every key dies with it",
            "GenerateSecretString": {"PasswordLength": 64, "ExcludePunctuation": True},
        },
    }


def _throttling() -> Json:
    return {
        "ResourcePath": "/*",
        "HttpMethod": "*",
        "MetricsEnabled": True,
        "ThrottlingRateLimit": RATE_PER_S,
        "ThrottlingBurstLimit": BURST,
    }


def _log_groups(stage: Mapping[str, Any]) -> Json:
    """Chalice names the catch-all's log group after a resource that it calls otherwise: an invalid template."""
    if "log_retention_in_days" not in stage:
        return {}
    return {"ApiHandlerLogGroup": {"Properties": {"LogGroupName": {"Fn::Sub": "/aws/lambda/${APIHandler}"}}}}


def _managed_policies(stage: Mapping[str, Any]) -> Json:
    """What has no resource to name: network interfaces in a VPC, and traces. Our own policies name every resource."""
    own = stage.get("lambda_functions", {})
    attached: dict[str, list[str]] = {name: [TRACES_POLICY] if stage.get("xray") else [] for name in functions()}
    for name in functions():
        if {**stage, **own.get(name, {})}.get("subnet_ids"):
            attached[name].append(NETWORK_POLICY)
    return {
        to_cfn_resource_name(f"{name}_role"): {"Properties": {"ManagedPolicyArns": [{"Fn::Sub": arn} for arn in arns]}}
        for name, arns in attached.items()
        if arns
    }


def _layer(name: str, stage: Mapping[str, Any]) -> Json:
    return {
        "Type": "AWS::Serverless::LayerVersion",
        "Properties": {
            "LayerName": f"iotflow-iotdb-{name}",
            "ContentUri": f"./{layer.FILE}",
            "CompatibleRuntimes": [f"python{PYTHON}"],
            "CompatibleArchitectures": [stage["lambda_architecture"]],
        },
    }


def _layered(stage: Mapping[str, Any]) -> Json:
    """Only functions that touch telemetry carry the client of its store."""
    own = stage.get("lambda_functions", {})
    return {
        to_cfn_resource_name(name): {
            "Properties": {"Layers": [*own.get(name, {}).get("layers", []), {"Ref": "IotdbLayer"}]}
        }
        for name, function in functions().items()
        if any(use.startswith("readings:") for use in function.uses)
    }
