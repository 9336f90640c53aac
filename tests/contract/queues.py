"""The telemetry queues under test, and what their tests do again and again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from chalicelib import tickets
from chalicelib.adapters.memory_queue import MemoryQueue
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.model import Message
from chalicelib.ports import TelemetryQueue
from tests.contract import sqs

NOW_MS = 1_750_000_000_000
MAX_RECEIVE_COUNT = 3
LOCAL = ["memory", "sqlite"]
"""Exact to the millisecond, in order, with a ledger in the same transaction."""
ADAPTERS = [*LOCAL, "sqs"]


class Queue(TelemetryQueue, Protocol):
    """A queue of this machine: it can be closed."""

    def close(self) -> None:
        """Commit what waits."""
        ...


@contextmanager
def opened(adapter: str, folder: Path, **options: Any) -> Iterator[Queue]:
    """The queue of this *adapter*, empty unless *folder* has one; closed at the end."""
    options = {"max_receive_count": MAX_RECEIVE_COUNT, **options}
    if adapter == "sqs":
        with sqs.on_moto(**options) as queue_on_moto:
            yield queue_on_moto
        return
    queue: Queue = MemoryQueue(**options) if adapter == "memory" else SqliteQueue(folder / "queue.db", **options)
    try:
        yield queue
    finally:
        queue.close()


def send(queue: TelemetryQueue, *bodies: str, readings: int = 1) -> list[str]:
    """Send one message after the other, all in few commits; returns their ids."""
    with tickets.collect() as collected:
        ids = [queue.send(body, readings=readings, now_ms=NOW_MS) for body in bodies]
    for ticket in collected:
        ticket.result(10)
    return ids


def receive(queue: TelemetryQueue, *, now_ms: int = NOW_MS, limit: int = 10, visibility_s: float = 30) -> list[Message]:
    """Take messages, and look at the ledger."""
    messages = queue.receive(limit=limit, visibility_s=visibility_s, now_ms=now_ms)
    assert queue.ledger().balanced
    return messages


def take_one(queue: TelemetryQueue, *, readings: int = 1) -> Message:
    """Send and receive a message in one go."""
    send(queue, "body", readings=readings)
    [message] = receive(queue)
    return message


def settle_in_every_way(queue: TelemetryQueue, receipt: str) -> None:
    """Everything that a receipt is good for."""
    queue.delete([receipt], now_ms=NOW_MS)
    queue.release([receipt], delay_s=0, now_ms=NOW_MS)
    queue.bury(receipt, reason="bad", now_ms=NOW_MS)
    queue.discard(receipt, readings=1, now_ms=NOW_MS)


def bodies(messages: list[Message]) -> list[str]:
    """What was sent, in order of delivery."""
    return [message.body for message in messages]


def assert_ledger_agrees_with_rows(path: Path) -> None:
    """By a side door: what the SQLite queue's ledger says is what its tables hold."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN")
        queued, in_flight, dead_lettered = connection.execute(
            "SELECT queued, in_flight, dead_lettered FROM ledger"
        ).fetchone()
        sums = "SELECT coalesce(sum(readings), 0) FROM"
        held = connection.execute(f"{sums} message").fetchone()[0]
        flying = connection.execute(f"{sums} message JOIN delivery USING (number) WHERE in_flight").fetchone()[0]
        buried = connection.execute(f"{sums} dead_letter").fetchone()[0]
    assert (queued, in_flight, dead_lettered) == (held - flying, flying, buried)
