"""From a broker into the queue: all of it or nothing, only under a current tenure, and what was taken is known."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from chalicelib import codec, ingest
from chalicelib.adapters.memory_devices import MemoryDevices
from chalicelib.adapters.memory_presence import MemoryPresence
from chalicelib.adapters.memory_queue import MemoryQueue
from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.adapters.plain_inbox import PlainInbox
from chalicelib.adapters.sqlite_inbox import SqliteInbox
from chalicelib.adapters.sqlite_lease import SqliteLease
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.delivery import MAX_REMEMBERED, Delivery, Refused
from chalicelib.errors import Conflict
from chalicelib.model import Batch, DeviceRef, Reading
from chalicelib.ports import Tenure

NOW_MS = 1_800_000_000_000
DEVICE = DeviceRef("default", 1)


class Parts(NamedTuple):
    """The adapters on one file."""

    inbox: SqliteInbox
    lease: SqliteLease
    queue: SqliteQueue


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    path = tmp_path / "queue.db"
    made = Parts(SqliteInbox(path), SqliteLease(path), SqliteQueue(path))
    yield made
    made.inbox.database.close()
    made.lease.database.close()
    made.queue.close()


def begun(parts: Parts, holder: str = "one", now_ms: int = NOW_MS) -> Tenure:
    tenure = parts.lease.acquire("bridge", holder, ttl_s=3, now_ms=now_ms)
    assert tenure is not None
    return tenure


def a_delivery(*numbers: int, refused: tuple[str, ...] = ()) -> Delivery:
    """One reading for each number, which is its packet id and its digest too."""
    delivery = Delivery()
    for number in numbers:
        batch = Batch(DEVICE, NOW_MS, (Reading(DEVICE, NOW_MS + number, {"n": number}),))
        delivery.send(codec.batch_to_json(batch), readings=1, now_ms=NOW_MS)
        delivery.marks.append((number, number))
    delivery.refused += [Refused(body, "not JSON") for body in refused]
    return delivery


def received(queue: SqliteQueue) -> list[object]:
    messages = queue.receive(limit=1000, visibility_s=30, now_ms=NOW_MS)
    batches = [batch for message in messages for batch in codec.batches_from_json(message.body)]
    return [reading.values["n"] for batch in batches for reading in batch.readings]


def test_accepted_are_queued_in_order_and_refused_are_dead_letters_with_their_reason(parts: Parts) -> None:
    parts.inbox.take([a_delivery(1, 2, refused=("{",)), a_delivery(3)], begun(parts), now_ms=NOW_MS)
    ledger = parts.queue.ledger()
    assert (ledger.accepted, ledger.queued, ledger.dead_lettered) == (4, 3, 1)
    assert ledger.balanced
    assert received(parts.queue) == [1, 2, 3]
    (letter,) = parts.queue.dead_letters()
    assert (letter.body, letter.reason, letter.readings, letter.sent_ms) == ("{", "not JSON", 1, NOW_MS)


def test_messages_travel_joined_but_never_grow_beyond_a_size(parts: Parts) -> None:
    parts.inbox.take([a_delivery(*range(1, 2001))], begun(parts), now_ms=NOW_MS)
    messages = parts.queue.receive(limit=1000, visibility_s=30, now_ms=NOW_MS)
    assert sum(message.readings for message in messages) == 2000
    assert 1 < len(messages) < 10
    assert max(len(message.body) for message in messages) < 70_000


def test_nothing_is_taken_under_a_tenure_that_is_over(parts: Parts) -> None:
    old = begun(parts)
    new = begun(parts, "two", NOW_MS + 3000)
    with pytest.raises(Conflict) as raised:
        parts.inbox.take([a_delivery(1, refused=("{",))], old, now_ms=NOW_MS)
    assert raised.value.code == "lease_lost"
    assert parts.queue.ledger().accepted == 0
    assert parts.inbox.taken("bridge") == ({}, 0)
    parts.inbox.take([a_delivery(1)], new, now_ms=NOW_MS)
    assert parts.queue.ledger().accepted == 1


def test_a_tenure_whose_time_is_over_still_counts_while_nobody_else_has_begun(parts: Parts) -> None:
    parts.inbox.take([a_delivery(1)], begun(parts), now_ms=NOW_MS + 3_600_000)
    assert parts.queue.ledger().accepted == 1


def test_what_was_taken_is_known_to_the_next_tenure_and_to_no_other_name(parts: Parts) -> None:
    parts.inbox.take([a_delivery(1, 2)], begun(parts), now_ms=NOW_MS)
    parts.inbox.take([a_delivery(3)], begun(parts), now_ms=NOW_MS)
    assert parts.inbox.taken("bridge").marks == {1: 1, 2: 2, 3: 3}
    assert parts.inbox.taken("other") == ({}, 0)


def test_of_a_packet_id_that_came_again_the_last_content_is_known(parts: Parts) -> None:
    first, second = Delivery(), Delivery()
    first.marks, second.marks = [(7, 100)], [(7, 200)]
    parts.inbox.take([first, second], begun(parts), now_ms=NOW_MS)
    assert parts.inbox.taken("bridge").marks == {7: 200}


def test_memory_reaches_as_far_back_as_a_repetition_can_come_from(parts: Parts) -> None:
    tenure, size = begun(parts), 10_000
    for first in range(0, 200_000, size):
        delivery = Delivery()
        delivery.marks = [(number % 65_535 + 1, number) for number in range(first, first + size)]
        parts.inbox.take([delivery], tenure, now_ms=NOW_MS)
    taken = parts.inbox.taken("bridge").marks
    assert sorted(taken.values()) == list(range(200_000 - MAX_REMEMBERED, 200_000))
    with parts.inbox.database.reading() as connection:
        assert connection.execute("SELECT sum(length(marks)) FROM delivered").fetchone()[0] < 500_000


def test_a_successor_learns_the_latest_time_that_was_given(parts: Parts) -> None:
    """Also from messages that the broker does not repeat; times run ahead of the clock after a burst."""
    first, second = Delivery(), Delivery()
    first.stamped_ms, second.stamped_ms = NOW_MS + 500, NOW_MS + 200
    parts.inbox.take([first, second], begun(parts), now_ms=NOW_MS)
    begun(parts, "two", NOW_MS + 3000)
    assert parts.inbox.taken("bridge").stamped_ms == NOW_MS + 500


def test_delivery_of_nothing_changes_nothing(parts: Parts) -> None:
    parts.inbox.take([Delivery()], begun(parts), now_ms=NOW_MS)
    assert parts.queue.ledger().accepted == 0


def test_a_queue_without_transactions_gets_the_same_messages_and_the_refused_are_buried_by_the_consumer() -> None:
    queue = MemoryQueue()
    PlainInbox(queue).take([a_delivery(1, 2, refused=("{",))], Tenure("bridge", 1), now_ms=NOW_MS)
    assert queue.ledger().accepted == 3
    sinks = ingest.Sinks(queue, MemoryReadings(), MemoryDevices(), MemoryPresence())
    ingest.store(queue.receive(limit=10, visibility_s=30, now_ms=NOW_MS), sinks, now_ms=NOW_MS)
    (letter,) = queue.dead_letters()
    assert letter.body == "not JSON: {"
    assert letter.reason.startswith("Unreadable message")
    assert PlainInbox(queue).taken("bridge") == ({}, 0)
