"""Metrics for CloudWatch as log lines, which cost no call: the embedded metric format.

Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from chalicelib.model import Message

NAMESPACE = "IoTFlow"


def document(stage: str, metrics: Mapping[str, tuple[float, str]], *, now_ms: int) -> dict[str, Any]:
    """The fields of a log line that CloudWatch takes for metrics, by stage.

    Args:
        stage: The dimension's value.
        metrics: Name -> value and unit, as CloudWatch spells it: ``Count``, ``Milliseconds``.
        now_ms: When it was measured.
    """
    described = [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Stage"]], "Metrics": described}
    values = {name: value for name, (value, _) in metrics.items()}
    return {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}, "Stage": stage, **values}


def of_batch(stage: str, messages: Sequence[Message], failed: Collection[str], *, now_ms: int) -> dict[str, Any]:
    """What became of a batch of the queue: messages done and to be delivered again, and the age of the oldest done."""
    done = [message for message in messages if message.id not in failed]
    metrics: dict[str, tuple[float, str]] = {
        "Messages": (len(done), "Count"),
        "Readings": (sum(message.readings for message in done), "Count"),
        "DeliveredAgain": (len(failed), "Count"),
    }
    if done:
        metrics["Age"] = (max(now_ms - message.sent_ms for message in done), "Milliseconds")
    return document(stage, metrics, now_ms=now_ms)
