"""SQS queues for tests: on moto with the test's clock, and on servers with the real one."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import botocore.session
import pytest
from moto import mock_aws
from moto.core import utils

from chalicelib.adapters import aws_client
from chalicelib.adapters.sqs_queue import SqsQueue
from chalicelib.model import Message
from infra.emulators.records import ACCESS, make_table_with

TABLE = "iotflow-test"
_session = cache(botocore.session.get_session)


class Places(NamedTuple):
    """Where a queue keeps what it is given."""

    url: str
    dead_letter_url: str
    table: str = TABLE


class Connection:
    """Makes clients for emulators.

    Args:
        urls: Of each service; moto needs none.
    """

    def __init__(self, **urls: str) -> None:
        self._urls = urls

    def __call__(self, service: str) -> Any:
        names = {"region_name": "us-east-1", "endpoint_url": self._urls.get(service), "config": aws_client.CONFIG}
        secrets = {key: value for key, value in ACCESS.items() if key != "region_name"}
        return _session().create_client(service, **names, **secrets)


def make(connect: Connection, name: str, *, max_receive_count: int) -> Places:
    """A queue with its dead-letter queue, and the table unless it is there."""
    sqs, dynamodb = connect("sqs"), connect("dynamodb")
    dead_letter_url = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letter_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": max_receive_count}
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(redrive)})["QueueUrl"]
    make_table_with(dynamodb, TABLE)
    return Places(url, dead_letter_url)


class ClockedQueue(SqsQueue):
    """On moto, whose clock is set to what each call says that it is."""

    now_ms = receives = 0

    def send(self, body: str, *, readings: int, now_ms: int) -> str:
        self.now_ms = now_ms
        return super().send(body, readings=readings, now_ms=now_ms)

    def receive(self, *, limit: int, visibility_s: float, now_ms: int) -> list[Message]:
        self.receives += 1
        self.now_ms = now_ms + self.receives  # moto shows a message after its time, not at it
        messages = super().receive(limit=limit, visibility_s=visibility_s, now_ms=now_ms)
        self.tidy(now_ms=now_ms)
        return messages

    def release(self, receipts: Sequence[str], *, delay_s: float, now_ms: int, uncounted: bool = False) -> None:
        self.now_ms = now_ms
        super().release(receipts, delay_s=delay_s, now_ms=now_ms, uncounted=uncounted)

    def replay(self, letter_id: str, *, now_ms: int) -> bool:
        self.now_ms = now_ms
        return super().replay(letter_id, now_ms=now_ms)


@contextmanager
def on_moto(*, max_receive_count: int, **options: Any) -> Iterator[SqsQueue]:
    """An empty queue in this process."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")):
            patch.setenv(name, value)
        connect = Connection()
        places = make(connect, "queue", max_receive_count=max_receive_count)
        queue = ClockedQueue(*places, max_receive_count=max_receive_count, connect=connect, **options)
        epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - moto counts without zones
        patch.setattr(utils, "utcnow", lambda: epoch + timedelta(milliseconds=queue.now_ms))
        try:
            yield queue
        finally:
            queue.close()
