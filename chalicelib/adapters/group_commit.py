"""One thread that commits everything that is waiting, in one transaction. Knows threads, not databases.

Whoever adds an item gets the ticket of its group. While one group is being committed, the next one gathers: the
slower the disk, the larger the groups. Adding costs a lock and an append; the thread is woken only when it sleeps.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from chalicelib.errors import Unavailable

log = logging.getLogger(__name__)

Item = TypeVar("Item")

ITEM_OVERHEAD_BYTES = 512
"""What an item weighs in memory beyond its text, so that one limit bounds the number of items too."""


class _Group(Generic[Item]):
    """Items that share a commit, and the ticket that tells how it ended."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.size_bytes = 0
        self.ticket: Future[None] = Future()
        # A running future cannot be cancelled: one impatient waiter must not take the others' commit away.
        self.ticket.set_running_or_notify_cancel()


class GroupCommitter(Generic[Item]):
    """Commits items in groups; starts its thread with the first item.

    Args:
        commit: Makes all given items durable, or none and raises. Called by one thread only.
        finish: Called by that thread when it ends, to close what it opened.
        name: Name of the thread.
        max_waiting_bytes: What may wait; beyond it `add` refuses.
    """

    def __init__(
        self,
        commit: Callable[[list[Item]], None],
        *,
        finish: Callable[[], None],
        name: str,
        max_waiting_bytes: int,
    ) -> None:
        self._commit = commit
        self._finish = finish
        self._name = name
        self._max_waiting_bytes = max_waiting_bytes
        self._changed = threading.Condition(threading.Lock())
        self._gathering: _Group[Item] = _Group()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failing = False

    def add(self, item: Item, size_bytes: int) -> Future[None]:
        """Put *item* into the group that is gathering.

        Returns:
            The group's ticket: ends when the commit has, with its exception when it failed. Many share it; it
            cannot be cancelled.

        Raises:
            Unavailable: Too much is waiting, or the committer is closed. The item was not taken.
        """
        size_bytes += ITEM_OVERHEAD_BYTES
        with self._changed:
            if self._closed or self._waiting_bytes + size_bytes > self._max_waiting_bytes:
                raise self._refusal()
            group = self._gathering
            group.items.append(item)
            group.size_bytes += size_bytes
            self._waiting_bytes += size_bytes
            if len(group.items) == 1:
                self._wake()
            return group.ticket

    def close(self) -> None:
        """Commit what waits, end the thread, refuse everything later."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _refusal(self) -> Unavailable:
        if self._closed:
            return Unavailable("The queue is closed")
        return Unavailable(f"More than {self._max_waiting_bytes} bytes wait for the disk already", retry_after_s=1)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        while (group := self._next()) is not None:
            error = self._try(group.items)
            with self._changed:
                self._waiting_bytes -= group.size_bytes
            if error is None:
                group.ticket.set_result(None)
            else:
                group.ticket.set_exception(error)
        self._finish()

    def _next(self) -> _Group[Item] | None:
        with self._changed:
            while not self._gathering.items:
                if self._closed:
                    return None
                self._changed.wait()
            group, self._gathering = self._gathering, _Group()
            return group

    def _try(self, items: list[Item]) -> Exception | None:
        """Commit; the way it ended is for those who hold the ticket, an outage is logged once."""
        try:
            self._commit(items)
        except Unavailable as error:
            if not self._failing:
                log.warning("%s: commits fail: %s", self._name, error.__cause__ or error)
            self._failing = True
            return error
        except Exception as error:
            log.exception("%s: a commit of %d failed", self._name, len(items))
            return error
        if self._failing:
            log.warning("%s: commits work again", self._name)
        self._failing = False
        return None
