"""What the fault tests of the SQLite queue run in processes of their own: `python -m tests.contract.queue_processes`.

Every program takes the queue's file, and prints one line for each thing that the test may rely on from then on.
"""

import random
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from chalicelib import tickets
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.errors import Unavailable

ROOT = Path(__file__).parents[2]
GROUP = 20
"""Messages that a sender acknowledges together."""


@contextmanager
def running(program: str, path: Path) -> Iterator[Popen[str]]:
    """The process of a program below; killed at the end, if it lives."""
    command = [sys.executable, "-m", "tests.contract.queue_processes", program, str(path)]
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def say(*words: str) -> None:
    """One line, in one write: a killed process leaves no half of it before a whole one."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def work(path: str) -> None:
    """Send from four threads, and settle in every way from one more, until killed."""
    queue = SqliteQueue(path, max_receive_count=10_000)
    for _ in range(4):
        threading.Thread(target=send_for_ever, args=(queue,), daemon=True).start()
    settle_for_ever(queue)


def send_for_ever(queue: SqliteQueue) -> None:
    """Send groups; say the ids when their commit is confirmed."""
    while True:
        with tickets.collect() as collected:
            ids = [queue.send("x" * random.randint(1, 9000), readings=3, now_ms=clock_ms()) for _ in range(GROUP)]
        for ticket in collected:
            ticket.result(30)
        say("sent", *ids)


def settle_for_ever(queue: SqliteQueue) -> None:
    """Receive; settle a third, after saying so, and give back, bury, replay or forget the rest."""
    while True:
        messages = queue.receive(limit=50, visibility_s=0.01, now_ms=clock_ms())
        say("settling", *(message.id for message in messages[::3]))
        queue.delete([message.receipt for message in messages[::3]], now_ms=clock_ms())
        queue.release([message.receipt for message in messages[1::3]], delay_s=0, now_ms=clock_ms())
        for message in messages[2::6]:
            queue.bury(message.receipt, reason="test", now_ms=clock_ms())
            if random.random() < 0.5:
                queue.replay(message.id, now_ms=clock_ms())


def consume(path: str) -> None:
    """Say what was received until nothing is left, and delete half of it."""
    queue = SqliteQueue(path)
    say("ready")
    sys.stdin.readline()
    while messages := queue.receive(limit=7, visibility_s=3600, now_ms=clock_ms()):
        say("received", *(message.id for message in messages))
        queue.delete([message.receipt for message in messages[::2]], now_ms=clock_ms())


def lock(path: str) -> None:
    """Hold the file's write lock until a line comes in."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    say("locked")
    sys.stdin.readline()
    connection.execute("ROLLBACK")
    connection.close()
    say("unlocked")


def fill(path: str) -> None:
    """Send against a limit of file size that stands for a full disk, then without it."""
    queue = SqliteQueue(path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    refused = 0
    for number in range(600):
        try:
            say("sent", queue.send("x" * 4000, readings=1, now_ms=number))
        except Unavailable:
            refused += 1
    say("refused", str(refused))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    say("sent", queue.send("after", readings=1, now_ms=0))


def clock_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


PROGRAMS = {"work": work, "consume": consume, "lock": lock, "fill": fill}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2])
