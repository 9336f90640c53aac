"""The tables of the SQLite queue, and what is done to them within one transaction.

A message is written once and never changed; what happens to it is a small row in `delivery`. Messages are taken in
the order of their numbers, so every message above the highest delivery is fresh, and no receive looks at more than
it takes plus what is in flight. The ledger is double entry: each transaction moves readings from one column to
another, and a CHECK refuses a transaction that would leave it out of balance.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from sqlite3 import Connection
from typing import NamedTuple

from chalicelib.adapters import queue_rules
from chalicelib.model import DeadLetter, Ledger, Message

MIGRATIONS = (
    """
    CREATE TABLE message (
        number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so an old receipt fits no new message
        id TEXT NOT NULL,
        readings INTEGER NOT NULL,
        sent_ms INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE TABLE delivery (
        number INTEGER PRIMARY KEY REFERENCES message (number),
        deliveries INTEGER NOT NULL,  -- the newest one is in the receipt
        receive_count INTEGER NOT NULL,  -- deliveries that count towards the dead letters
        in_flight INTEGER NOT NULL,  -- 0: released, counts as queued
        taken_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL
    );
    CREATE TABLE dead_letter (
        id TEXT PRIMARY KEY,
        readings INTEGER NOT NULL,
        reason TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        buried_ms INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE TABLE ledger (
        accepted INTEGER NOT NULL DEFAULT 0,
        stored INTEGER NOT NULL DEFAULT 0 CHECK (stored >= 0),
        queued INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),
        in_flight INTEGER NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
        dead_lettered INTEGER NOT NULL DEFAULT 0 CHECK (dead_lettered >= 0),
        discarded INTEGER NOT NULL DEFAULT 0 CHECK (discarded >= 0),
        CHECK (accepted = stored + queued + in_flight + dead_lettered + discarded)
    );
    INSERT INTO ledger DEFAULT VALUES
    """,
    """
    CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        number INTEGER NOT NULL,  -- of the tenure; stays when it ends, so that no number comes twice
        holder TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        note TEXT NOT NULL,
        stamped_ms INTEGER NOT NULL DEFAULT 0  -- the latest time given to a reading by all tenures
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE delivered (
        name TEXT NOT NULL,  -- of the lease
        total INTEGER NOT NULL,  -- marks up to and with these
        marks BLOB NOT NULL,  -- packet ids and digests of what one transaction took from the broker
        PRIMARY KEY (name, total)
    ) STRICT, WITHOUT ROWID
    """,
)

ROWS_PER_INSERT = 50
"""One statement releases the interpreter lock once, not once per row; each of the 50 sizes is prepared only once."""
SHRINK_ABOVE_FREE_BYTES = 64 * 1024 * 1024
SHRINK_BELOW_LIVE_BYTES = 16 * 1024 * 1024
"""VACUUM copies what is live while senders wait; so much is copied well within a second."""

_AMONG = "number IN (SELECT value FROM json_each(:numbers))"
_VISIBLE = "(visible_ms <= :now_ms OR taken_ms > :now_ms + :grace_ms)"
_FRESH = "number > coalesce((SELECT max(number) FROM delivery), 0)"
_LETTER = "SELECT id, body, readings, reason, sent_ms, buried_ms FROM dead_letter"


class Sent(NamedTuple):
    """A new row of `message`."""

    id: str
    readings: int
    sent_ms: int
    body: str


class Held(NamedTuple):
    """What settling a received message needs to know of it."""

    number: int
    readings: int
    in_flight: bool


class Ready(NamedTuple):
    """A message that may be received now; `in_flight` when an earlier delivery ended without an answer."""

    number: int
    id: str
    body: str
    readings: int
    sent_ms: int
    deliveries: int
    receive_count: int
    in_flight: bool

    def held(self) -> Held:
        """As something to settle."""
        return Held(self.number, self.readings, self.in_flight)

    def received(self) -> Message:
        """As its next delivery."""
        receipt = queue_rules.receipt(self.number, self.deliveries + 1)
        return Message(self.id, self.body, receipt, self.readings, self.receive_count + 1, self.sent_ms)


def book(connection: Connection, **changes: int) -> None:
    """Add to columns of the ledger. IntegrityError when that does not balance: a bug, and nothing is committed."""
    if any(changes.values()):
        sums = ", ".join(f"{column} = {column} + :{column}" for column in changes)
        connection.execute(f"UPDATE ledger SET {sums}", changes)


def ledger(connection: Connection) -> Ledger:
    """The ledger as of one commit."""
    return Ledger(*connection.execute(f"SELECT {', '.join(Ledger._fields)} FROM ledger").fetchone())


def add(connection: Connection, messages: Sequence[Sent]) -> None:
    """Append messages; the caller books them."""
    for first in range(0, len(messages), ROWS_PER_INSERT):
        rows = messages[first : first + ROWS_PER_INSERT]
        places = ", ".join(["(?, ?, ?, ?)"] * len(rows))
        sql = f"INSERT INTO message (id, readings, sent_ms, body) VALUES {places}"
        connection.execute(sql, tuple(chain.from_iterable(rows)))


def any_ready(connection: Connection, now_ms: int) -> bool:
    """Whether `ready` would find something."""
    sql = f"""SELECT EXISTS (SELECT 1 FROM message WHERE {_FRESH})
                  OR EXISTS (SELECT 1 FROM delivery WHERE {_VISIBLE})"""
    return bool(connection.execute(sql, _at(now_ms)).fetchone()[0])


def ready(connection: Connection, limit: int, now_ms: int, *, waited_ms: int = 0) -> list[Ready]:
    """Up to *limit* messages that may be received, by number; those received before come before the fresh ones.

    *now_ms* was read *waited_ms* ago.
    """
    columns = "number, id, body, readings, sent_ms"
    again = connection.execute(
        f"""SELECT {columns}, deliveries, receive_count, in_flight FROM delivery JOIN message USING (number)
            WHERE {_VISIBLE} ORDER BY number LIMIT :limit""",
        {**_at(now_ms, waited_ms), "limit": limit},
    ).fetchall()
    fresh = connection.execute(
        f"SELECT {columns}, 0, 0, 0 FROM message WHERE {_FRESH} ORDER BY number LIMIT ?", (limit - len(again),)
    )
    return [Ready(*row) for row in chain(again, fresh)]


def take(connection: Connection, messages: Sequence[Ready], *, taken_ms: int, visible_ms: int) -> None:
    """Begin the next delivery of *messages*."""
    connection.executemany(
        """REPLACE INTO delivery (number, deliveries, receive_count, in_flight, taken_ms, visible_ms)
           VALUES (?, ?, ?, 1, ?, ?)""",
        ((each.number, each.deliveries + 1, each.receive_count + 1, taken_ms, visible_ms) for each in messages),
    )
    queued = sum(message.readings for message in messages if not message.in_flight)
    book(connection, queued=-queued, in_flight=queued)


def current(connection: Connection, receipts: Iterable[str]) -> list[Held]:
    """The messages whose newest receipt is among *receipts*."""
    given = queue_rules.numbers_of(receipts)
    rows = connection.execute(
        f"""SELECT number, deliveries, readings, in_flight FROM delivery JOIN message USING (number)
            WHERE {_AMONG}""",
        {"numbers": json.dumps(list(given.values()))},
    )
    return [Held(number, *rest) for number, count, *rest in rows if queue_rules.receipt(number, count) in given]


def uncount(connection: Connection, held: Sequence[Held]) -> None:
    """Let the delivery that is in flight not count towards the dead letters."""
    connection.execute(
        f"UPDATE delivery SET receive_count = receive_count - 1 WHERE in_flight AND {_AMONG}", _numbers(held)
    )


def release(connection: Connection, held: Sequence[Held], *, taken_ms: int, visible_ms: int) -> None:
    """End a delivery without a result."""
    connection.execute(
        f"UPDATE delivery SET in_flight = 0, taken_ms = :taken_ms, visible_ms = :visible_ms WHERE {_AMONG}",
        {"taken_ms": taken_ms, "visible_ms": visible_ms, **_numbers(held)},
    )
    in_flight = sum(message.readings for message in held if message.in_flight)
    book(connection, in_flight=-in_flight, queued=in_flight)


def settle(connection: Connection, held: Sequence[Held], **to: int) -> None:
    """Take *held* out of the queue, and book their readings as *to* says."""
    numbers = _numbers(held)
    connection.execute(f"DELETE FROM delivery WHERE {_AMONG}", numbers)
    connection.execute(f"DELETE FROM message WHERE {_AMONG}", numbers)
    in_flight = sum(message.readings for message in held if message.in_flight)
    queued = sum(message.readings for message in held) - in_flight
    book(connection, in_flight=-in_flight, queued=-queued, **to)


def bury(
    connection: Connection,
    held: Held,
    *,
    reason: str,
    now_ms: int,
    body: str | None = None,
    readings: int | None = None,
) -> None:
    """Make a dead letter of *held*, or of the part of it that *body* and *readings* say; the rest is stored."""
    buried = held.readings if readings is None else readings
    stored = queue_rules.part_of(buried, held.readings)
    connection.execute(
        """INSERT INTO dead_letter (id, readings, reason, sent_ms, buried_ms, body)
           SELECT id, ?, ?, sent_ms, ?, coalesce(?, body) FROM message WHERE number = ?""",
        (buried, reason, now_ms, body, held.number),
    )
    settle(connection, [held], dead_lettered=buried, stored=stored)


def refuse(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Make dead letters of what never was in the queue; the caller books them."""
    rows = [(each.id, each.readings, each.reason, each.sent_ms, each.buried_ms, each.body) for each in letters]
    sql = "INSERT INTO dead_letter (id, readings, reason, sent_ms, buried_ms, body) VALUES (?, ?, ?, ?, ?, ?)"
    connection.executemany(sql, rows)


def letters(connection: Connection, after_id: str, limit: int) -> list[DeadLetter]:
    """Dead letters by id."""
    rows = connection.execute(f"{_LETTER} WHERE id > ? ORDER BY id LIMIT ?", (after_id, limit))
    return [DeadLetter(*row) for row in rows]


def letter(connection: Connection, letter_id: str) -> DeadLetter | None:
    """One dead letter."""
    row = connection.execute(f"{_LETTER} WHERE id = ?", (letter_id,)).fetchone()
    return None if row is None else DeadLetter(*row)


def drop_letter(connection: Connection, letter_id: str) -> DeadLetter | None:
    """Delete a dead letter and return it; the caller books its readings."""
    dropped = letter(connection, letter_id)
    connection.execute("DELETE FROM dead_letter WHERE id = ?", (letter_id,))
    return dropped


def oldest_sent_ms(connection: Connection) -> int | None:
    """When the message of the lowest number was sent."""
    row = connection.execute("SELECT sent_ms FROM message ORDER BY number LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def shrink(connection: Connection) -> None:
    """Give the pages of a past backlog back to the disk, while little else is in the file."""
    pragmas = ("page_size", "page_count", "freelist_count")
    page_bytes, pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
    if free * page_bytes >= SHRINK_ABOVE_FREE_BYTES and (pages - free) * page_bytes <= SHRINK_BELOW_LIVE_BYTES:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # only now the file gets shorter


def _at(now_ms: int, waited_ms: int = 0) -> dict[str, int]:
    return {"now_ms": now_ms, "grace_ms": queue_rules.CLOCK_GRACE_MS + waited_ms}


def _numbers(held: Iterable[Held]) -> dict[str, str]:
    return {"numbers": json.dumps([message.number for message in held])}
