"""From a broker into the SQLite queue: one transaction for messages, dead letters, ledger and what was taken."""

import struct
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from sqlite3 import Connection

from chalicelib.adapters import queue_rules
from chalicelib.adapters import sqlite_queue_tables as tables
from chalicelib.adapters.sqlite import Database
from chalicelib.adapters.sqlite_lease import act, stamped_ms
from chalicelib.delivery import MAX_REMEMBERED, Delivery
from chalicelib.errors import Conflict
from chalicelib.model import DeadLetter
from chalicelib.ports import Taken, Tenure

_MARK = struct.Struct(">HI")
_TOTAL = "SELECT coalesce(max(total), 0) FROM delivered WHERE name = ?"


class SqliteInbox:
    """`Inbox` beside `SqliteQueue` and `SqliteLease` on one file.

    Args:
        path: The queue's file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path, tables.MIGRATIONS)

    def take(self, deliveries: Sequence[Delivery], tenure: Tenure, *, now_ms: int) -> None:
        messages = [
            tables.Sent(queue_rules.new_message_id(now_ms), readings, now_ms, body)
            for delivery in deliveries
            for body, readings in delivery.messages()
        ]
        letters = [
            DeadLetter(queue_rules.new_message_id(now_ms), each.body, 1, each.reason, now_ms, now_ms)
            for delivery in deliveries
            for each in delivery.refused
        ]
        marks = b"".join(_MARK.pack(*mark) for mark in chain.from_iterable(each.marks for each in deliveries))
        accepted = sum(message.readings for message in messages)
        with self.database.transaction() as connection:
            if not act(connection, tenure, stamped_ms=max((each.stamped_ms for each in deliveries), default=0)):
                raise Conflict("Another process has taken over", code="lease_lost")
            tables.add(connection, messages)
            tables.refuse(connection, letters)
            tables.book(connection, accepted=accepted + len(letters), queued=accepted, dead_lettered=len(letters))
            _remember(connection, tenure.name, marks)

    def taken(self, name: str) -> Taken:
        with self.database.reading() as connection:
            rows = connection.execute("SELECT marks FROM delivered WHERE name = ? ORDER BY total", (name,))
            marks = dict(chain.from_iterable(_MARK.iter_unpack(marks) for (marks,) in rows))
            return Taken(marks, stamped_ms(connection, name))


def _remember(connection: Connection, name: str, marks: bytes) -> None:
    if marks:
        total = connection.execute(_TOTAL, (name,)).fetchone()[0]
        now = total + len(marks) // _MARK.size
        connection.execute("DELETE FROM delivered WHERE name = ? AND total <= ?", (name, now - MAX_REMEMBERED))
        connection.execute("INSERT INTO delivered (name, total, marks) VALUES (?, ?, ?)", (name, now, marks))
