"""Queue, dead-letter queue and table on emulators, from what the template of a deployment says."""

import json
from collections.abc import Callable
from typing import Any

from infra.aws.functions import functions
from infra.aws.names import CONSUMER, dead_letters_name, queue_name, table_name
from infra.aws.template import queues
from infra.emulators.records import make_table_with

STAGE = "local"

Connect = Callable[[str], Any]


def make(connect: Connect) -> dict[str, str]:
    """Make what is not there yet; returns the settings that name it."""
    receives = int(functions()[CONSUMER].environment(STAGE)["IOTFLOW_MAX_RECEIVES"])
    wanted = queues(STAGE, receives)
    sqs = connect("sqs")
    dead = _queue(sqs, dead_letters_name(STAGE), _attributes(wanted["DeadLetters"]["Properties"]))
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})}
    url = _queue(sqs, queue_name(STAGE), {**_attributes(wanted["TelemetryQueue"]["Properties"]), **redrive})
    make_table_with(connect("dynamodb"), table_name(STAGE))
    return {
        "IOTFLOW_QUEUE_URL": url,
        "IOTFLOW_DEAD_LETTER_URL": dead,
        "IOTFLOW_TABLE": table_name(STAGE),
        "IOTFLOW_MAX_RECEIVES": str(receives),
    }


def _attributes(properties: dict[str, Any]) -> dict[str, str]:
    """Those of CloudFormation that SQS calls alike, and emulators know."""
    known = ("VisibilityTimeout", "MessageRetentionPeriod")
    return {name: str(properties[name]) for name in known if name in properties}


def _queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    found = sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", [])
    for url in found:
        if url.rpartition("/")[2] == name:
            return str(url)
    return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
