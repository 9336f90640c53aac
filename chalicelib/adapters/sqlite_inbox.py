"""From a broker into the SQLite queue: one transaction for messages, dead letters, ledger and what was taken."""

import struct
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from sqlite3 import Connection

from chalicelib.adapters import queue_rules
from chalicelib.adapters import sqlite_queue_tables as tables
from chalicelib.adapters.sqlite import Database
from chalicelib.adapters.sqlite_lease import is_current
from chalicelib.delivery import MAX_REMEMBERED, Delivery
from chalicelib.errors import Conflict
from chalicelib.model import DeadLetter
from chalicelib.ports import Tenure

_MARK = struct.Struct(">HI")
_REMEMBER = "INSERT INTO delivered (name, marks) VALUES (?, ?) ON CONFLICT DO UPDATE SET marks = excluded.marks"


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
            if not is_current(connection, tenure):
                raise Conflict("Another process has taken over", code="lease_lost")
            tables.add(connection, messages)
            tables.refuse(connection, letters)
            tables.book(connection, accepted=accepted + len(letters), queued=accepted, dead_lettered=len(letters))
            _remember(connection, tenure.name, marks)

    def taken(self, name: str) -> dict[int, int]:
        with self.database.reading() as connection:
            return dict(_MARK.iter_unpack(_marks(connection, name)))


def _remember(connection: Connection, name: str, marks: bytes) -> None:
    if marks:
        kept = (_marks(connection, name) + marks)[-MAX_REMEMBERED * _MARK.size :]
        connection.execute(_REMEMBER, (name, kept))


def _marks(connection: Connection, name: str) -> bytes:
    row = connection.execute("SELECT marks FROM delivered WHERE name = ?", (name,)).fetchone()
    return b"" if row is None else bytes(row[0])
