"""The event source mapping: what it hands to the handler, and what becomes of the messages."""

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib.adapters.memory_queue import MemoryQueue
from chalicelib.errors import Unavailable
from chalicelib.model import Message
from infra.local.consumer import sqs_handler
from infra.local.poller import BACKOFF_S, BATCH_BYTES, BATCH_MESSAGES, FEW_MESSAGES, WINDOW_S, Poller
from infra.local.source_events import failed_messages

NOW_MS = 1_700_000_000_000


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        """Epoch milliseconds."""
        return self.now_ms


class Rig:
    """A queue, an app with an `on_sqs_message` handler that does as it is told, and a poller."""

    def __init__(self) -> None:
        self.queue = MemoryQueue(max_receive_count=3)
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        self.behave: Callable[[dict[str, Any]], Any] = lambda _event: None
        app = Chalice("rig", configure_logs=False)

        @app.on_sqs_message(queue="telemetry", batch_size=1000)
        def consume(event: Any) -> Any:
            self.events.append(event.to_dict())
            return self.behave(event.to_dict())

        name, queue_name, handler = sqs_handler(app)
        self.poller = Poller(
            self.queue,
            handler,
            name=name,
            queue_name=queue_name,
            visibility_s=30,
            now_ms=self.clock,
            jitter=lambda _low, high: high,
        )

    def send(self, *bodies: str) -> list[str]:
        """Queue messages of two readings each."""
        return [self.queue.send(body, readings=2, now_ms=NOW_MS) for body in bodies]

    def bodies(self) -> list[list[str]]:
        """What the handler saw, call by call."""
        return [[record["body"] for record in event["Records"]] for event in self.events]


@pytest.fixture
def rig() -> Rig:
    """A fresh one."""
    return Rig()


def fail(*ids: object) -> dict[str, Any]:
    """A report of failed messages."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in ids]}


def test_poller_hands_over_documented_records(rig: Rig) -> None:
    """Every key of AWS's example, with numbers as strings."""
    [message_id] = rig.send("böd y")
    rig.poller.round()
    [record] = rig.events[0]["Records"]
    assert record.pop("receiptHandle")
    assert record == {
        "messageId": message_id,
        "body": "böd y",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(NOW_MS),
            "SenderId": "000000000000",
            "ApproximateFirstReceiveTimestamp": str(NOW_MS),
        },
        "messageAttributes": {
            "readings": {"stringValue": "2", "dataType": "Number", "stringListValues": [], "binaryListValues": []}
        },
        "md5OfBody": hashlib.md5("böd y".encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:local:000000000000:telemetry",
        "awsRegion": "local",
    }
    json.dumps(record)


def test_poller_deletes_what_the_handler_finished(rig: Rig) -> None:
    """No report means that all is well; the batch is whatever waited."""
    rig.send("a", "b", "c")
    rig.poller.round()
    assert rig.bodies() == [["a", "b", "c"]]
    assert rig.queue.ledger().stored == 6


def test_poller_shows_failed_messages_again_after_a_back_off(rig: Rig) -> None:
    """Only those; their neighbours are done."""
    _, bad, _ = rig.send("a", "b", "c")
    rig.behave = lambda _event: fail(bad)
    rig.poller.round()
    assert rig.queue.ledger().stored == 4
    rig.poller.round()
    rig.clock.now_ms += 401
    rig.poller.round()
    assert rig.bodies() == [["a", "b", "c"], ["b"]]
    assert rig.events[1]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


def test_poller_brings_a_message_that_always_fails_to_the_dead_letters(rig: Rig) -> None:
    """After as many deliveries as the queue allows."""
    [bad] = rig.send("bad")
    rig.behave = lambda _event: fail(bad)
    for _ in range(5):
        rig.poller.round()
        rig.clock.now_ms += 60_000
    assert len(rig.events) == 3
    assert [letter.id for letter in rig.queue.dead_letters()] == [bad]


def test_poller_deletes_nothing_after_an_exception(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """All of them come again, later and each alone, and each delivery counts."""
    rig.send("a", "b")

    def bug(_event: dict[str, Any]) -> None:
        raise KeyError("a bug")

    rig.behave = bug
    rig.poller.round()
    assert rig.queue.ledger().queued == 4
    assert "consume failed with a batch of 2 messages" in caplog.text
    rig.behave = lambda _event: None
    rig.clock.now_ms += 60_000
    rig.poller.round()
    rig.poller.round()
    assert rig.bodies() == [["a", "b"], ["a"], ["b"]]
    assert rig.events[1]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"
    assert rig.queue.ledger().stored == 4


def test_poller_waits_for_the_store_without_counting_deliveries(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """An outage of many attempts: longer and longer waits, one message tried, one line at each end, nothing buried."""
    rig.send("a", "b", "c")

    def away(_event: dict[str, Any]) -> None:
        message = "The store does not answer"
        raise Unavailable(message)

    rig.behave = away
    waits = [rig.poller.round() for _ in range(20)]
    assert waits[:3] == [0.4, 0.8, 1.6]
    assert max(waits) == BACKOFF_S[1]
    assert rig.bodies() == [["a", "b", "c"]] + [["a"]] * 19
    assert rig.queue.ledger().queued == 6
    rig.behave = lambda _event: None
    rig.poller.round()
    rig.poller.round()
    assert rig.bodies()[-2:] == [["a"], ["b", "c"]]
    assert rig.events[-1]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert rig.queue.ledger().stored == 6
    assert [record.message for record in caplog.records] == [
        "consume waits: The store does not answer",
        "consume goes on after 20 failed attempts",
    ]


def test_poller_stalled_beyond_the_visibility_counts_nothing_twice(rig: Rig) -> None:
    """Another consumer took the batch over: the late delete and the late report do nothing."""
    _, bad = rig.send("a", "b")

    def stall(_event: dict[str, Any]) -> dict[str, Any]:
        rig.clock.now_ms += 31_000
        others = rig.queue.receive(limit=10, visibility_s=30, now_ms=rig.clock.now_ms)
        rig.queue.delete([others[0].receipt], now_ms=rig.clock.now_ms)
        return fail(bad)

    rig.behave = stall
    rig.poller.round()
    ledger = rig.queue.ledger()
    assert (ledger.stored, ledger.in_flight, ledger.queued) == (2, 2, 0)
    assert ledger.balanced


def test_poller_asks_for_fewer_when_messages_are_large(rig: Rig) -> None:
    """About a megabyte at a time."""
    rig.send("x" * (BATCH_BYTES // 2))
    rig.poller.round()
    rig.send("a", "b", "c")
    rig.poller.round()
    assert [len(bodies) for bodies in rig.bodies()] == [1, 1]
    rig.poller.round()
    assert len(rig.bodies()[2]) == 2


def test_poller_asks_for_more_when_messages_prove_small(rig: Rig) -> None:
    """A backlog after a start may be of messages as large as can be."""
    rig.send(*["x"] * 3000)
    for _ in range(5):
        rig.poller.round()
    assert [len(bodies) for bodies in rig.bodies()] == [32, 128, 512, BATCH_MESSAGES, BATCH_MESSAGES]


def test_poller_goes_on_at_once_after_a_full_batch_only(rig: Rig) -> None:
    """Otherwise it lets messages gather."""
    rig.send(*["x"] * (FEW_MESSAGES + 1))
    waits = [rig.poller.round() for _ in range(3)]
    assert waits == [0.0, WINDOW_S, WINDOW_S]


def test_poller_ends_when_told_after_the_batch_in_hand(rig: Rig) -> None:
    """SIGTERM: what was begun is finished, nothing more is taken."""
    draining = threading.Event()
    rig.send("a")

    def drain(_event: dict[str, Any]) -> None:
        rig.send("later")
        draining.set()

    rig.behave = drain
    rig.poller.run(draining)
    ledger = rig.queue.ledger()
    assert (ledger.stored, ledger.queued) == (2, 2)


MESSAGES = [Message(each, "", each, 1, 1, 0) for each in ("m1", "m2")]


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        (fail(), set()),
        (fail("m1"), {"m1"}),
        (fail("m1", "m2"), {"m1", "m2"}),
        (fail(""), {"m1", "m2"}),
        (fail(None), {"m1", "m2"}),
        (fail("m1", "unknown"), {"m1", "m2"}),
        (fail({}), {"m1", "m2"}),
        ({"batchItemFailures": [{"id": "m1"}]}, {"m1", "m2"}),
        ({"batchItemFailures": 3}, {"m1", "m2"}),
        ("done", {"m1", "m2"}),
    ],
)
def test_report_is_read_as_lambda_reads_it(result: object, failed: set[str]) -> None:
    """Lambda, "Success and failure conditions" of partial batch responses."""
    assert failed_messages(result, MESSAGES) == failed


def test_consumer_runs_exactly_one_handler() -> None:
    """An app without one is a mistake worth a sentence."""
    with pytest.raises(LookupError, match="has 0 queue handlers"):
        sqs_handler(Chalice("none", configure_logs=False))
