"""A released message is shown again; the delivery counts towards the dead letters, unless the store was away."""

from pathlib import Path

import pytest

from chalicelib.adapters.memory_queue import MemoryQueue
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.model import Message
from chalicelib.ports import TelemetryQueue

NOW_MS = 1_700_000_000_000


@pytest.fixture(params=["memory", "sqlite"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> TelemetryQueue:
    """A queue that buries a message after two deliveries."""
    if request.param == "memory":
        return MemoryQueue(max_receive_count=2)
    return SqliteQueue(tmp_path / "queue.db", max_receive_count=2)


def receive(queue: TelemetryQueue) -> list[Message]:
    """Take what is visible."""
    return queue.receive(limit=10, visibility_s=30, now_ms=NOW_MS)


def test_uncounted_release_never_makes_a_dead_letter(queue: TelemetryQueue) -> None:
    """An outage, however long, buries nothing."""
    queue.send("body", readings=3, now_ms=NOW_MS)
    for _ in range(10):
        [message] = receive(queue)
        assert message.receive_count == 1
        queue.release([message.receipt], delay_s=0, now_ms=NOW_MS, uncounted=True)
    assert queue.dead_letters() == []
    assert queue.ledger().queued == 3


def test_counted_release_makes_a_dead_letter_after_the_last_delivery(queue: TelemetryQueue) -> None:
    """A message that keeps failing is buried."""
    queue.send("body", readings=3, now_ms=NOW_MS)
    for count in (1, 2):
        [message] = receive(queue)
        assert message.receive_count == count
        queue.release([message.receipt], delay_s=0, now_ms=NOW_MS)
    assert receive(queue) == []
    assert [letter.readings for letter in queue.dead_letters()] == [3]


def test_receipt_of_an_uncounted_delivery_is_stale_after_the_next(queue: TelemetryQueue) -> None:
    """Not counting a delivery does not bring its receipt back to life."""
    queue.send("body", readings=1, now_ms=NOW_MS)
    [first] = receive(queue)
    queue.release([first.receipt], delay_s=0, now_ms=NOW_MS, uncounted=True)
    [second] = receive(queue)
    queue.delete([first.receipt], now_ms=NOW_MS)
    assert queue.ledger().in_flight == 1
    queue.delete([second.receipt], now_ms=NOW_MS)
    assert queue.ledger().stored == 1


def test_uncounted_release_twice_uncounts_once(queue: TelemetryQueue) -> None:
    """A release that is repeated gives back one delivery only."""
    queue.send("body", readings=1, now_ms=NOW_MS)
    [message] = receive(queue)
    for _ in range(3):
        queue.release([message.receipt], delay_s=0, now_ms=NOW_MS, uncounted=True)
    assert [again.receive_count for again in receive(queue)] == [1]
