"""The telemetry queue on SQS; what SQS cannot keep is in DynamoDB, see `sqs_records`.

A call whose outcome is unknown may have had its effect: a message may be sent twice, which stores nothing twice,
since device, measurement and timestamp are what a value is known by.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from chalicelib import tickets
from chalicelib.adapters import aws_client, queue_rules
from chalicelib.adapters.group_commit import GroupCommitter
from chalicelib.adapters.sqs_calls import SqsCalls
from chalicelib.adapters.sqs_messages import BATCH, MAX_BYTES, Sent, checked, fitting, sent
from chalicelib.adapters.sqs_receipts import Receipts
from chalicelib.adapters.sqs_records import SqsRecords
from chalicelib.errors import Unavailable
from chalicelib.model import DeadLetter, Ledger, Message

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 20.0
"""Longer than all attempts of `aws_client.CONFIG` together."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
SPENT_VISIBILITY_S = 60.0


class SqsQueue:
    """One queue with its dead-letter queue, which take part in a redrive policy of `max_receive_count` deliveries.

    Args:
        url: The queue's.
        dead_letter_url: Where SQS puts messages that were received too often; `tidy` takes them out again.
        table: Of DynamoDB, for ledger and dead letters.
        max_receive_count: Of the redrive policy.
        max_message_bytes: The largest body, as UTF-8; SQS takes 1 MiB at most.
        wait_s: How long `receive` waits for a first message: a long poll.
        connect: Makes clients.
    """

    def __init__(
        self,
        url: str,
        dead_letter_url: str,
        table: str,
        *,
        max_receive_count: int = 50,
        max_message_bytes: int = MAX_BYTES,
        wait_s: int = 0,
        connect: Callable[[str], Any] = aws_client.client,
    ) -> None:
        self._calls = SqsCalls(url, connect=connect)
        self._spent = SqsCalls(dead_letter_url, connect=connect)
        self._records = SqsRecords(table, connect=connect)
        self._receipts = Receipts()
        self._max_receive_count = max_receive_count
        self._max_message_bytes = max_message_bytes
        self._wait_s = wait_s
        self._empty_ms = 0
        self._sending = GroupCommitter(
            self._send_all, finish=lambda: None, name="sqs-sending", max_waiting_bytes=MAX_WAITING_BYTES
        )

    def send(self, body: str, *, readings: int, now_ms: int) -> str:  # noqa: ARG002 - SQS has a clock of its own
        """As the port says; the id is known once the ticket ended, and empty where one was left."""
        message = checked(body, readings, self._max_message_bytes)
        self._sending.add(message, message.size_bytes)
        tickets.redeem(message.ticket, SEND_TIMEOUT_S)
        return str(message.ticket.result()) if message.ticket.done() else ""

    def receive(self, *, limit: int, visibility_s: float, now_ms: int) -> list[Message]:
        messages = self._calls.receive(limit=limit, visibility_s=visibility_s, wait_s=self._wait_s)
        if not messages:
            self._empty_ms = now_ms
        self._receipts.add(messages, visibility_s)
        return messages

    def adopt(self, messages: Sequence[Message]) -> None:
        self._receipts.replace(messages)

    def settled(self, receipts: Sequence[str], *, now_ms: int) -> None:  # noqa: ARG002
        self._count_stored(self._receipts.uncounted(receipts))

    def delete(self, receipts: Sequence[str], *, now_ms: int) -> None:  # noqa: ARG002
        known = self._receipts.known(receipts)
        good = self._calls.delete([message.receipt for message in known])
        self._count_stored([message for message in self._receipts.uncounted(receipts) if message.receipt in good])
        self._receipts.drop(good)

    def release(self, receipts: Sequence[str], *, delay_s: float, now_ms: int, uncounted: bool = False) -> None:  # noqa: ARG002
        """As the port says, in whole seconds; SQS itself counts every delivery.

        So a message that is let off and has used half of its deliveries up is sent anew, and the old one deleted.
        """
        known = self._receipts.known(receipts)
        worn = [message for message in known if uncounted and 2 * message.receive_count >= self._max_receive_count]
        for message in worn:
            self._renew(message)
        self._calls.hide([message.receipt for message in known if message not in worn], delay_s)

    def bury(
        self, receipt: str, *, reason: str, now_ms: int, body: str | None = None, readings: int | None = None
    ) -> None:
        for message in self._receipts.known([receipt]):
            buried = message.readings if readings is None else readings
            stored = queue_rules.part_of(buried, self._whole(message, buried))
            text = message.body if body is None else body
            self._bury(DeadLetter(message.id, text, buried, reason, message.sent_ms, now_ms), stored=stored)
            self._calls.delete([receipt])
            self._receipts.drop([receipt])

    def discard(self, receipt: str, *, readings: int, now_ms: int) -> None:  # noqa: ARG002
        for message in self._receipts.known([receipt]):
            stored = queue_rules.part_of(readings, self._whole(message, readings))
            if self._calls.delete([receipt]):
                self._records.count(at_ms=message.sent_ms, discarded=readings, stored=stored)
            self._receipts.drop([receipt])

    def dead_letters(self, *, after_id: str | None = None, limit: int = 100) -> list[DeadLetter]:
        self.tidy(now_ms=time.time_ns() // 1_000_000)
        return self._records.letters(after_id=after_id or "", limit=limit)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        return self._records.letter(letter_id)

    def replay(self, letter_id: str, *, now_ms: int) -> bool:  # noqa: ARG002
        """As the port says. It is sent first: a failure between the two sends it again, and loses nothing."""
        letter = self._records.letter(letter_id)
        if letter is None:
            return False
        self._send_one(letter.body, letter.readings)
        return self._records.remove(letter)

    def discard_letter(self, letter_id: str, *, now_ms: int) -> bool:  # noqa: ARG002
        letter = self._records.letter(letter_id)
        return letter is not None and self._records.remove(letter, discarded=letter.readings)

    def tidy(self, *, now_ms: int) -> None:
        """Make dead letters of what SQS moved to its dead-letter queue, where it would be gone after some days."""
        while messages := self._spent.receive(limit=BATCH, visibility_s=SPENT_VISIBILITY_S, wait_s=0):
            for message in messages:
                reason = queue_rules.spent_reason(self._max_receive_count)
                letter = DeadLetter(message.id, message.body, message.readings, reason, message.sent_ms, now_ms)
                self._bury(letter, stored=0)
                self._spent.delete([message.receipt])

    def ledger(self) -> Ledger:
        """As the port says, but it follows the messages: see docs/adr/0020 for what that means."""
        counts = self._records.counts()
        visible, hidden = self._calls.depth()
        left = max(0, counts.accepted - counts.stored - counts.discarded - counts.dead_lettered)
        in_flight = round(left * hidden / (visible + hidden)) if hidden else 0
        return Ledger(
            accepted=counts.accepted,
            stored=counts.accepted - left - counts.discarded - counts.dead_lettered,
            queued=left - in_flight,
            in_flight=in_flight,
            dead_lettered=counts.dead_lettered,
            discarded=counts.discarded,
        )

    def oldest_age_s(self, *, now_ms: int) -> float:
        """At most this; SQS tells the age to CloudWatch only.

        It is the time since this process saw the queue empty, or since the newest message was sent whose readings
        are stored, whichever is later.
        """
        if sum(self._calls.depth()) == 0:
            self._empty_ms = now_ms
            return 0.0
        counts = self._records.counts()
        since_ms = max(self._empty_ms, counts.through_ms or counts.first_ms)
        return max(0, now_ms - since_ms) / 1000 if since_ms else 0.0

    def check(self) -> None:
        self._calls.depth()

    def close(self) -> None:
        """Send what waits and refuse later sends; everything else goes on working."""
        self._sending.close()

    def _send_all(self, messages: list[Sent]) -> None:
        """Send any number; each message's ticket tells how its own sending ended."""
        refusal = Unavailable("SQS did not take the message")
        try:
            for some in fitting(messages):
                try:
                    self._send_some(some)
                except Unavailable as error:
                    refusal = error
        finally:
            for message in messages:
                if not message.ticket.done():
                    message.ticket.set_exception(refusal)

    def _send_some(self, messages: Sequence[Sent]) -> None:
        ids = self._calls.send(messages)
        accepted = sum(messages[at].readings for at in ids)
        self._records.count(at_ms=time.time_ns() // 1_000_000, accepted=accepted)
        for at, message_id in ids.items():
            messages[at].ticket.set_result(message_id)

    def _send_one(self, body: str, readings: int) -> None:
        """Send what the ledger knows already.

        Raises:
            Unavailable: It may have been sent.
        """
        if not self._calls.send([sent(body, readings, len(body.encode()))]):
            refused = "SQS did not take the message"
            raise Unavailable(refused)

    def _renew(self, message: Message) -> None:
        self._send_one(message.body, message.readings)
        self._calls.delete([message.receipt])
        self._receipts.drop([message.receipt])

    def _bury(self, letter: DeadLetter, *, stored: int) -> None:
        self._records.add(letter, stored=stored)
        log.warning("Message %s is a dead letter: %s", letter.id, letter.reason)

    def _whole(self, message: Message, part: int) -> int:
        """Readings of a message. IoT Core does not count them: those that are told of are accepted only now."""
        if message.readings or not part:
            return message.readings
        self._records.count(at_ms=message.sent_ms, accepted=part)
        return part

    def _count_stored(self, messages: Sequence[Message]) -> None:
        stored = sum(message.readings for message in messages)
        if stored:
            self._records.count(at_ms=max(message.sent_ms for message in messages), stored=stored)
