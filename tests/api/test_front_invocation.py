"""Where handlers run, what they are waited for, and that nobody is told yes before it is true."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from chalicelib.errors import Unavailable
from infra.local.redeem import TicketOffice
from tests.api.running_front import Front, Reply, Small, running
from tests.contract.eventually import eventually


def post_in_background(front: Front, pool: ThreadPoolExecutor, count: int) -> list[Future[Reply]]:
    """POST to /ticket from several clients."""
    return [pool.submit(front.post, "/ticket", b"{}") for _ in range(count)]


def test_front_answers_only_after_the_commit() -> None:
    """Eight callers wait; then each is told 201."""
    small = Small(hold_commits=True)
    with running(small) as front, ThreadPoolExecutor(8) as pool:
        replies = post_in_background(front, pool, 8)
        assert eventually(lambda: len(small.pending) == 8)
        assert not any(reply.done() for reply in replies)
        for commit in small.pending:
            commit.set_result(None)
        assert {reply.result().status for reply in replies} == {201}


def test_front_says_503_when_the_commit_fails() -> None:
    """Never the 201 that the handler made."""
    small = Small(hold_commits=True)
    with running(small) as front, ThreadPoolExecutor(2) as pool:
        replies = post_in_background(front, pool, 2)
        assert eventually(lambda: len(small.pending) == 2)
        small.pending[0].set_exception(Unavailable("The disk is full", retry_after_s=7))
        small.pending[1].set_exception(OSError("secret path"))
        results = sorted((reply.result() for reply in replies), key=lambda reply: int(reply.headers["retry-after"]))
    assert [reply.status for reply in results] == [503, 503]
    assert [reply.headers["retry-after"] for reply in results] == ["5", "7"]
    assert [reply.json["code"] for reply in results] == ["unavailable", "unavailable"]
    assert b"secret" not in results[0].body + results[1].body


def test_front_says_503_when_the_commit_takes_too_long() -> None:
    """It may still happen, but nobody was promised that."""
    with running(Small(hold_commits=True), ticket_timeout_s=0.05) as front:
        assert front.post("/ticket", b"{}").status == 503


@pytest.mark.parametrize(
    ("body", "headers", "thread"),
    [
        (b"{}", (), "front"),
        (b"{}", ("Idempotency-Key: k",), "handler_0"),
        (b"{}", ("Prefer: wait=1",), "handler_0"),
        (b" " * 65_536 + b"{}", (), "handler_0"),
    ],
    ids=["short", "idempotent", "waiting", "large"],
)
def test_front_runs_inline_handlers_on_the_loop_unless_the_request_would_hold_it_up(
    body: bytes, headers: tuple[str, ...], thread: str
) -> None:
    """A look-up, a wait or the parsing of a large body would hold up everybody else."""
    small = Small()
    with running(small) as front:
        front.post("/ticket", body, *headers)
    assert small.threads == [thread]


def test_front_serves_others_while_a_handler_blocks() -> None:
    """A handler in a thread holds up nobody."""
    small = Small()
    with running(small) as front, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(front.get, "/hang")
        assert small.entered.wait(10)
        assert front.get("/items/1").status == 200
        small.leave.set()
        assert waiting.result().json == {"left": True}


def test_front_answers_504_when_a_handler_takes_too_long() -> None:
    """In the words of API Gateway, whose limit it is."""
    with running(Small(), timeout_s=0.05) as front:
        reply = front.get("/hang")
    assert (reply.status, reply.json) == (504, {"message": "Endpoint request timed out"})


def test_front_refuses_more_than_it_can_work_on() -> None:
    """503 with Retry-After, at once."""
    small = Small()
    with running(small, max_concurrent=1) as front, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(front.get, "/hang")
        assert small.entered.wait(10)
        reply = front.get("/items/1")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        small.leave.set()
        assert waiting.result().status == 200


def test_front_reports_an_inline_handler_that_blocks(caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute, with its name."""
    small = Small()

    with running(small, is_inline=lambda _view: True) as front, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(front.get, "/hang")
        assert small.entered.wait(10)
        assert not eventually(waiting.done, deadline_s=0.03)
        small.leave.set()
        assert waiting.result().status == 200
    assert "The inline handler hang held the event loop" in caplog.text


def test_one_commit_wakes_all_that_wait_for_it() -> None:
    """With one call into the event loop, however many they are."""

    async def wait() -> int:
        loop = asyncio.get_running_loop()
        calls = 0
        real = loop.call_soon_threadsafe

        def counting(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            return real(*args, **kwargs)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counting  # type: ignore[method-assign, assignment]
        office, ticket = TicketOffice(), Future[None]()
        waiters = [asyncio.create_task(office.redeem([ticket])) for _ in range(100)]
        await asyncio.sleep(0)
        ticket.set_result(None)
        await asyncio.gather(*waiters)
        return calls

    assert asyncio.run(wait()) == 1


def test_caller_that_gives_up_takes_nobody_along() -> None:
    """Others still wait for the same commit."""

    async def wait() -> None:
        office, ticket = TicketOffice(), Future[None]()
        impatient, patient = (asyncio.create_task(office.redeem([ticket])) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        ticket.set_result(None)
        await patient
        assert impatient.cancelled()

    asyncio.run(wait())
