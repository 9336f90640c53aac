"""Idempotency keys in this process's memory."""

import threading
from typing import NamedTuple

from chalicelib.errors import Unprocessable
from chalicelib.ports import Attempt

KEPT_MS = 24 * 3600 * 1000
"""How long a key is remembered."""


class _Entry(NamedTuple):
    fingerprint: str
    started_ms: int
    answer: str | None = None


class MemoryIdempotency:
    """First answers by (caller, key); gone with the process."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._lock = threading.Lock()

    def begin(self, caller: str, key: str, fingerprint: str, *, now_ms: int) -> Attempt:
        with self._lock:
            entry = self._entries.get((caller, key))
            if entry is None or entry.started_ms <= now_ms - KEPT_MS:
                entry = self._entries[caller, key] = _Entry(fingerprint, now_ms)
        return known(fingerprint, entry.fingerprint, entry.started_ms, entry.answer)

    def finish(self, caller: str, key: str, answer: str) -> None:
        with self._lock:
            entry = self._entries.get((caller, key))
            if entry is not None and entry.answer is None:
                self._entries[caller, key] = entry._replace(answer=answer)

    def expire(self, *, before_ms: int) -> int:
        with self._lock:
            kept = {where: entry for where, entry in self._entries.items() if entry.started_ms >= before_ms}
            expired = len(self._entries) - len(kept)
            self._entries = kept
        return expired


def known(fingerprint: str, first_fingerprint: str, started_ms: int, answer: str | None) -> Attempt:
    """The first attempt, for a request of the same *fingerprint*.

    Raises:
        Unprocessable: The key stands for another request.
    """
    if fingerprint != first_fingerprint:
        message = "This Idempotency-Key was used for another request within 24 hours"
        raise Unprocessable(message, field="Idempotency-Key", limit="24 h")
    return Attempt(started_ms, answer)
