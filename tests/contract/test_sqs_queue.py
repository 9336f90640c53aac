"""What the queue on SQS does that no other does, on servers with clocks of their own and on moto."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from chalicelib import tickets
from chalicelib.adapters.sqs_queue import SqsQueue
from chalicelib.errors import InvalidInput, TooLarge, Unavailable
from chalicelib.model import DeadLetter, Ledger, Message
from infra.emulators.server import Emulator
from tests.contract import sqs
from tests.contract.eventually import eventually

RECEIVES = 4


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module", params=["moto", "elasticmq"])
def connect(request: pytest.FixtureRequest) -> Iterator[sqs.Connection]:
    """Makes clients of the emulators."""
    if request.param == "moto":
        with mock_aws():
            yield sqs.Connection()
    else:
        queues: Emulator = request.getfixturevalue("elasticmq")
        records: Emulator = request.getfixturevalue("dynamodb")
        yield sqs.Connection(sqs=queues.url, dynamodb=records.url)


@pytest.fixture
def places(connect: sqs.Connection) -> sqs.Places:
    """An empty queue, and a table without records of another."""
    made = sqs.make(connect, f"queue-{time.time_ns()}", max_receive_count=RECEIVES)
    dynamodb = connect("dynamodb")
    for item in dynamodb.scan(TableName=made.table)["Items"]:
        dynamodb.delete_item(TableName=made.table, Key={name: item[name] for name in ("pk", "sk")})
    return made


@pytest.fixture
def queue(connect: sqs.Connection, places: sqs.Places) -> Iterator[SqsQueue]:
    opened = SqsQueue(*places, max_receive_count=RECEIVES, connect=connect)
    yield opened
    opened.close()


def receive(queue: SqsQueue, *, limit: int = 10, visibility_s: float = 30) -> list[Message]:
    return queue.receive(limit=limit, visibility_s=visibility_s, now_ms=now_ms())


def receive_again(queue: SqsQueue) -> Message:
    """The one message, as soon as SQS shows it."""
    found: list[Message] = []

    def shown() -> bool:
        found.extend(receive(queue, visibility_s=0))
        return bool(found)

    assert eventually(shown)
    return found[0]


def test_a_message_comes_as_it_was_sent_and_is_stored_once(queue: SqsQueue) -> None:
    before_ms = now_ms()
    message_id = queue.send('{"a": "ü"}', readings=7, now_ms=before_ms)
    assert queue.ledger() == Ledger(7, 0, 7, 0, 0, 0)
    [message] = receive(queue)
    assert (message.id, message.body, message.readings, message.receive_count) == (message_id, '{"a": "ü"}', 7, 1)
    assert abs(message.sent_ms - before_ms) < 5000
    assert queue.ledger() == Ledger(7, 0, 0, 7, 0, 0)
    queue.delete([message.receipt], now_ms=now_ms())
    queue.delete([message.receipt], now_ms=now_ms())
    assert queue.ledger() == Ledger(7, 7, 0, 0, 0, 0)
    assert receive(queue) == []


def test_what_others_received_for_us_is_counted_and_left_to_them(queue: SqsQueue, places: sqs.Places) -> None:
    """Lambda receives and deletes; the handler tells what is stored, and buries and discards by receipt."""
    for body in ("stored", "poison", "of nobody", "failed"):
        queue.send(body, readings=2, now_ms=now_ms())
    lambdas = {message.body: message for message in receive(queue)}
    handler = SqsQueue(*places, max_receive_count=RECEIVES, connect=queue._calls._connect)
    handler.adopt(list(lambdas.values()))
    handler.bury(lambdas["poison"].receipt, reason="bad", now_ms=now_ms())
    handler.discard(lambdas["of nobody"].receipt, readings=2, now_ms=now_ms())
    done = [lambdas[body].receipt for body in ("stored", "poison", "of nobody")]
    for _ in range(2):
        handler.settled(done, now_ms=now_ms())
    assert queue.ledger() == Ledger(accepted=8, stored=2, queued=0, in_flight=2, dead_lettered=2, discarded=2)
    assert [letter.body for letter in queue.dead_letters()] == ["poison"]


def test_the_handler_and_the_poller_of_one_process_count_once(queue: SqsQueue) -> None:
    queue.send("body", readings=3, now_ms=now_ms())
    messages = receive(queue)
    queue.adopt(messages)
    queue.settled([messages[0].receipt], now_ms=now_ms())
    queue.delete([messages[0].receipt], now_ms=now_ms())
    assert queue.ledger() == Ledger(3, 3, 0, 0, 0, 0)
    assert receive(queue) == []


def test_messages_of_many_threads_go_in_batches_and_each_gets_its_own_id(queue: SqsQueue) -> None:
    ids: list[str] = []

    def sender(name: int) -> None:
        ids.extend(queue.send(f"{name}.{count}", readings=1, now_ms=now_ms()) for count in range(5))

    threads = [threading.Thread(target=sender, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [message for _ in range(5) for message in receive(queue, limit=20)]
    assert sorted(message.id for message in found) == sorted(ids)
    assert len(set(ids)) == 40
    assert queue.ledger().accepted == 40


def test_a_ticket_is_left_with_who_collects(queue: SqsQueue) -> None:
    with tickets.collect() as collected:
        for name in range(25):
            queue.send(str(name), readings=1, now_ms=now_ms())
    for ticket in collected:
        ticket.result(10)
    found = [message.body for message in receive(queue, limit=100)]
    assert sorted(found, key=int) == [str(name) for name in range(25)]


def test_large_messages_are_sent_apart(queue: SqsQueue) -> None:
    """Ten of them would be over what one call takes, though each is not."""
    body = "x" * 400_000
    with tickets.collect() as collected:
        for _ in range(4):
            queue.send(body, readings=1, now_ms=now_ms())
    for ticket in collected:
        ticket.result(10)
    assert [len(message.body) for message in receive(queue, limit=4)] == [400_000] * 4


def test_the_largest_message_is_taken_and_a_byte_more_refused(queue: SqsQueue) -> None:
    queue.send("x" * (1_048_576 - 64), readings=1, now_ms=now_ms())
    with pytest.raises(TooLarge, match="the queue takes 1048512"):
        queue.send("x" * (1_048_576 - 63), readings=1, now_ms=now_ms())
    assert queue.ledger().accepted == 1


@pytest.mark.parametrize("body", ["", "\0", "a\x0bb", "\uffff"])
def test_text_that_sqs_does_not_take_is_refused(queue: SqsQueue, body: str) -> None:
    with pytest.raises(InvalidInput, match="control characters"):
        queue.send(body, readings=1, now_ms=now_ms())


def test_a_released_message_is_shown_again_after_whole_seconds(queue: SqsQueue) -> None:
    queue.send("body", readings=1, now_ms=now_ms())
    [message] = receive(queue)
    queue.release([message.receipt], delay_s=0.2, now_ms=now_ms())
    assert receive(queue) == []
    assert receive_again(queue).receive_count == 2


def test_a_message_received_too_often_is_a_dead_letter_with_a_reason(queue: SqsQueue) -> None:
    """SQS moves it to its dead-letter queue without a word, where it would be gone after 14 days."""
    message_id = queue.send("poison", readings=4, now_ms=now_ms())
    for _ in range(RECEIVES):
        receive_again(queue)
    assert eventually(lambda: receive(queue) == [] and len(queue.dead_letters()) == 1)
    [letter] = queue.dead_letters()
    assert (letter.id, letter.body, letter.readings) == (message_id, "poison", 4)
    assert letter.reason == "Received 4 times and never stored"
    assert queue.ledger() == Ledger(4, 0, 0, 0, 4, 0)


def test_an_outage_of_the_store_makes_no_dead_letter(queue: SqsQueue) -> None:
    """SQS counts deliveries that were nobody's fault: what wears out is sent anew."""
    queue.send("body", readings=3, now_ms=now_ms())
    for _ in range(4 * RECEIVES):
        message = receive_again(queue)
        queue.release([message.receipt], delay_s=0, now_ms=now_ms(), uncounted=True)
    assert queue.dead_letters() == []
    assert queue.ledger() == Ledger(3, 0, 3, 0, 0, 0)
    assert receive_again(queue).body == "body"


def test_a_dead_letter_keeps_a_body_that_no_item_holds(queue: SqsQueue) -> None:
    body = "ä" * 500_000
    queue.send(body, readings=1, now_ms=now_ms())
    [message] = receive(queue)
    queue.bury(message.receipt, reason="bad", now_ms=now_ms())
    letter = queue.dead_letter(message.id)
    assert letter is not None
    assert letter.body == body
    assert queue.replay(letter.id, now_ms=now_ms())
    assert receive_again(queue).body == body
    assert queue.dead_letters() == []
    assert (
        queue._records._dynamodb.query(
            TableName=sqs.TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"LETTER#{letter.id}"}},
        )["Items"]
        == []
    )


def test_burying_again_after_a_crash_counts_once(queue: SqsQueue, places: sqs.Places) -> None:
    """The letter was written and the message not deleted: it comes again."""
    queue.send("poison", readings=5, now_ms=now_ms())
    first = receive_again(queue)
    other = SqsQueue(*places, max_receive_count=RECEIVES, connect=queue._calls._connect)
    letter = DeadLetter(first.id, "part", 3, "bad", first.sent_ms, now_ms())
    other._records.add(letter, stored=2)
    again = receive_again(queue)
    queue.bury(again.receipt, reason="bad", now_ms=now_ms(), body="part", readings=3)
    assert queue.ledger() == Ledger(5, 2, 0, 0, 3, 0)
    assert queue.dead_letters() == [letter]


def test_the_oldest_age_grows_until_the_queue_is_empty(queue: SqsQueue) -> None:
    assert queue.oldest_age_s(now_ms=now_ms()) == 0.0
    seen_ms = now_ms()
    queue.send("body", readings=1, now_ms=seen_ms)
    age_s = queue.oldest_age_s(now_ms=now_ms() + 60_000)
    assert 60.0 <= age_s < 75.0
    [message] = receive(queue)
    queue.delete([message.receipt], now_ms=now_ms())
    assert queue.oldest_age_s(now_ms=now_ms() + 60_000) == 0.0


def test_a_message_that_nobody_counted_counts_when_something_is_wrong_with_it(
    queue: SqsQueue, places: sqs.Places
) -> None:
    """IoT Core cannot say how many readings a message has."""
    for body in ("fine", "poison", "of nobody"):
        queue._calls._sqs.send_message(QueueUrl=places.url, MessageBody=body)
    by_body = {message.body: message for message in receive(queue)}
    assert {message.readings for message in by_body.values()} == {0}
    queue.delete([by_body["fine"].receipt], now_ms=now_ms())
    queue.bury(by_body["poison"].receipt, reason="bad", now_ms=now_ms(), body="part", readings=2)
    queue.discard(by_body["of nobody"].receipt, readings=3, now_ms=now_ms())
    assert queue.ledger() == Ledger(accepted=5, stored=0, queued=0, in_flight=0, dead_lettered=2, discarded=3)


def test_a_queue_that_is_not_there_is_an_outage(connect: sqs.Connection, places: sqs.Places) -> None:
    gone = SqsQueue(f"{places.url}-gone", places.dead_letter_url, places.table, connect=connect)
    with pytest.raises(Unavailable, match="SQS does not do it"):
        gone.check()
    with pytest.raises(Unavailable, match="SQS does not do it"):
        gone.send("body", readings=1, now_ms=now_ms())
    gone.close()


def test_a_silent_service_is_an_outage(places: sqs.Places) -> None:
    nobody = sqs.Connection(sqs="http://127.0.0.1:9", dynamodb="http://127.0.0.1:9")
    silent = SqsQueue(*places, connect=nobody)
    with pytest.raises(Unavailable, match="SQS does not answer"):
        silent.check()
    with pytest.raises(Unavailable, match="SQS does not answer"):
        silent.send("body", readings=1, now_ms=now_ms())
    silent.close()


def test_a_reading_is_accepted_while_only_its_count_fails(
    connect: sqs.Connection, places: sqs.Places, caplog: pytest.LogCaptureFixture
) -> None:
    """It is durable; a refusal would make the device send it again."""
    queue = SqsQueue(places.url, places.dead_letter_url, "no-such-table", connect=connect)
    assert queue.send("body", readings=1, now_ms=now_ms())
    queue.close()
    assert "The ledger misses {'accepted': 1}" in caplog.text


class Failing:
    """A client of SQS that fails entries of batches before it does them.

    Args:
        client: The real one.
        ids: Of entries that fail the next `times` calls.
    """

    def __init__(self, client: Any, ids: set[str], times: int) -> None:
        self._client, self._ids, self._times = client, ids, times

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not name.endswith("_batch"):
            return method

        def call(*, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's
            failing = {entry["Id"] for entry in Entries} & self._ids if self._times else set()
            self._times -= bool(failing)
            good = [entry for entry in Entries if entry["Id"] not in failing]
            answer: dict[str, Any] = method(QueueUrl=QueueUrl, Entries=good) if good else {}
            failed = [{"Id": each, "SenderFault": False, "Code": "InternalError"} for each in failing]
            return {**answer, "Failed": answer.get("Failed", []) + failed}

        return call


def failing(queue: SqsQueue, ids: set[str], times: int) -> None:
    queue._calls.__dict__["_sqs"] = Failing(queue._calls._sqs, ids, times)


def test_entries_that_sqs_failed_are_sent_again(queue: SqsQueue) -> None:
    failing(queue, {"0", "1"}, times=2)
    assert queue.send("a", readings=1, now_ms=now_ms())
    assert [message.body for message in receive(queue)] == ["a"]
    assert queue.ledger().accepted == 1


def test_an_entry_that_sqs_never_takes_is_refused_and_its_neighbours_are_not(queue: SqsQueue) -> None:
    failing(queue, {"1"}, times=9)
    with tickets.collect() as collected:
        for body in "abc":
            queue.send(body, readings=1, now_ms=now_ms())
    outcomes = [ticket.exception(10) for ticket in collected]
    found = {message.body for message in receive(queue)}
    assert {body for body, error in zip("abc", outcomes, strict=True) if error is None} == found
    assert all(error is None or isinstance(error, Unavailable) for error in outcomes)
    assert queue.ledger().accepted == len(found)


def test_messages_that_sqs_did_not_delete_are_not_counted(queue: SqsQueue) -> None:
    queue.send("a", readings=1, now_ms=now_ms())
    [message] = receive(queue)
    failing(queue, {"0"}, times=3)
    with pytest.raises(Unavailable, match="1 of 1 entries failed"):
        queue.delete([message.receipt], now_ms=now_ms())
    assert queue.ledger() == Ledger(1, 0, 0, 1, 0, 0)


def test_a_mistake_in_a_call_passes_through(queue: SqsQueue) -> None:
    """Or it would be taken for an outage, and tried again for ever."""
    with pytest.raises(ClientError, match="Validation"):
        queue._records.count(at_ms=0, not_a_count_but_a_name_with_a_dot=1, **{"a.b": 1, "": 2})
