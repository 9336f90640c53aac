"""What every telemetry queue promises of sending and receiving, whatever it is made of."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import tickets
from chalicelib.errors import InvalidInput, TooLarge
from chalicelib.model import Ledger
from tests.contract.queues import (
    ADAPTERS,
    LOCAL,
    MAX_RECEIVE_COUNT,
    NOW_MS,
    Queue,
    bodies,
    opened,
    receive,
    send,
    take_one,
)


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


def test_send_makes_a_message_that_is_received_as_it_was_sent(queue: Queue) -> None:
    message_id = queue.send('{"a": 1}', readings=7, now_ms=NOW_MS)

    [message] = receive(queue, now_ms=NOW_MS + 5)

    assert (message.id, message.body, message.readings) == (message_id, '{"a": 1}', 7)
    assert (message.receive_count, message.sent_ms) == (1, NOW_MS)


@pytest.mark.parametrize("body", ["é\n\u2028", "\U0001f600" * 100, "x" * 100_000])
def test_send_keeps_any_text(queue: Queue, body: str) -> None:
    send(queue, body)

    assert bodies(receive(queue)) == [body]


@pytest.mark.parametrize("body", ["", "\0", "a\0b"])
def test_send_keeps_text_that_no_json_is(local_queue: Queue, body: str) -> None:
    """SQS refuses it, see test_sqs_queue."""
    send(local_queue, body)

    assert bodies(receive(local_queue)) == [body]


def test_send_gives_every_message_an_id_of_its_own_in_order_of_time(local_queue: Queue) -> None:
    ids = [local_queue.send("same", readings=1, now_ms=NOW_MS + number) for number in range(100)]

    assert ids == sorted(set(ids))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_send_refuses_what_is_over_the_size_limit_in_bytes(adapter: str, tmp_path: Path) -> None:
    with opened(adapter, tmp_path, max_message_bytes=10) as queue:
        send(queue, "é" * 5)

        with pytest.raises(TooLarge) as caught:
            send(queue, "é" * 5 + "x")

        assert (caught.value.field, caught.value.limit) == ("body", "10 bytes")
        assert queue.ledger().accepted == 1


def test_send_refuses_lone_surrogates_without_harm_to_others(queue: Queue) -> None:
    with tickets.collect() as collected:
        send(queue, "before")
        with pytest.raises(InvalidInput):
            send(queue, "\ud800")
        send(queue, "after")
    for ticket in collected:
        ticket.result(10)

    assert bodies(receive(queue)) == ["before", "after"]


def test_send_refuses_a_negative_number_of_readings(queue: Queue) -> None:
    with pytest.raises(ValueError, match="readings"):
        send(queue, "body", readings=-1)

    assert queue.ledger().accepted == 0


def test_send_from_many_threads_loses_and_doubles_nothing(local_queue: Queue) -> None:
    sent: list[str] = []

    def sender(number: int) -> None:
        sent.extend(local_queue.send(f"{number}.{count}", readings=2, now_ms=NOW_MS) for count in range(20))

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    received = receive(local_queue, limit=1000)
    assert sorted(message.id for message in received) == sorted(sent)
    assert len(set(sent)) == 320
    assert local_queue.ledger() == Ledger(640, 0, 0, 640, 0, 0)


def test_receive_from_an_empty_queue_gives_nothing(queue: Queue) -> None:
    assert receive(queue) == []


def test_receive_takes_up_to_the_limit_oldest_first(queue: Queue) -> None:
    send(queue, *"abcde")

    assert bodies(receive(queue, limit=2)) == ["a", "b"]
    assert bodies(receive(queue, limit=10)) == ["c", "d", "e"]


def test_receive_takes_a_thousand_at_once(local_queue: Queue) -> None:
    send(local_queue, *(str(number) for number in range(1200)))

    assert bodies(receive(local_queue, limit=1000)) == [str(number) for number in range(1000)]


def test_receive_hides_what_it_took_until_its_visibility_ends(queue: Queue) -> None:
    first = take_one(queue)

    assert receive(queue, now_ms=NOW_MS + 29_999) == []
    [second] = receive(queue, now_ms=NOW_MS + 30_000)

    assert (second.id, second.receive_count) == (first.id, 2)
    assert second.receipt != first.receipt


def test_receive_prefers_a_message_that_came_back_to_younger_ones(queue: Queue) -> None:
    send(queue, *"ab")
    receive(queue, limit=1)
    send(queue, "c")

    assert bodies(receive(queue, now_ms=NOW_MS + 60_000)) == ["a", "b", "c"]


def test_receive_hides_nothing_longer_when_the_clock_stepped_back(local_queue: Queue) -> None:
    """An hour back: the messages would be hidden for an hour."""
    take_one(local_queue)

    assert len(receive(local_queue, now_ms=NOW_MS - 3_600_000)) == 1


def test_receive_takes_a_clock_that_is_a_little_behind_for_a_race(queue: Queue) -> None:
    """Another process read its clock before and got its turn after: it must not get the same message."""
    take_one(queue)

    assert receive(queue, now_ms=NOW_MS - 20) == []


def test_receive_redelivers_early_when_the_clock_stepped_forward(queue: Queue) -> None:
    take_one(queue)

    assert len(receive(queue, now_ms=NOW_MS + 86_400_000)) == 1


def test_receive_from_many_threads_gives_no_message_twice(local_queue: Queue) -> None:
    sent = send(local_queue, *(str(number) for number in range(500)))
    received: list[str] = []

    def consumer() -> None:
        while messages := local_queue.receive(limit=7, visibility_s=3600, now_ms=NOW_MS):
            received.extend(message.id for message in messages)

    threads = [threading.Thread(target=consumer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(received) == sorted(sent)


def test_receive_moves_a_message_to_the_dead_letters_when_it_came_too_often(queue: Queue) -> None:
    message_id = queue.send("poison", readings=4, now_ms=NOW_MS)
    for delivery in range(MAX_RECEIVE_COUNT):
        [message] = receive(queue, now_ms=NOW_MS + delivery * 30_000)
        assert message.receive_count == delivery + 1
    send(queue, "neighbour")

    last_ms = NOW_MS + MAX_RECEIVE_COUNT * 30_000
    assert bodies(receive(queue, now_ms=last_ms)) == ["neighbour"]

    [letter] = queue.dead_letters()
    assert (letter.id, letter.body, letter.readings) == (message_id, "poison", 4)
    assert letter.reason == "Received 3 times and never stored"
    assert (letter.sent_ms, letter.buried_ms) == (NOW_MS, last_ms)
    assert queue.ledger() == Ledger(accepted=5, stored=0, queued=0, in_flight=1, dead_lettered=4, discarded=0)


def test_ledger_of_a_new_queue_is_empty(queue: Queue) -> None:
    assert queue.ledger() == Ledger(0, 0, 0, 0, 0, 0)


def test_oldest_age_is_that_of_the_oldest_message_to_be_stored(local_queue: Queue) -> None:
    assert local_queue.oldest_age_s(now_ms=NOW_MS) == 0.0
    local_queue.send("a", readings=1, now_ms=NOW_MS)
    local_queue.send("b", readings=1, now_ms=NOW_MS + 4000)
    assert local_queue.oldest_age_s(now_ms=NOW_MS + 5500) == 5.5

    [oldest] = receive(local_queue, now_ms=NOW_MS + 5500, limit=1)
    assert local_queue.oldest_age_s(now_ms=NOW_MS + 5500) == 5.5

    local_queue.delete([oldest.receipt], now_ms=NOW_MS + 5500)
    assert local_queue.oldest_age_s(now_ms=NOW_MS + 5500) == 1.5
    assert local_queue.oldest_age_s(now_ms=NOW_MS - 5500) == 0.0


def test_check_answers(queue: Queue) -> None:
    queue.check()
