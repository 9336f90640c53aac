"""Tickets: who waits for a commit, and who is told what."""

import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextvars import copy_context

import pytest

from chalicelib import tickets
from chalicelib.errors import Unavailable


def done(error: Exception | None = None) -> Future[None]:
    ticket: Future[None] = Future()
    if error is None:
        ticket.set_result(None)
    else:
        ticket.set_exception(error)
    return ticket


def test_redeem_waits_for_the_commit() -> None:
    ticket: Future[None] = Future()
    committer = threading.Timer(0.02, ticket.set_result, [None])
    committer.start()

    tickets.redeem(ticket, timeout_s=5)

    assert ticket.done()
    committer.join()


def test_redeem_raises_what_the_commit_raised() -> None:
    with pytest.raises(Unavailable, match="disk full"):
        tickets.redeem(done(Unavailable("disk full")), timeout_s=5)


def test_redeem_tells_a_time_out_as_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"within 0\.01 s.*may still be stored"):
        tickets.redeem(Future(), timeout_s=0.01)


def test_collect_takes_tickets_without_waiting() -> None:
    first: Future[None] = Future()
    failed = done(Unavailable("disk full"))

    with tickets.collect() as collected:
        tickets.redeem(first, timeout_s=0.01)
        tickets.redeem(failed, timeout_s=0.01)

    assert collected == [first, failed]


def test_collect_ends_with_its_block() -> None:
    with tickets.collect():
        pass

    with pytest.raises(Unavailable):
        tickets.redeem(Future(), timeout_s=0.01)


def test_collect_ends_with_an_exception_too() -> None:
    with pytest.raises(ZeroDivisionError), tickets.collect():
        raise ZeroDivisionError

    with pytest.raises(Unavailable):
        tickets.redeem(Future(), timeout_s=0.01)


def test_wait_at_once_waits_within_collect() -> None:
    with tickets.collect() as collected:
        with tickets.wait_at_once(), pytest.raises(Unavailable):
            tickets.redeem(Future(), timeout_s=0.01)
        after = done()
        tickets.redeem(after, timeout_s=0.01)

    assert collected == [after]


def test_collect_keeps_interleaved_invocations_of_one_thread_apart() -> None:
    """Each in a context of its own, as the tasks of an event loop are."""

    def invocation(ticket: Future[None]) -> Generator[None, None, None]:
        with tickets.collect() as collected:
            yield
            tickets.redeem(ticket, timeout_s=0.01)
            yield
            assert collected == [ticket]
            ended.append(ticket)

    ended: list[Future[None]] = []
    own: list[Future[None]] = [Future() for _ in range(3)]
    running = [(copy_context(), invocation(ticket)) for ticket in own]
    for _ in range(3):
        for context, steps in running:
            context.run(next, steps, None)

    assert ended == own


def test_collect_does_not_reach_into_another_thread() -> None:
    outcome: list[type[Exception]] = []

    def elsewhere() -> None:
        try:
            tickets.redeem(Future(), timeout_s=0.01)
        except Unavailable as error:
            outcome.append(type(error))

    with tickets.collect() as collected:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    assert outcome == [Unavailable]
    assert collected == []
