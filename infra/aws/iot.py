"""AWS IoT Core in front of the queue: an endpoint whose clients our function admits, and a rule that queues telemetry.

IoT Core acknowledges a publish when its broker has it; the rule then delivers at least once. What the rule cannot
deliver goes to a log group, with the payload, and raises an alarm.
"""

from typing import Any

from chalice.utils import to_cfn_resource_name

from chalicelib.iot_core import RULE_SQL

Json = dict[str, Any]

AUTHORIZER = "authorize_mqtt"
SQL_VERSION = "2016-03-23"
KEPT_DAYS = 365


def resources(stage_name: str) -> Json:
    """Authorizer, endpoint, rule, and the role under which the rule acts."""
    function = to_cfn_resource_name(AUTHORIZER)
    return {
        "MqttAuthorizer": {
            "Type": "AWS::IoT::Authorizer",
            "Properties": {
                "AuthorizerName": f"iotflow-{stage_name}",
                "AuthorizerFunctionArn": {"Fn::GetAtt": [function, "Arn"]},
                "SigningDisabled": True,
                "Status": "ACTIVE",
            },
        },
        "MqttAuthorizerPermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": function},
                "Principal": "iot.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": ["MqttAuthorizer", "Arn"]},
            },
        },
        "MqttEndpoint": {
            "Type": "AWS::IoT::DomainConfiguration",
            "Properties": {
                "DomainConfigurationName": f"iotflow-{stage_name}",
                "ServiceType": "DATA",
                "AuthenticationType": "CUSTOM_AUTH",
                "ApplicationProtocol": "SECURE_MQTT",
                "AuthorizerConfig": {
                    "DefaultAuthorizerName": {"Ref": "MqttAuthorizer"},
                    "AllowAuthorizerOverride": False,
                },
            },
        },
        "MqttRule": _rule(stage_name),
        "MqttRuleRole": _role(),
        "MqttUndelivered": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"LogGroupName": f"iotflow-{stage_name}-mqtt-undelivered", "RetentionInDays": KEPT_DAYS},
        },
    }


def _rule(stage_name: str) -> Json:
    role = {"Fn::GetAtt": ["MqttRuleRole", "Arn"]}
    return {
        "Type": "AWS::IoT::TopicRule",
        "Properties": {
            "RuleName": f"iotflow_{stage_name}_telemetry",
            "TopicRulePayload": {
                "Description": "Telemetry of devices into the queue, with its topic and the time of its arrival",
                "AwsIotSqlVersion": SQL_VERSION,
                "RuleDisabled": False,
                "Sql": RULE_SQL,
                "Actions": [{"Sqs": {"QueueUrl": {"Ref": "TelemetryQueue"}, "RoleArn": role, "UseBase64": False}}],
                "ErrorAction": {"CloudwatchLogs": {"LogGroupName": {"Ref": "MqttUndelivered"}, "RoleArn": role}},
            },
        },
    }


def _role() -> Json:
    trust = {"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
    queue = {"Fn::GetAtt": ["TelemetryQueue", "Arn"]}
    log = {"Fn::GetAtt": ["MqttUndelivered", "Arn"]}
    log_actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    statements = [
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [queue]},
        {"Effect": "Allow", "Action": log_actions, "Resource": [log]},
    ]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": "DeliverTelemetry",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                }
            ],
        },
    }
