"""Let many invocations wait for one commit.

Within `collect()`, a local queue does not wait for its commit: it leaves a ticket, a Future that ends when the
commit has. Whoever collects must answer nobody before every ticket ended well. Outside `collect()`, in a plain
Lambda for instance, `redeem` waits at once.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar

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
        TimeoutError: The commit did not end within *timeout_s*; it may still happen.
    """
    collected = _collected.get()
    if collected is None:
        ticket.result(timeout_s)
    else:
        collected.append(ticket)
