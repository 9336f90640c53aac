"""What every telemetry queue promises of messages that were received: receipts, dead letters, the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.model import Ledger
from tests.contract.queues import ADAPTERS, LOCAL, NOW_MS, Queue, opened, receive, send, settle_in_every_way, take_one


@pytest.fixture(params=ADAPTERS)
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """An empty queue that delivers a message three times."""
    with opened(request.param, tmp_path) as queue:
        yield queue


@pytest.fixture(params=LOCAL)
def local_queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """The same, of this machine."""
    with opened(request.param, tmp_path) as queue:
        yield queue


def test_delete_removes_for_good_and_counts_as_stored(queue: Queue) -> None:
    message = take_one(queue, readings=5)

    queue.delete([message.receipt], now_ms=NOW_MS)

    assert receive(queue, now_ms=NOW_MS + 60_000) == []
    assert queue.ledger() == Ledger(5, 5, 0, 0, 0, 0)


def test_delete_with_the_same_receipt_twice_counts_once(queue: Queue) -> None:
    message = take_one(queue, readings=5)

    queue.delete([message.receipt, message.receipt], now_ms=NOW_MS)
    queue.delete([message.receipt], now_ms=NOW_MS)

    assert queue.ledger() == Ledger(5, 5, 0, 0, 0, 0)


def test_delete_takes_a_thousand_receipts(local_queue: Queue) -> None:
    send(local_queue, *(str(number) for number in range(1000)))
    messages = receive(local_queue, limit=1000)

    local_queue.delete([message.receipt for message in messages], now_ms=NOW_MS)

    assert local_queue.ledger() == Ledger(1000, 1000, 0, 0, 0, 0)


def test_delete_after_the_visibility_ended_still_works_before_the_next_delivery(queue: Queue) -> None:
    message = take_one(queue)

    queue.delete([message.receipt], now_ms=NOW_MS + 60_000)

    assert receive(queue, now_ms=NOW_MS + 60_000) == []


@pytest.mark.parametrize("receipt", ["", "1", "1.2", "x.1", "-1.1", "99.1", "9" * 40 + ".1", "1.1.1", "²"])
def test_receipt_that_nobody_gave_does_nothing(queue: Queue, receipt: str) -> None:
    take_one(queue)
    before = queue.ledger()

    settle_in_every_way(queue, receipt)

    assert queue.ledger() == before


def test_stale_receipt_does_nothing(queue: Queue) -> None:
    stale = take_one(queue)
    [fresh] = receive(queue, now_ms=NOW_MS + 30_000)

    settle_in_every_way(queue, stale.receipt)

    assert queue.ledger() == Ledger(1, 0, 0, 1, 0, 0)
    queue.delete([fresh.receipt], now_ms=NOW_MS)
    assert queue.ledger() == Ledger(1, 1, 0, 0, 0, 0)


def test_receipt_of_a_settled_message_fits_no_later_message(queue: Queue) -> None:
    old = take_one(queue)
    queue.delete([old.receipt], now_ms=NOW_MS)
    take_one(queue)

    settle_in_every_way(queue, old.receipt)

    assert queue.ledger() == Ledger(2, 1, 0, 1, 0, 0)


def test_release_makes_visible_after_the_delay_and_keeps_the_count(local_queue: Queue) -> None:
    message = take_one(local_queue, readings=2)

    local_queue.release([message.receipt], delay_s=2.5, now_ms=NOW_MS)

    assert local_queue.ledger() == Ledger(2, 0, 2, 0, 0, 0)
    assert receive(local_queue, now_ms=NOW_MS + 2_499) == []
    [again] = receive(local_queue, now_ms=NOW_MS + 2_500)
    assert again.receive_count == 2
    assert local_queue.ledger() == Ledger(2, 0, 0, 2, 0, 0)


def test_release_without_delay_is_visible_at_once(queue: Queue) -> None:
    message = take_one(queue)

    queue.release([message.receipt], delay_s=0, now_ms=NOW_MS)

    assert len(receive(queue)) == 1


def test_released_message_may_still_be_settled_before_the_next_delivery(queue: Queue) -> None:
    message = take_one(queue)
    queue.release([message.receipt], delay_s=60, now_ms=NOW_MS)

    queue.delete([message.receipt], now_ms=NOW_MS)

    assert queue.ledger() == Ledger(1, 1, 0, 0, 0, 0)


def test_bury_moves_the_whole_message(queue: Queue) -> None:
    message = take_one(queue, readings=3)

    queue.bury(message.receipt, reason="the store refused it", now_ms=NOW_MS + 9)

    letter = queue.dead_letter(message.id)
    assert letter is not None
    assert (letter.body, letter.readings, letter.reason) == ("body", 3, "the store refused it")
    assert (letter.sent_ms, letter.buried_ms) == (NOW_MS, NOW_MS + 9)
    assert queue.ledger() == Ledger(3, 0, 0, 0, 3, 0)
    assert receive(queue, now_ms=NOW_MS + 60_000) == []


def test_bury_of_a_part_counts_the_rest_as_stored(queue: Queue) -> None:
    message = take_one(queue, readings=10)

    queue.bury(message.receipt, reason="bad", now_ms=NOW_MS, body="the bad part", readings=3)

    [letter] = queue.dead_letters()
    assert (letter.body, letter.readings) == ("the bad part", 3)
    assert queue.ledger() == Ledger(10, 7, 0, 0, 3, 0)


def test_bury_and_discard_refuse_more_readings_than_there_are(queue: Queue) -> None:
    message = take_one(queue, readings=2)

    with pytest.raises(ValueError, match="readings"):
        queue.bury(message.receipt, reason="bad", now_ms=NOW_MS, body="x", readings=3)
    with pytest.raises(ValueError, match="readings"):
        queue.discard(message.receipt, readings=3, now_ms=NOW_MS)

    assert queue.ledger() == Ledger(2, 0, 0, 2, 0, 0)
    assert queue.dead_letters() == []


def test_discard_counts_what_was_dropped_and_what_was_stored(queue: Queue) -> None:
    message = take_one(queue, readings=10)

    queue.discard(message.receipt, readings=4, now_ms=NOW_MS)

    assert queue.ledger() == Ledger(10, 6, 0, 0, 0, 4)
    assert receive(queue, now_ms=NOW_MS + 60_000) == []


def test_dead_letters_are_paged_by_id(queue: Queue) -> None:
    send(queue, *(str(number) for number in range(7)))
    messages = receive(queue)
    for message in reversed(messages):
        queue.bury(message.receipt, reason="bad", now_ms=NOW_MS)

    pages, after_id = [], None
    while page := queue.dead_letters(after_id=after_id, limit=3):
        pages.append([letter.id for letter in page])
        after_id = page[-1].id

    ids = sorted(message.id for message in messages)
    assert pages == [ids[:3], ids[3:6], ids[6:]]


def test_dead_letter_of_an_unknown_id_is_none(queue: Queue) -> None:
    assert queue.dead_letter("nothing") is None
    assert not queue.replay("nothing", now_ms=NOW_MS)
    assert not queue.discard_letter("nothing", now_ms=NOW_MS)


def test_replay_queues_again_with_a_clean_count(queue: Queue) -> None:
    message = take_one(queue, readings=6)
    queue.bury(message.receipt, reason="bad", now_ms=NOW_MS, body="the bad part", readings=2)

    assert queue.replay(message.id, now_ms=NOW_MS + 1000)

    assert queue.ledger() == Ledger(6, 4, 2, 0, 0, 0)
    assert queue.dead_letters() == []
    [again] = receive(queue, now_ms=NOW_MS + 1000)
    assert (again.body, again.readings, again.receive_count, again.sent_ms) == ("the bad part", 2, 1, NOW_MS + 1000)
    settle_in_every_way(queue, message.receipt)
    assert queue.ledger() == Ledger(6, 4, 0, 2, 0, 0)
    assert not queue.replay(message.id, now_ms=NOW_MS)


def test_replayed_message_can_become_a_dead_letter_again(queue: Queue) -> None:
    message = take_one(queue)
    queue.bury(message.receipt, reason="first", now_ms=NOW_MS)
    queue.replay(message.id, now_ms=NOW_MS)
    [again] = receive(queue)

    queue.bury(again.receipt, reason="second", now_ms=NOW_MS)

    assert [letter.reason for letter in queue.dead_letters()] == ["second"]
    assert queue.ledger() == Ledger(1, 0, 0, 0, 1, 0)


def test_discard_letter_drops_for_good(queue: Queue) -> None:
    message = take_one(queue, readings=3)
    queue.bury(message.receipt, reason="bad", now_ms=NOW_MS)

    assert queue.discard_letter(message.id, now_ms=NOW_MS)

    assert queue.ledger() == Ledger(3, 0, 0, 0, 0, 3)
    assert queue.dead_letter(message.id) is None
    assert not queue.discard_letter(message.id, now_ms=NOW_MS)
