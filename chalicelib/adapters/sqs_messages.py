"""What SQS takes and gives: entries of batches, messages, and which characters a body may hold. No I/O."""

import math
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from chalicelib.adapters import queue_rules
from chalicelib.errors import InvalidInput
from chalicelib.model import Message

BATCH = 10
"""Entries in one call. Source: AWS, Amazon SQS message quotas."""
MAX_BYTES = 1_048_576
"""Of a message, and of all messages in one call, attributes included."""
ATTRIBUTE_BYTES = 64
"""More than name, type and value of our one attribute take."""
LONGEST_HIDDEN_S = 43_200
_FOREIGN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Item = TypeVar("Item")


class Sent(NamedTuple):
    """A message on its way to SQS; its ticket ends with its id."""

    body: str
    readings: int
    size_bytes: int
    ticket: Future[Any]


def sent(body: str, readings: int, size_bytes: int) -> Sent:
    """A message with a ticket that nobody can cancel."""
    ticket: Future[Any] = Future()
    ticket.set_running_or_notify_cancel()
    return Sent(body, readings, size_bytes, ticket)


def checked(body: str, readings: int, limit_bytes: int) -> Sent:
    """A message that SQS will take.

    Raises:
        TooLarge: Over *limit_bytes*, or what SQS takes.
        InvalidInput: Empty, or with characters that SQS does not take; JSON has neither.
        ValueError: A negative number of readings.
    """
    limit_bytes = min(limit_bytes, MAX_BYTES - ATTRIBUTE_BYTES)
    size_bytes = queue_rules.body_bytes(body, limit_bytes, readings=readings)
    if not body or _FOREIGN.search(body):
        message = "The message is empty, or has control characters, which SQS does not take"
        raise InvalidInput(message, field="body")
    return sent(body, readings, size_bytes)


def fitting(messages: Sequence[Sent]) -> Iterator[Sequence[Sent]]:
    """*messages* in groups that one call takes."""
    start = size_bytes = 0
    for at, message in enumerate(messages):
        taken_bytes = message.size_bytes + ATTRIBUTE_BYTES
        if at > start and (at - start == BATCH or size_bytes + taken_bytes > MAX_BYTES):
            yield messages[start:at]
            start, size_bytes = at, 0
        size_bytes += taken_bytes
    if messages:
        yield messages[start:]


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """*items* by tens."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def entry(number: int, message: Sent) -> dict[str, Any]:
    """An entry of SendMessageBatch."""
    readings = {"DataType": "Number", "StringValue": str(message.readings)}
    return {"Id": str(number), "MessageBody": message.body, "MessageAttributes": {"readings": readings}}


def received(document: dict[str, Any]) -> Message:
    """A message of ReceiveMessage. One that was not sent by us may lack its number of readings: it counts as none."""
    text = document.get("MessageAttributes", {}).get("readings", {}).get("StringValue", "")
    attributes = document["Attributes"]
    return Message(
        id=document["MessageId"],
        body=document["Body"],
        receipt=document["ReceiptHandle"],
        readings=int(text) if text.isdecimal() else 0,
        receive_count=int(attributes["ApproximateReceiveCount"]),
        sent_ms=int(attributes["SentTimestamp"]),
    )


def whole_seconds(seconds: float) -> int:
    """SQS counts in whole seconds: never less than asked, never more than it takes."""
    return min(LONGEST_HIDDEN_S, max(0, math.ceil(seconds)))
