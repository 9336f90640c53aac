"""One message of the queue for all that comes in one turn; each sender is told what it would have been told alone."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from chalicelib import tickets
from chalicelib.codec import batch_to_json, batches_from_json
from chalicelib.errors import Unavailable
from chalicelib.model import Batch, DeviceRef, Reading
from mqtt_bridge.joining import MAX_JOINED_CHARACTERS, Joiner

NOW_MS = 1_800_000_000_000


class Slow:
    """A queue whose commits the test ends; outside `collect()` it is durable at once.

    Attributes:
        sent: Bodies, with their numbers of readings.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.commits: list[Future[None]] = []
        self.away = False

    def send(self, body: str, *, readings: int, now_ms: int) -> None:
        assert now_ms == NOW_MS
        if self.away:
            raise Unavailable("away")
        self.sent.append((body, readings))
        if tickets.collecting():
            self.commits.append(Future())
            tickets.leave(self.commits[-1])


class Turn:
    """An event loop that is at the end of its turn when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def end(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


@pytest.fixture
def queue() -> Slow:
    return Slow()


@pytest.fixture
def turn() -> Turn:
    return Turn()


@pytest.fixture
def joiner(queue: Slow, turn: Turn) -> Joiner:
    return Joiner(queue, turn.call_soon)


def body(device_id: int, text: str = "") -> str:
    device = DeviceRef("default", device_id)
    return batch_to_json(Batch(device, NOW_MS, (Reading(device, NOW_MS, {"text": text}),)))


def send(joiner: Joiner, *bodies: str) -> list[Future[None]]:
    """As one read of one connection; returns its tickets."""
    with tickets.collect() as found:
        for each in bodies:
            joiner.send(each, readings=1, now_ms=NOW_MS)
    return found


def test_all_of_a_turn_is_one_message_in_the_order_of_coming(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    first, second = send(joiner, body(1), body(2)), send(joiner, body(1))
    assert queue.sent == []
    turn.end()
    [(joined, readings)] = queue.sent
    assert readings == 3
    assert [batch.device.id for batch in batches_from_json(joined)] == [1, 2, 1]
    assert first == second, "they wait for the same commit"
    assert len(first) == 1, "however many a sender has in it"


def test_nobody_is_told_before_the_commit(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    (ticket,) = send(joiner, body(1))
    turn.end()
    assert not ticket.done()
    queue.commits[0].set_result(None)
    assert ticket.result(0) is None


def test_failed_commit_fails_for_all(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    found = send(joiner, body(1)) + send(joiner, body(2))
    turn.end()
    queue.commits[0].set_exception(Unavailable("disk full"))
    for ticket in found:
        with pytest.raises(Unavailable, match="disk full"):
            ticket.result(0)


def test_queue_that_takes_nothing_fails_this_turn_and_not_the_next(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    queue.away = True
    (refused,) = send(joiner, body(1))
    turn.end()
    with pytest.raises(Unavailable):
        refused.result(0)
    queue.away = False
    (accepted,) = send(joiner, body(1))
    turn.end()
    queue.commits[0].set_result(None)
    assert accepted.result(0) is None


def test_turns_are_apart(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    (first,) = send(joiner, body(1))
    turn.end()
    (second,) = send(joiner, body(2))
    turn.end()
    queue.commits[1].set_result(None)
    assert (first.done(), second.done(), len(queue.sent)) == (False, True, 2)


def test_joined_message_is_bounded(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    half = body(1, "x" * (MAX_JOINED_CHARACTERS // 2))
    found = send(joiner, half, half, half)
    assert [readings for _, readings in queue.sent] == [2], "it does not wait for the end of the turn"
    turn.end()
    assert [readings for _, readings in queue.sent] == [2, 1]
    assert len(found) == 2, "the sender waits for both"


def test_large_message_goes_alone_and_at_once(joiner: Joiner, queue: Slow, turn: Turn) -> None:
    large = body(1, "x" * MAX_JOINED_CHARACTERS)
    found = send(joiner, body(2), large)
    assert queue.sent == [(large, 1)]
    turn.end()
    assert [readings for _, readings in queue.sent] == [1, 1]
    assert len(found) == 2


def test_who_waits_at_once_is_not_joined(joiner: Joiner, queue: Slow) -> None:
    """Work in a thread, where nobody ends the turn."""
    joiner.send(body(1), readings=1, now_ms=NOW_MS)
    assert len(queue.sent) == 1
