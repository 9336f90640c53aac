"""Events as AWS hands them to handlers that no HTTP request starts: SQS batches and EventBridge schedules.

Source: AWS Lambda, "Using Lambda with Amazon SQS", example event and reporting batch item failures; EventBridge,
"Scheduled Event".
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from chalicelib.model import Message
from infra.local.proxy_event import ACCOUNT_ID

REGION = "local"
Event = dict[str, Any]


def sqs_event(messages: Sequence[Message], *, queue_name: str, now_ms: int) -> Event:
    """What Lambda's event source mapping hands to the consumer; numbers in attributes are strings, as in SQS."""
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue_name}"
    return {"Records": [_record(message, arn, now_ms) for message in messages]}


def failed_messages(result: object, messages: Sequence[Message]) -> set[str]:
    """Ids of the messages that a handler did not finish, by the rules of ReportBatchItemFailures.

    Nothing reported: all are done. A report that cannot be understood, or names a message that was not in the
    batch: none is done.
    """
    ids = {message.id for message in messages}
    if result is None or result == {}:
        return set()
    if not isinstance(result, dict):
        return ids
    failures = result.get("batchItemFailures")
    if failures is None:
        return set()
    try:
        named = {failure["itemIdentifier"] for failure in failures}
    except (TypeError, KeyError):
        return ids
    return named if named <= ids else ids


def scheduled_event(name: str, *, event_id: str, now_ms: int) -> Event:
    """What EventBridge hands to the target of the rule *name*."""
    return {
        "version": "0",
        "id": event_id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{name}"],
        "detail": {},
    }


def _record(message: Message, arn: str, now_ms: int) -> Event:
    readings = {
        "stringValue": str(message.readings),
        "dataType": "Number",
        "stringListValues": [],
        "binaryListValues": [],
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(message.sent_ms),
            "SenderId": ACCOUNT_ID,
            "ApproximateFirstReceiveTimestamp": str(now_ms),
        },
        "messageAttributes": {"readings": readings},
        "md5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    }
