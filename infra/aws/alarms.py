"""Alarms that somebody has to act on, all to one topic: readings that are not stored, and calls that fail."""

from typing import Any

from chalice.utils import to_cfn_resource_name

from infra.aws.functions import lambda_name
from infra.aws.names import CONSUMER, dead_letters_name, queue_name, table_name

Json = dict[str, Any]

MINUTE_S = 60
METRICS = "IoTFlow"
BURIED = '{ $.message = "*is a dead letter*" }'
"""What the consumer logs when it buries a message; the dead-letter queue has only those that SQS moved."""
WAITING_S = 300
"""A reading that waits so long is not being stored."""


def alarms(app_name: str, stage_name: str, *, visibility_s: int) -> Json:
    """The topic and its alarms.

    Args:
        app_name: As in `.chalice/config.json`.
        stage_name: Likewise.
        visibility_s: A message that one failed run held is so much older; it is no alarm yet.
    """
    consumer = lambda_name(app_name, stage_name, CONSUMER)
    api = {"ApiName": app_name, "Stage": stage_name}
    return {
        "AlarmTopic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"iotflow-alarms-{stage_name}"}},
        "DeadLettersAlarm": _alarm(
            "Readings could not be stored and wait for somebody to replay or discard them",
            _metric(
                "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=dead_letters_name(stage_name)
            ),
            threshold=0,
            minutes=1,
        ),
        "BuriedMetric": buried_metric(app_name, stage_name),
        "BuriedAlarm": _alarm(
            "The store refuses readings; they wait for somebody to replay or discard them",
            _metric(METRICS, f"DeadLetters-{stage_name}", "Sum"),
            threshold=0,
            minutes=1,
        ),
        "WaitingAlarm": _alarm(
            "Readings wait in the queue: the consumer or the store does not keep up",
            _metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName=queue_name(stage_name)),
            threshold=WAITING_S + visibility_s,
            minutes=3,
        ),
        "ConsumerAlarm": _alarm(
            "The consumer fails; its messages are delivered again",
            _metric("AWS/Lambda", "Errors", "Sum", FunctionName=consumer),
            threshold=0,
            minutes=5,
        ),
        "ApiAlarm": _alarm(
            "More than one call in a hundred fails on our side",
            _metric("AWS/ApiGateway", "5XXError", "Average", **api),
            threshold=0.01,
            minutes=5,
        ),
        "MqttAlarm": _alarm(
            "IoT Core could not queue telemetry that it had acknowledged; its log group has the payloads",
            _metric("AWS/IoT", "ErrorActionSuccess", "Sum", RuleName=f"iotflow_{stage_name}_telemetry"),
            threshold=0,
            minutes=1,
        ),
        "RecordsAlarm": _alarm(
            "DynamoDB refuses calls on the table",
            _metric("AWS/DynamoDB", "ThrottledRequests", "Sum", TableName=table_name(stage_name)),
            threshold=0,
            minutes=5,
        ),
    }


def buried_metric(app_name: str, stage_name: str) -> Json:
    """Counts in the consumer's log what it buried; the log group is chalice's, and must be there before."""
    transformation = {
        "MetricNamespace": METRICS,
        "MetricName": f"DeadLetters-{stage_name}",
        "MetricValue": "1",
        "DefaultValue": 0,
    }
    return {
        "Type": "AWS::Logs::MetricFilter",
        "DependsOn": to_cfn_resource_name(f"{CONSUMER}_log_group"),
        "Properties": {
            "LogGroupName": f"/aws/lambda/{lambda_name(app_name, stage_name, CONSUMER)}",
            "FilterPattern": BURIED,
            "MetricTransformations": [transformation],
        },
    }


def _metric(namespace: str, name: str, statistic: str, **dimensions: str) -> Json:
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Statistic": statistic,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }


def _alarm(meaning: str, metric: Json, *, threshold: float, minutes: int) -> Json:
    """Raised when the metric is over *threshold* in each of so many minutes."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": meaning,
            **metric,
            "Period": MINUTE_S,
            "EvaluationPeriods": minutes,
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "AlarmTopic"}],
            "OKActions": [{"Ref": "AlarmTopic"}],
        },
    }
