"""Waiting, on an event loop, for tickets: futures of commits that other threads make."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress

from chalicelib.errors import AppError, Unavailable

log = logging.getLogger(__name__)

Failure = AppError | None
_Waiters = list[asyncio.Future[Failure]]


class TicketOffice:
    """Wakes every request that waits for a commit with one call into the event loop, however many they are.

    Args:
        timeout_s: After this long a commit counts as failed: it may still happen, but nobody will be promised that.
    """

    def __init__(self, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._waiting: dict[Future[None], _Waiters] = {}

    async def redeem(self, tickets: Sequence[Future[None]]) -> None:
        """Wait until all *tickets* are committed.

        Raises:
            Unavailable: One is not, or took too long: the caller must not be told that it was accepted.
        """
        for ticket in tickets:
            failure = await self._wait(ticket)
            if failure is not None:
                retry_after_s = failure.retry_after_s if isinstance(failure, Unavailable) else 1
                raise Unavailable("The call could not be made durable; try it again", retry_after_s=retry_after_s)

    def _wait(self, ticket: Future[None]) -> asyncio.Future[Failure]:
        loop = asyncio.get_running_loop()
        waiters = self._waiting.get(ticket)
        if waiters is None:
            waiters = self._waiting[ticket] = []
            timer = loop.call_later(self._timeout_s, self._expire, ticket)

            def on_end(_ticket: Future[None]) -> None:
                with suppress(RuntimeError):  # the loop is closed: the process is ending and nobody waits any more
                    loop.call_soon_threadsafe(self._settle, ticket, timer)

            ticket.add_done_callback(on_end)
        waiter: asyncio.Future[Failure] = loop.create_future()
        waiters.append(waiter)
        return waiter

    def _settle(self, ticket: Future[None], timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._wake(ticket, _failure_of(ticket))

    def _expire(self, ticket: Future[None]) -> None:
        log.error("A commit did not end within %g s", self._timeout_s)
        self._wake(ticket, Unavailable("The commit took too long"))

    def _wake(self, ticket: Future[None], failure: Failure) -> None:
        for waiter in self._waiting.pop(ticket, ()):
            if not waiter.done():
                waiter.set_result(failure)


def _failure_of(ticket: Future[None]) -> Failure:
    try:
        error = ticket.exception()
    except CancelledError:
        error = Unavailable("The commit was given up")
    if error is None or isinstance(error, AppError):
        return error  # an outage: whoever commits has logged it, once
    log.error("A commit failed", exc_info=error)
    return Unavailable("The commit failed")
