"""The durable queue in one SQLite file: commits in groups, ledger in the same transactions as the messages."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from chalicelib import tickets
from chalicelib.adapters import queue_rules
from chalicelib.adapters import sqlite_queue_tables as tables
from chalicelib.adapters.group_commit import GroupCommitter
from chalicelib.adapters.sqlite import Database
from chalicelib.errors import Unavailable
from chalicelib.model import DeadLetter, Ledger, Message

COMMIT_TIMEOUT_S = 15.0
"""How long a caller that does not collect tickets waits: longer than a commit waits for another process's lock."""
MAX_WAITING_BYTES = 64 * 1024 * 1024


class SqliteQueue:
    """Any number of threads and processes on one file; sends of a process share commits (`tickets`).

    Args:
        path: The file. It keeps its size after a backlog until the queue is idle and nearly empty.
        max_receive_count: Deliveries of a message before it becomes a dead letter.
        max_message_bytes: The largest body, as UTF-8.
        max_waiting_bytes: What may wait for a commit before `send` refuses.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_receive_count: int = 5,
        max_message_bytes: int = 1_048_576,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._database = Database(path, tables.MIGRATIONS)
        self._max_receive_count = max_receive_count
        self._max_message_bytes = max_message_bytes
        self._commits = GroupCommitter(
            self._store, finish=self._database.close, name="queue-commits", max_waiting_bytes=max_waiting_bytes
        )

    def send(self, body: str, *, readings: int, now_ms: int) -> str:
        size_bytes = queue_rules.body_bytes(body, self._max_message_bytes, readings=readings)
        message_id = queue_rules.new_message_id(now_ms)
        ticket = self._commits.add(tables.Sent(message_id, readings, now_ms, body), size_bytes)
        tickets.redeem(ticket, COMMIT_TIMEOUT_S)
        return message_id

    def receive(self, *, limit: int, visibility_s: float, now_ms: int) -> list[Message]:
        started_s = time.monotonic()
        # Looking needs no lock, so idle consumers do not hold up senders.
        with self._database.reading() as connection:
            anything = tables.any_ready(connection, now_ms)
        if not anything:
            self._shrink()
            return []
        with self._database.transaction() as connection:
            # Who had to wait for the lock has an old clock; that must not look like one that stepped back.
            waited_ms = round((time.monotonic() - started_s) * 1000)
            ready = tables.ready(connection, limit, now_ms, waited_ms=waited_ms)
            spent = [message for message in ready if message.receive_count >= self._max_receive_count]
            taken = [message for message in ready if message.receive_count < self._max_receive_count]
            for message in spent:
                reason = queue_rules.spent_reason(message.receive_count)
                tables.bury(connection, message.held(), reason=reason, now_ms=now_ms)
            tables.take(connection, taken, taken_ms=now_ms, visible_ms=now_ms + round(visibility_s * 1000))
        return [message.received() for message in taken]

    def adopt(self, messages: Sequence[Message]) -> None:
        """Nobody else receives from here."""

    def settled(self, receipts: Sequence[str], *, now_ms: int) -> None:
        """The ledger is kept with the messages: `delete` does it."""

    def tidy(self, *, now_ms: int) -> None:
        """`receive` buries what it would have received too often."""

    def delete(self, receipts: Sequence[str], *, now_ms: int) -> None:  # noqa: ARG002 - the port's
        with self._database.transaction() as connection:
            held = tables.current(connection, receipts)
            tables.settle(connection, held, stored=sum(message.readings for message in held))

    def release(self, receipts: Sequence[str], *, delay_s: float, now_ms: int, uncounted: bool = False) -> None:
        with self._database.transaction() as connection:
            held = tables.current(connection, receipts)
            if uncounted:
                tables.uncount(connection, held)
            tables.release(connection, held, taken_ms=now_ms, visible_ms=now_ms + round(delay_s * 1000))

    def bury(
        self, receipt: str, *, reason: str, now_ms: int, body: str | None = None, readings: int | None = None
    ) -> None:
        with self._database.transaction() as connection:
            for held in tables.current(connection, [receipt]):
                tables.bury(connection, held, reason=reason, now_ms=now_ms, body=body, readings=readings)

    def discard(self, receipt: str, *, readings: int, now_ms: int) -> None:  # noqa: ARG002 - the port's
        with self._database.transaction() as connection:
            for held in tables.current(connection, [receipt]):
                stored = queue_rules.part_of(readings, held.readings)
                tables.settle(connection, [held], discarded=readings, stored=stored)

    def dead_letters(self, *, after_id: str | None = None, limit: int = 100) -> list[DeadLetter]:
        with self._database.reading() as connection:
            return tables.letters(connection, after_id or "", limit)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        with self._database.reading() as connection:
            return tables.letter(connection, letter_id)

    def replay(self, letter_id: str, *, now_ms: int) -> bool:
        with self._database.transaction() as connection:
            letter = tables.drop_letter(connection, letter_id)
            if letter is not None:
                tables.add(connection, [tables.Sent(letter.id, letter.readings, now_ms, letter.body)])
                tables.book(connection, dead_lettered=-letter.readings, queued=letter.readings)
        return letter is not None

    def discard_letter(self, letter_id: str, *, now_ms: int) -> bool:  # noqa: ARG002 - the port's
        with self._database.transaction() as connection:
            letter = tables.drop_letter(connection, letter_id)
            if letter is not None:
                tables.book(connection, dead_lettered=-letter.readings, discarded=letter.readings)
        return letter is not None

    def ledger(self) -> Ledger:
        with self._database.reading() as connection:
            return tables.ledger(connection)

    def oldest_age_s(self, *, now_ms: int) -> float:
        with self._database.reading() as connection:
            sent_ms = tables.oldest_sent_ms(connection)
        return 0.0 if sent_ms is None else max(0, now_ms - sent_ms) / 1000

    def check(self) -> None:
        self._database.check()

    def close(self) -> None:
        """Commit what waits and refuse later sends; everything else goes on working."""
        self._commits.close()
        self._database.close()

    def _store(self, messages: list[tables.Sent]) -> None:
        with self._database.transaction() as connection:
            tables.add(connection, messages)
            accepted = sum(message.readings for message in messages)
            tables.book(connection, accepted=accepted, queued=accepted)

    def _shrink(self) -> None:
        """Give the space of a past backlog back to the disk. A file too sick for it is for the next call to tell."""
        with suppress(Unavailable), self._database.reading() as connection:
            tables.shrink(connection)
