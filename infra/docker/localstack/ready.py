"""Run by LocalStack within itself once it is ready: makes the queue, its dead-letter queue and the table."""

import json
from pathlib import Path

import boto3

_AT = {
    "endpoint_url": "http://localhost:4566",
    "region_name": "us-east-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
}
_KEYS = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "TableName")

wanted = json.loads(Path("/iotflow/resources.json").read_text(encoding="utf-8"))
sqs = boto3.client("sqs", **_AT)
dead = sqs.create_queue(QueueName=wanted["dead_letters"])["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": wanted["max_receives"]})
sqs.create_queue(QueueName=wanted["queue"], Attributes={"RedrivePolicy": redrive})
dynamodb = boto3.client("dynamodb", **_AT)
if wanted["table"]["TableName"] not in dynamodb.list_tables()["TableNames"]:
    dynamodb.create_table(**{key: wanted["table"][key] for key in _KEYS})
