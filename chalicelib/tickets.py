"""Let many invocations wait for one commit.

Within `collect()`, a local queue does not wait for its commit: it leaves a ticket, a Future that ends when the
commit has. Whoever collects must answer nobody before every ticket ended well. Outside `collect()`, in a plain
Lambda for instance, `redeem` waits at once.

Many invocations share one ticket. It cannot be cancelled; an asyncio future wrapped around it can, so whoever shares
that among requests must shield it.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar

from chalicelib.errors import Unavailable

_collected: ContextVar[list[Future[None]] | None] = ContextVar("tickets", default=None)


@contextmanager
def collect() -> Iterator[list[Future[None]]]:
    """Collect the tickets of one invocation instead of waiting for each."""
    tickets: list[Future[None]] = []
    token = _collected.set(tickets)
    try:
        yield tickets
    finally:
        _collected.reset(token)


@contextmanager
def wait_at_once() -> Iterator[None]:
    """Within `collect()`: what is sent in here is durable when the call returns."""
    token = _collected.set(None)
    try:
        yield
    finally:
        _collected.reset(token)


def redeem(ticket: Future[None], timeout_s: float) -> None:
    """Leave *ticket* with the invocation that collects, or wait for it.

    Raises:
        Unavailable: The commit failed, or did not end within *timeout_s*; in the latter case it may still happen.
    """
    collected = _collected.get()
    if collected is not None:
        collected.append(ticket)
        return
    try:
        ticket.result(timeout_s)
    except TimeoutError:
        message = f"Not confirmed within {timeout_s:g} s; it may still be stored"
        raise Unavailable(message) from None
