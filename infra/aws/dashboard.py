"""The CloudWatch dashboard of a stage: calls, the queue, the consumer, the records, each beside what it promises."""

import json
from typing import Any

from chalicelib import emf
from infra.aws.functions import lambda_name
from infra.aws.names import dead_letters_name, queue_name, table_name

Json = dict[str, Any]

COLUMNS, WIDTH, HEIGHT = 3, 8, 6
MINUTE_S = 60


def dashboard(app_name: str, stage_name: str) -> Json:
    """The resource."""
    return {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {
            "DashboardName": f"iotflow-{stage_name}",
            "DashboardBody": {"Fn::Sub": json.dumps({"widgets": widgets(app_name, stage_name)})},
        },
    }


def widgets(app_name: str, stage_name: str) -> list[Json]:
    """What is shown, in rows of three."""
    api = ["ApiName", app_name, "Stage", stage_name]
    queue = ["QueueName", queue_name(stage_name)]
    consumer = ["FunctionName", lambda_name(app_name, stage_name, "store_readings")]
    table = ["TableName", table_name(stage_name)]
    graphs = [
        ("Calls", "Sum", [["AWS/ApiGateway", name, *api] for name in ("Count", "4XXError", "5XXError")]),
        ("Latency of calls, ms (p99)", "p99", [["AWS/ApiGateway", "Latency", *api]]),
        ("Readings stored", "Sum", [[emf.NAMESPACE, "Readings", "Stage", stage_name]]),
        ("Messages that wait", "Maximum", [["AWS/SQS", "ApproximateNumberOfMessagesVisible", *queue]]),
        ("Age of the oldest, s", "Maximum", [["AWS/SQS", "ApproximateAgeOfOldestMessage", *queue]]),
        (
            "Dead letters",
            "Maximum",
            [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead_letters_name(stage_name)]],
        ),
        ("From accepted to stored, ms (p99)", "p99", [[emf.NAMESPACE, "Age", "Stage", stage_name]]),
        ("Consumer, ms (p99)", "p99", [["AWS/Lambda", "Duration", *consumer]]),
        (
            "Failures",
            "Sum",
            [
                ["AWS/Lambda", "Errors", *consumer],
                ["AWS/DynamoDB", "ThrottledRequests", *table],
                [emf.NAMESPACE, "DeliveredAgain", "Stage", stage_name],
            ],
        ),
    ]
    return [_widget(at, *graph) for at, graph in enumerate(graphs)]


def _widget(at: int, title: str, statistic: str, metrics: list[list[str]]) -> Json:
    return {
        "type": "metric",
        "x": at % COLUMNS * WIDTH,
        "y": at // COLUMNS * HEIGHT,
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": title,
            "stat": statistic,
            "period": MINUTE_S,
            "region": "${AWS::Region}",
            "metrics": metrics,
        },
    }
