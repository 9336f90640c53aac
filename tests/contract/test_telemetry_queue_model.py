"""Any order of calls, under a clock that goes both ways, does to every queue what it does to a simple model."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, precondition, rule

from chalicelib.adapters.queue_rules import CLOCK_GRACE_MS
from chalicelib.model import Ledger
from tests.contract.queues import MAX_RECEIVE_COUNT, NOW_MS, assert_ledger_agrees_with_rows, opened


@dataclass
class Modelled:
    """A message of the model; only its newest receipt is good for anything."""

    id: str
    readings: int
    count: int = 0
    receipt: str = ""
    in_flight: bool = False
    taken_ms: int = 0
    visible_ms: int = 0

    def ready(self, now_ms: int) -> bool:
        fresh = self.receipt == ""
        return fresh or self.visible_ms <= now_ms or self.taken_ms > now_ms + CLOCK_GRACE_MS

    def hide(self, now_ms: int, for_s: int, *, in_flight: bool) -> None:
        self.taken_ms, self.visible_ms, self.in_flight = now_ms, now_ms + for_s * 1000, in_flight


class QueueMachine(RuleBasedStateMachine):
    """Calls the queue and the model alike."""

    adapter: ClassVar[str]
    receipts: Bundle[str] = Bundle("receipts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opening = opened(self.adapter, Path(self.folder.name))
        self.queue = self.opening.__enter__()
        self.now_ms = NOW_MS
        self.held: list[Modelled] = []
        self.letters: dict[str, int] = {}
        self.accepted = self.stored = self.discarded = 0

    def teardown(self) -> None:
        """Nothing was lost: whatever was not settled is delivered or a dead letter in the end."""
        while self.held:
            self.now_ms += 10_000_000
            self.receive(100, 0)
            self.delete([message.receipt for message in self.held])
        self.ledger_is_exact()
        self.opening.__exit__(None, None, None)
        self.folder.cleanup()

    @rule(step_ms=st.sampled_from([100, 900, 5_000, 60_000, 3_600_000, -100, -900, -5_000, -60_000, -3_600_000]))
    def clock(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(readings=st.integers(0, 5))
    def send(self, readings: int) -> None:
        message_id = self.queue.send("body", readings=readings, now_ms=self.now_ms)
        self.held.append(Modelled(message_id, readings))
        self.accepted += readings

    @rule(target=receipts, limit=st.integers(1, 4), visibility_s=st.sampled_from([0, 1, 30]))
    def receive(self, limit: int, visibility_s: int) -> MultipleResults[str]:
        ready = [message for message in self.held if message.ready(self.now_ms)][:limit]
        spent = [message for message in ready if message.count >= MAX_RECEIVE_COUNT]
        received = self.queue.receive(limit=limit, visibility_s=visibility_s, now_ms=self.now_ms)

        for message in spent:
            self.held.remove(message)
            self.letters[message.id] = message.readings
        expected = [message for message in ready if message not in spent]
        for message, delivery in zip(expected, received, strict=True):
            message.count += 1
            assert (delivery.id, delivery.receive_count, delivery.readings) == (
                message.id,
                message.count,
                message.readings,
            )
            assert delivery.receipt != message.receipt
            message.receipt = delivery.receipt
            message.hide(self.now_ms, visibility_s, in_flight=True)
        return multiple(*(delivery.receipt for delivery in received))

    @rule(some=st.lists(receipts, max_size=4))
    def delete(self, some: list[str]) -> None:
        self.queue.delete(some, now_ms=self.now_ms)
        for message in self.named(some):
            self.held.remove(message)
            self.stored += message.readings

    @rule(some=st.lists(receipts, max_size=4), delay_s=st.sampled_from([0, 1, 30]), uncounted=st.booleans())
    def release(self, some: list[str], delay_s: int, uncounted: bool) -> None:
        self.queue.release(some, delay_s=delay_s, now_ms=self.now_ms, uncounted=uncounted)
        for message in self.named(some):
            message.count -= uncounted and message.in_flight
            message.hide(self.now_ms, delay_s, in_flight=False)

    @rule(receipt=receipts, buried=st.none() | st.integers(0, 5))
    def bury(self, receipt: str, buried: int | None) -> None:
        for message in self.named([receipt]):
            buried = None if buried is None else min(buried, message.readings)
        body = None if buried is None else "part"
        self.queue.bury(receipt, reason="bad", now_ms=self.now_ms, body=body, readings=buried)
        for message in self.named([receipt]):
            self.held.remove(message)
            self.letters[message.id] = message.readings if buried is None else buried
            self.stored += message.readings - self.letters[message.id]

    @rule(receipt=receipts, dropped=st.integers(0, 5))
    def discard(self, receipt: str, dropped: int) -> None:
        for message in self.named([receipt]):
            dropped = min(dropped, message.readings)
        self.queue.discard(receipt, readings=dropped, now_ms=self.now_ms)
        for message in self.named([receipt]):
            self.held.remove(message)
            self.discarded += dropped
            self.stored += message.readings - dropped

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        letter_id = data.draw(st.sampled_from(sorted(self.letters)))
        assert self.queue.replay(letter_id, now_ms=self.now_ms)
        self.held.append(Modelled(letter_id, self.letters.pop(letter_id)))

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def discard_letter(self, data: st.DataObject) -> None:
        letter_id = data.draw(st.sampled_from(sorted(self.letters)))
        assert self.queue.discard_letter(letter_id, now_ms=self.now_ms)
        self.discarded += self.letters.pop(letter_id)

    @invariant()
    def ledger_is_exact(self) -> None:
        flying = sum(message.readings for message in self.held if message.in_flight)
        held = sum(message.readings for message in self.held)
        ledger = self.queue.ledger()
        assert ledger.balanced
        assert ledger == Ledger(
            accepted=self.accepted,
            stored=self.stored,
            queued=held - flying,
            in_flight=flying,
            dead_lettered=sum(self.letters.values()),
            discarded=self.discarded,
        )

    @invariant()
    def dead_letters_are_those_of_the_model(self) -> None:
        letters = self.queue.dead_letters(limit=1000)
        assert [(letter.id, letter.readings) for letter in letters] == sorted(self.letters.items())

    def named(self, receipts: list[str]) -> list[Modelled]:
        """The messages whose newest receipt is among *receipts*."""
        return [message for message in self.held if message.receipt in receipts]


class MemoryMachine(QueueMachine):
    """The queue in memory."""

    adapter = "memory"


class SqliteMachine(QueueMachine):
    """The queue in a file, whose ledger is compared with its rows as well."""

    adapter = "sqlite"

    @invariant()
    def ledger_agrees_with_the_rows(self) -> None:
        assert_ledger_agrees_with_rows(Path(self.folder.name) / "queue.db")


TestMemoryQueue = MemoryMachine.TestCase
TestMemoryQueue.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSqliteQueue = SqliteMachine.TestCase
TestSqliteQueue.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
