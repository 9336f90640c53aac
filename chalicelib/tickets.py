"""Let many invocations wait for one commit.

Within `collect()`, a local queue does not wait for its commit: it leaves a ticket, a Future that ends when the
commit has. Whoever collects must answer nobody before every ticket ended well. Outside `collect()`, in a plain
Lambda for instance, `redeem` waits at once.

Many invocations share one ticket. It cannot be cancelled; an asyncio future wrapped around it can, so whoever shares
that among requests must shield it.
"""

from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import ContextVar

from chalicelib.errors import Unavailable

_collected: ContextVar[list[Future[None]] | None] = ContextVar("tickets", default=None)


class _Collecting:
    """A class, not a generator: every packet of MQTT passes through one, and this is twice as fast."""

    __slots__ = ("_into", "_token")

    def __init__(self, into: list[Future[None]] | None) -> None:
        self._into = into

    def __enter__(self) -> list[Future[None]]:
        self._token = _collected.set(self._into)
        return [] if self._into is None else self._into

    def __exit__(self, *_: object) -> None:
        _collected.reset(self._token)


def collect() -> AbstractContextManager[list[Future[None]]]:
    """Collect the tickets of one invocation instead of waiting for each."""
    return _Collecting([])


def wait_at_once() -> AbstractContextManager[object]:
    """Within `collect()`: what is sent in here is durable when the call returns."""
    return _Collecting(None)


def collecting() -> bool:
    """Whether the caller is within `collect()`."""
    return _collected.get() is not None


def leave(ticket: Future[None]) -> None:
    """Leave *ticket*, once, with the invocation that collects."""
    collected = _collected.get()
    if collected is not None and (not collected or collected[-1] is not ticket):
        collected.append(ticket)


def redeem(ticket: Future[None], timeout_s: float) -> None:
    """Leave *ticket* with the invocation that collects, or wait for it.

    Raises:
        Unavailable: The commit failed, or did not end within *timeout_s*; in the latter case it may still happen.
    """
    if collecting():
        leave(ticket)
        return
    try:
        ticket.result(timeout_s)
    except TimeoutError:
        message = f"Not confirmed within {timeout_s:g} s; it may still be stored"
        raise Unavailable(message) from None
