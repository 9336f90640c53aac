"""The SQLite queue among killed processes, foreign locks, full disks and impatient requests."""

import asyncio
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chalicelib import tickets
from chalicelib.adapters.group_commit import ITEM_OVERHEAD_BYTES
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.errors import Unavailable
from tests.contract.queue_processes import running
from tests.contract.queues import NOW_MS, assert_ledger_agrees_with_rows, bodies, opened, receive, send

KILL_ROUNDS = 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the queue under test is."""
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path: Path) -> Iterator[SqliteQueue]:
    """An empty queue."""
    queue = SqliteQueue(path)
    yield queue
    queue.close()


def everything_in(path: Path) -> Counter[str]:
    """How often each id is in the file, as a message or as a dead letter."""
    with opened("sqlite", path.parent, max_receive_count=10_000) as queue:
        far_ms = NOW_MS * 2
        held = queue.receive(limit=1_000_000, visibility_s=1, now_ms=far_ms)
        letters = queue.dead_letters(limit=1_000_000)
        queue.release([message.receipt for message in held], delay_s=0, now_ms=0)
        return Counter(message.id for message in held) + Counter(letter.id for letter in letters)


def test_kill_loses_no_acknowledged_message_and_doubles_none(path: Path) -> None:
    """Senders and a consumer in one process, killed at any moment, several times on the same file."""
    sent: set[str] = set()
    settled: set[str] = set()
    for _ in range(KILL_ROUNDS):
        with running("work", path) as process:
            assert process.stdout is not None
            for _, line in zip(range(random.randint(20, 200)), process.stdout, strict=False):
                note(line, sent, settled)
            process.kill()
            for line in process.stdout:
                note(line, sent, settled)
        assert_ledger_agrees_with_rows(path)

    found = everything_in(path)

    assert len(sent) > 100
    assert sent - settled - found.keys() == set()
    assert max(found.values()) == 1
    with opened("sqlite", path.parent) as queue:
        ledger = queue.ledger()
    assert ledger.balanced
    assert ledger.accepted >= 3 * len(sent)


def note(line: str, sent: set[str], settled: set[str]) -> None:
    """Sort the ids of a whole line."""
    if line.endswith("\n"):
        word, *ids = line.split()
        (sent if word == "sent" else settled).update(ids)


def test_receive_in_several_processes_gives_no_message_twice(path: Path, queue: SqliteQueue) -> None:
    sent = send(queue, *(str(number) for number in range(3000)))
    received: Counter[str] = Counter()
    with ExitStack() as stack:
        consumers = [stack.enter_context(running("consume", path)) for _ in range(3)]
        for consumer in consumers:
            assert consumer.stdout is not None
            assert consumer.stdout.readline() == "ready\n"
        for consumer in consumers:
            assert consumer.stdin is not None
            consumer.stdin.write("go\n")
            consumer.stdin.flush()
        for consumer in consumers:
            assert consumer.stdout is not None
            for line in consumer.stdout:
                received.update(line.split()[1:])

    assert received == Counter(sent)
    assert queue.ledger().accepted == 3000
    assert queue.ledger().balanced
    assert_ledger_agrees_with_rows(path)


def test_send_is_refused_while_another_process_locks_the_file_and_works_after(path: Path, queue: SqliteQueue) -> None:
    """The refused message is not stored: the sender sends it again."""
    before = send(queue, "before")
    with running("lock", path) as locker:
        assert locker.stdin is not None
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"

        with pytest.raises(Unavailable, match="does not answer"):
            queue.send("during", readings=1, now_ms=NOW_MS)

        with tickets.collect() as collected:
            patient = queue.send("patient", readings=1, now_ms=NOW_MS)
        locker.stdin.write("unlock\n")
        locker.stdin.flush()
        collected[0].result(10)
    after = send(queue, "after")

    messages = receive(queue)
    assert [message.id for message in messages] == [*before, patient, *after]
    assert queue.ledger().accepted == 3


def test_send_refuses_at_once_when_too_much_waits_for_a_lock(path: Path) -> None:
    queue = SqliteQueue(path, max_waiting_bytes=10 * (100 + ITEM_OVERHEAD_BYTES))
    send(queue, "before")
    with running("lock", path) as locker:
        assert locker.stdin is not None
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"
        with tickets.collect() as collected:
            for _ in range(10):
                queue.send("x" * 100, readings=1, now_ms=NOW_MS)
            with pytest.raises(Unavailable, match="wait for the disk"):
                queue.send("x" * 100, readings=1, now_ms=NOW_MS)
        locker.stdin.write("unlock\n")
        locker.stdin.flush()
        for ticket in collected:
            ticket.result(10)

    assert queue.ledger().accepted == 11
    queue.close()


def test_send_is_refused_at_the_limit_of_file_size_and_works_after(path: Path) -> None:
    """A quota instead of a full disk; stands in where nothing can be mounted."""
    with running("fill", path) as process:
        output, _ = process.communicate(timeout=120)

    assert process.returncode == 0
    lines = [line.split() for line in output.splitlines()]
    sent = [words[1] for words in lines if words[0] == "sent"]
    assert [int(words[1]) for words in lines if words[0] == "refused"] == [601 - len(sent)]
    assert 20 < len(sent) < 601
    assert everything_in(path) == Counter(sent)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("run as root to mount a small disk; the limit of file size is tested without")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine may not mount a small disk; the limit of file size is tested without")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_send_is_refused_on_a_full_disk_and_works_after(small_disk: Path) -> None:
    """Nothing of a failed group is stored, nothing that was acknowledged is lost, and there is no need to restart."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    sent, refused = [], 0
    with opened("sqlite", small_disk) as queue:
        while refused < 5:
            try:
                sent += send(queue, *["x" * 9000] * 5)
            except Unavailable:
                refused += 1
        ballast.unlink()
        sent += send(queue, "after")

        assert sorted(message.id for message in receive(queue, limit=1000)) == sorted(sent)
        assert queue.ledger().accepted == len(sent)
    assert len(sent) > 5


def test_tickets_of_an_event_loop_end_with_their_commit(queue: SqliteQueue) -> None:
    """Many requests of one loop, few commits, and each is answered after its own."""

    async def request(number: int) -> str:
        with tickets.collect() as collected:
            message_id = queue.send(str(number), readings=1, now_ms=NOW_MS)
        [ticket] = collected
        await asyncio.shield(asyncio.wrap_future(ticket))
        assert ticket.done()
        commits.add(id(ticket))
        kept.append(ticket)
        return message_id

    async def requests() -> list[str]:
        return await asyncio.gather(*(request(number) for number in range(200)))

    commits: set[int] = set()
    kept: list[object] = []
    ids = asyncio.run(requests())

    assert len(commits) < 50
    assert sorted(message.id for message in receive(queue, limit=1000)) == sorted(ids)


def test_ticket_outlives_a_request_that_was_cancelled(queue: SqliteQueue) -> None:
    async def impatient() -> None:
        with tickets.collect() as collected:
            queue.send("body", readings=1, now_ms=NOW_MS)
        wrapped = asyncio.wrap_future(collected[0])
        wrapped.cancel()
        await asyncio.to_thread(collected[0].result, 10)

    asyncio.run(impatient())

    assert bodies(receive(queue)) == ["body"]


def test_close_commits_what_waits(path: Path) -> None:
    queue = SqliteQueue(path)
    with tickets.collect() as collected:
        for number in range(1000):
            queue.send(str(number), readings=1, now_ms=NOW_MS)

    queue.close()

    assert all(ticket.done() for ticket in collected)
    assert SqliteQueue(path).ledger().accepted == 1000
    with pytest.raises(Unavailable, match="closed"):
        queue.send("late", readings=1, now_ms=NOW_MS)


def test_commit_is_on_the_disk_before_the_sender_knows(path: Path, queue: SqliteQueue) -> None:
    """Another connection, of another process for all SQLite knows, sees the message when `send` returns."""
    with opened("sqlite", path.parent) as other:
        for number in range(50):
            queue.send(str(number), readings=1, now_ms=NOW_MS)
            assert other.ledger().accepted == number + 1
