"""The messages that this process holds: SQS's calls take a receipt, and the ledger needs what it stands for."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chalicelib.model import Message

GRACE_S = 300.0
"""How long a receipt is remembered after its message may be received again: SQS heeds it until then."""


class _Held(NamedTuple):
    message: Message
    until_s: float


class Receipts:
    """Messages by receipt; usable from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._receipt_of: dict[str, str] = {}
        self._counted: set[str] = set()

    def add(self, messages: Sequence[Message], visibility_s: float) -> None:
        """Received just now; an earlier receipt of the same message is stale."""
        now_s = time.monotonic()
        with self._lock:
            self._drop([receipt for receipt, held in self._held.items() if held.until_s < now_s])
            for message in messages:
                self._put(message, now_s + visibility_s + GRACE_S)

    def replace(self, messages: Sequence[Message]) -> None:
        """Delivered to us by Lambda, in place of what it delivered before; those of `add` are delivered by us."""
        with self._lock:
            if not all(message.receipt in self._held for message in messages):
                self._drop(list(self._held))
                for message in messages:
                    self._put(message, float("inf"))

    def known(self, receipts: Iterable[str]) -> list[Message]:
        """The messages of those receipts that are still good here, each once."""
        with self._lock:
            return [self._held[receipt].message for receipt in dict.fromkeys(receipts) if receipt in self._held]

    def uncounted(self, receipts: Iterable[str]) -> list[Message]:
        """Like `known`, those that this was not asked for before."""
        with self._lock:
            fresh = [each for each in dict.fromkeys(receipts) if each in self._held and each not in self._counted]
            self._counted.update(fresh)
            return [self._held[receipt].message for receipt in fresh]

    def drop(self, receipts: Iterable[str]) -> None:
        """They are good for nothing any more."""
        with self._lock:
            self._drop(receipts)

    def _put(self, message: Message, until_s: float) -> None:
        self._drop([self._receipt_of.get(message.id, "")])
        self._held[message.receipt] = _Held(message, until_s)
        self._receipt_of[message.id] = message.receipt

    def _drop(self, receipts: Iterable[str]) -> None:
        for receipt in receipts:
            held = self._held.pop(receipt, None)
            self._counted.discard(receipt)
            if held is not None and self._receipt_of.get(held.message.id) == receipt:
                del self._receipt_of[held.message.id]
