"""The group committer, with a commit that the test holds back: no database, no disk."""

import logging
import threading
from concurrent.futures import Future, wait

import pytest

from chalicelib.adapters.group_commit import ITEM_OVERHEAD_BYTES, GroupCommitter
from chalicelib.errors import Unavailable


class Disk:
    """Commits when it is let to; remembers the groups; fails while `error` is set."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.error: Exception | None = None
        self.busy = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.finished_by = ""

    def commit(self, items: list[str]) -> None:
        self.busy.set()
        assert self.free.wait(10)
        if self.error is not None:
            raise self.error
        self.groups.append(items)

    def finish(self) -> None:
        self.finished_by = threading.current_thread().name

    def hold(self) -> None:
        self.free.clear()
        self.busy.clear()


def committer(disk: Disk, max_waiting_bytes: int = 1_000_000) -> GroupCommitter[str]:
    return GroupCommitter(disk.commit, finish=disk.finish, name="test-commits", max_waiting_bytes=max_waiting_bytes)


def test_add_shares_a_commit_among_all_that_wait() -> None:
    disk = Disk()
    commits = committer(disk)
    disk.hold()
    first = commits.add("a", 1)
    assert disk.busy.wait(10)
    others = [commits.add(name, 1) for name in "bcd"]
    disk.free.set()

    wait([first, *others], timeout=10)

    assert disk.groups == [["a"], ["b", "c", "d"]]
    assert len(set(others)) == 1
    assert first not in others
    commits.close()


def test_add_never_ends_a_ticket_before_the_commit() -> None:
    disk = Disk()
    commits = committer(disk)
    disk.hold()
    ticket = commits.add("a", 1)
    assert disk.busy.wait(10)

    assert not ticket.done()

    disk.free.set()
    ticket.result(10)
    commits.close()


def test_add_gives_a_failed_commit_to_its_group_only() -> None:
    disk = Disk()
    commits = committer(disk)
    disk.error = Unavailable("disk full")
    failed = commits.add("a", 1)
    assert failed.exception(10) is disk.error

    disk.error = None
    commits.add("b", 1).result(10)

    assert disk.groups == [["b"]]
    commits.close()


def test_add_survives_a_bug_in_the_commit(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    commits = committer(disk)
    disk.error = ZeroDivisionError("a bug")
    with caplog.at_level(logging.ERROR):
        assert isinstance(commits.add("a", 1).exception(10), ZeroDivisionError)

    disk.error = None
    commits.add("b", 1).result(10)

    assert "a commit of 1 failed" in caplog.text
    commits.close()


def test_add_logs_an_outage_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    commits = committer(disk)
    with caplog.at_level(logging.WARNING):
        for error in (Unavailable("disk full"), Unavailable("disk full"), None):
            disk.error = error
            commits.add("a", 1).exception(10)
        commits.close()

    assert [record.getMessage() for record in caplog.records] == [
        "test-commits: commits fail: disk full",
        "test-commits: commits work again",
    ]


def test_add_refuses_at_once_when_too_much_waits_and_drops_nothing() -> None:
    disk = Disk()
    commits = committer(disk, max_waiting_bytes=3 * (100 + ITEM_OVERHEAD_BYTES))
    disk.hold()
    first = commits.add("a", 100)
    assert disk.busy.wait(10)
    tickets: set[Future[None]] = {first, commits.add("b", 100), commits.add("c", 100)}

    with pytest.raises(Unavailable, match="wait for the disk"):
        commits.add("d", 100)

    disk.free.set()
    wait(tickets, timeout=10)
    commits.add("e", 100).result(10)
    assert disk.groups == [["a"], ["b", "c"], ["e"]]
    commits.close()


def test_ticket_cannot_be_cancelled_by_one_of_its_waiters() -> None:
    disk = Disk()
    commits = committer(disk)
    disk.hold()
    ticket = commits.add("a", 1)

    assert not ticket.cancel()

    disk.free.set()
    ticket.result(10)
    assert disk.groups == [["a"]]
    commits.close()


def test_close_commits_what_waits_and_refuses_the_rest() -> None:
    disk = Disk()
    commits = committer(disk)
    disk.hold()
    commits.add("a", 1)
    assert disk.busy.wait(10)
    commits.add("b", 1)
    disk.free.set()

    commits.close()

    assert disk.groups == [["a"], ["b"]]
    assert disk.finished_by == "test-commits"
    with pytest.raises(Unavailable, match="closed"):
        commits.add("c", 1)


def test_close_without_any_item_starts_no_thread() -> None:
    commits = committer(Disk())

    commits.close()

    assert "test-commits" not in {thread.name for thread in threading.enumerate()}


def test_add_from_many_threads_commits_every_item_once() -> None:
    disk = Disk()
    commits = committer(disk)

    def sender(number: int) -> None:
        for count in range(50):
            commits.add(f"{number}.{count}", 1).result(10)

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    commits.close()

    committed = [item for group in disk.groups for item in group]
    assert sorted(committed) == sorted(f"{number}.{count}" for number in range(8) for count in range(50))
