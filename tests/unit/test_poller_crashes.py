"""A message whose handling kills the consumer becomes a dead letter alone; what was delivered beside it is stored."""

from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

import pytest

from chalicelib.adapters.memory_queue import MemoryQueue
from infra.local.lambda_context import LambdaContext
from infra.local.poller import Poller

NOW_MS = 1_700_000_000_000
VISIBILITY_S = 30
ROUNDS = 20
"""Of one consumer, unless it is killed; more than any test has messages."""


class Killed(BaseException):
    """The end of the process: nothing catches it."""


class Consumers:
    """One consumer after the other on the same queue; each lives until a deadly message.

    Attributes:
        batches: The bodies of every delivery to the handler.
    """

    def __init__(self, queue: MemoryQueue, deadly: AbstractSet[str]) -> None:
        self.queue = queue
        self.now_ms = NOW_MS
        self.batches: list[list[str]] = []
        self._deadly = deadly

    def live(self) -> None:
        """From a start to a kill, or until nothing has been left to do for long."""
        poller = Poller(
            self.queue,
            self._handle,
            name="consume",
            queue_name="telemetry",
            visibility_s=VISIBILITY_S,
            now_ms=lambda: self.now_ms,
        )
        with suppress(Killed):
            for _ in range(ROUNDS):
                poller.round()

    def live_on(self, lives: int) -> None:
        """Live, and start again when the messages in hand are shown again."""
        for _ in range(lives):
            self.live()
            self.now_ms += VISIBILITY_S * 1000

    def _handle(self, event: dict[str, Any], _context: LambdaContext) -> None:
        bodies = [record["body"] for record in event["Records"]]
        self.batches.append(bodies)
        if not self._deadly.isdisjoint(bodies):
            raise Killed


@pytest.fixture
def queue() -> MemoryQueue:
    """Buries after three deliveries."""
    return MemoryQueue(max_receive_count=3)


def send(queue: MemoryQueue, *bodies: str) -> None:
    for body in bodies:
        queue.send(body, readings=1, now_ms=NOW_MS)


def test_deadly_messages_are_buried_and_their_neighbours_stored(queue: MemoryQueue) -> None:
    """Two of them, so that the neighbours of one wait while the other kills."""
    send(queue, *(f"a{number}" for number in range(5)), "deadly 1", *(f"b{number}" for number in range(5)), "deadly 2")
    consumers = Consumers(queue, {"deadly 1", "deadly 2"})
    consumers.live_on(10)
    assert [letter.body for letter in queue.dead_letters()] == ["deadly 1", "deadly 2"]
    ledger = queue.ledger()
    assert (ledger.stored, ledger.dead_lettered, ledger.queued, ledger.in_flight) == (10, 2, 0, 0)


def test_messages_that_outlived_their_consumer_are_delivered_alone(queue: MemoryQueue) -> None:
    """Whoever killed it was among them; fresh ones come together again afterwards."""
    send(queue, "a", "deadly", "b")
    consumers = Consumers(queue, {"deadly"})
    consumers.live()
    send(queue, "c", "d")
    consumers.now_ms += VISIBILITY_S * 1000
    consumers.live()
    consumers.live()
    assert consumers.batches == [["a", "deadly", "b"], ["a"], ["deadly"], ["b"], ["c", "d"]]
