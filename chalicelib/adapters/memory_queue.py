"""The queue in a dictionary: for tests and for trying things out. What it holds dies with the process."""

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chalicelib.adapters import queue_rules
from chalicelib.model import DeadLetter, Ledger, Message


@dataclass(slots=True)
class _Held:
    """A message that is neither stored nor buried yet."""

    id: str
    body: str
    readings: int
    sent_ms: int
    deliveries: int = 0
    receive_count: int = 0
    taken_ms: int = 0
    visible_ms: int = 0
    in_flight: bool = False

    def may_be_received(self, now_ms: int) -> bool:
        return self.deliveries == 0 or queue_rules.visible(
            taken_ms=self.taken_ms, visible_ms=self.visible_ms, now_ms=now_ms
        )

    def hide(self, *, in_flight: bool, for_s: float, now_ms: int) -> None:
        self.in_flight, self.taken_ms, self.visible_ms = in_flight, now_ms, now_ms + round(for_s * 1000)


class MemoryQueue:
    """One process, any number of threads.

    Args:
        max_receive_count: Deliveries of a message before it becomes a dead letter.
        max_message_bytes: The largest body, as UTF-8.
    """

    def __init__(self, *, max_receive_count: int = 5, max_message_bytes: int = 1_048_576) -> None:
        self._max_receive_count = max_receive_count
        self._max_message_bytes = max_message_bytes
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._held: dict[int, _Held] = {}
        self._letters: dict[str, DeadLetter] = {}
        self._accepted = self._stored = self._discarded = 0

    def send(self, body: str, *, readings: int, now_ms: int) -> str:
        queue_rules.body_bytes(body, self._max_message_bytes, readings=readings)
        message_id = queue_rules.new_message_id(now_ms)
        with self._lock:
            self._accepted += readings
            self._held[next(self._numbers)] = _Held(message_id, body, readings, now_ms)
        return message_id

    def receive(self, *, limit: int, visibility_s: float, now_ms: int) -> list[Message]:
        with self._lock:
            ready = ((number, held) for number, held in self._held.items() if held.may_be_received(now_ms))
            taken = list(itertools.islice(ready, limit))
            messages = []
            for number, held in taken:
                if held.receive_count >= self._max_receive_count:
                    self._bury(number, queue_rules.spent_reason(held.receive_count), now_ms)
                    continue
                held.deliveries += 1
                held.receive_count += 1
                held.hide(in_flight=True, for_s=visibility_s, now_ms=now_ms)
                messages.append(_message(number, held))
            return messages

    def adopt(self, messages: Sequence[Message]) -> None:
        """Nobody else receives from here."""

    def settled(self, receipts: Sequence[str], *, now_ms: int) -> None:
        """The ledger is kept with the messages: `delete` does it."""

    def tidy(self, *, now_ms: int) -> None:
        """`receive` buries what it would have received too often."""

    def delete(self, receipts: Sequence[str], *, now_ms: int) -> None:  # noqa: ARG002 - the port's
        with self._lock:
            for number in self._current(receipts):
                self._stored += self._held.pop(number).readings

    def release(self, receipts: Sequence[str], *, delay_s: float, now_ms: int, uncounted: bool = False) -> None:
        with self._lock:
            for number in self._current(receipts):
                held = self._held[number]
                held.receive_count -= uncounted and held.in_flight
                held.hide(in_flight=False, for_s=delay_s, now_ms=now_ms)

    def bury(
        self, receipt: str, *, reason: str, now_ms: int, body: str | None = None, readings: int | None = None
    ) -> None:
        with self._lock:
            for number in self._current([receipt]):
                self._bury(number, reason, now_ms, body, readings)

    def discard(self, receipt: str, *, readings: int, now_ms: int) -> None:  # noqa: ARG002 - the port's
        with self._lock:
            for number in self._current([receipt]):
                self._stored += queue_rules.part_of(readings, self._held[number].readings)
                self._discarded += readings
                del self._held[number]

    def dead_letters(self, *, after_id: str | None = None, limit: int = 100) -> list[DeadLetter]:
        with self._lock:
            later = sorted(letter_id for letter_id in self._letters if after_id is None or letter_id > after_id)
            return [self._letters[letter_id] for letter_id in later[:limit]]

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        with self._lock:
            return self._letters.get(letter_id)

    def replay(self, letter_id: str, *, now_ms: int) -> bool:
        with self._lock:
            letter = self._letters.pop(letter_id, None)
            if letter is not None:
                self._held[next(self._numbers)] = _Held(letter.id, letter.body, letter.readings, now_ms)
            return letter is not None

    def discard_letter(self, letter_id: str, *, now_ms: int) -> bool:  # noqa: ARG002 - the port's
        with self._lock:
            letter = self._letters.pop(letter_id, None)
            if letter is not None:
                self._discarded += letter.readings
            return letter is not None

    def ledger(self) -> Ledger:
        with self._lock:
            held = self._held.values()
            return Ledger(
                accepted=self._accepted,
                stored=self._stored,
                queued=sum(message.readings for message in held if not message.in_flight),
                in_flight=sum(message.readings for message in held if message.in_flight),
                dead_lettered=sum(letter.readings for letter in self._letters.values()),
                discarded=self._discarded,
            )

    def oldest_age_s(self, *, now_ms: int) -> float:
        with self._lock:
            oldest = next(iter(self._held.values()), None)
        return 0.0 if oldest is None else max(0, now_ms - oldest.sent_ms) / 1000

    def check(self) -> None:
        """Memory always answers."""

    def close(self) -> None:
        """Nothing waits."""

    def _current(self, receipts: Iterable[str]) -> list[int]:
        """Numbers of the held messages whose newest receipt is among *receipts*."""
        given = queue_rules.numbers_of(receipts)
        return [
            number
            for receipt, number in given.items()
            if number in self._held and receipt == queue_rules.receipt(number, self._held[number].deliveries)
        ]

    def _bury(
        self, number: int, reason: str, now_ms: int, body: str | None = None, readings: int | None = None
    ) -> None:
        held = self._held[number]
        buried = held.readings if readings is None else readings
        self._stored += queue_rules.part_of(buried, held.readings)
        text = held.body if body is None else body
        self._letters[held.id] = DeadLetter(held.id, text, buried, reason, held.sent_ms, now_ms)
        del self._held[number]


def _message(number: int, held: _Held) -> Message:
    receipt = queue_rules.receipt(number, held.deliveries)
    return Message(held.id, held.body, receipt, held.readings, held.receive_count, held.sent_ms)
