"""Acknowledgements that wait for commits: each goes out when everything before it is durable, in order."""

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import NamedTuple

from chalicelib.errors import AppError, Unavailable
from mqtt_bridge.reasons import Reason

log = logging.getLogger(__name__)


class Late(NamedTuple):
    """An acknowledgement that says success until the work that its message asks for has ended.

    Attributes:
        end: Where it ends in the receipt's `acks`.
        work: Tells the reason.
    """

    end: int
    qos: int
    packet_id: int
    work: Future[Reason]


class Receipt:
    """What a connection will tell its client when the commits that it waits for have ended.

    Attributes:
        acks: The packets to write.
        count: How many messages came, acknowledged or not; `size_bytes` of them.
        waits_for: Commits that have not ended.
        failure: Why one of them failed.
        late: Those of `acks` that are not final.
        undo: Packet ids of QoS 2 that were not received if it fails.
    """

    __slots__ = ("_settled", "acks", "count", "failure", "late", "since_s", "size_bytes", "undo", "waits_for")

    def __init__(self, settled: Callable[[], None]) -> None:
        self.acks = bytearray()
        self.count = 0
        self.size_bytes = 0
        self.waits_for = 0
        self.failure: AppError | None = None
        self.since_s = 0.0
        self.late: tuple[Late, ...] = ()
        self.undo: tuple[int, ...] = ()
        self._settled = settled

    def settle(self, failure: AppError | None) -> None:
        """One commit has ended."""
        self.waits_for -= 1
        self.failure = self.failure or failure
        if not self.waits_for or failure:
            self._settled()


class Commits:
    """Wakes all receipts of a commit with one call into the event loop, however many connections share it.

    Args:
        loop: Where receipts are settled.
        timeout_s: After this long a commit counts as failed: it may still happen, but nobody is promised that.
    """

    def __init__(self, loop: AbstractEventLoop, *, timeout_s: float = 15.0) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._waiting: dict[Future[None], list[Receipt]] = {}

    def wait(self, receipt: Receipt, tickets: Collection[Future[None]]) -> None:
        """Settle *receipt* when all *tickets* have ended."""
        if len(tickets) > 1:
            tickets = set(tickets)
        receipt.since_s = self._loop.time()
        receipt.waits_for = len(tickets)
        for ticket in tickets:
            waiting = self._waiting.get(ticket)
            if waiting is None:
                waiting = self._waiting[ticket] = []
                ticket.add_done_callback(self._wake)
            waiting.append(receipt)

    def sweep(self) -> None:
        """Give up on commits that take too long."""
        before_s = self._loop.time() - self._timeout_s
        for ticket in [each for each, waiting in self._waiting.items() if waiting[0].since_s < before_s]:
            log.error("A commit did not end within %g s", self._timeout_s)
            for receipt in self._waiting.pop(ticket):
                receipt.settle(Unavailable("The commit took too long"))

    @property
    def pending(self) -> int:
        """How many commits are waited for."""
        return len(self._waiting)

    def _wake(self, ticket: Future[None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending and nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, ticket)

    def _settle(self, ticket: Future[None]) -> None:
        failure = _failure_of(ticket)
        for receipt in self._waiting.pop(ticket, ()):
            receipt.settle(failure)


def _failure_of(ticket: Future[None]) -> AppError | None:
    try:
        error = ticket.exception()
    except CancelledError:
        error = Unavailable("The commit was given up")
    if error is None or isinstance(error, AppError):
        return error
    log.error("A commit failed", exc_info=error)
    return Unavailable("The commit failed")
