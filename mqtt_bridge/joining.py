"""What comes together travels together: all messages of one turn of the event loop are one message of the queue.

Each still has its own acknowledgement, which waits for the commit as it would alone; a row, a wake-up of the committing
thread and an envelope for the consumer are shared.
"""

from collections.abc import Callable
from concurrent.futures import Future

from chalicelib import codec, tickets
from chalicelib.errors import AppError
from chalicelib.ingest import Outlet

MAX_JOINED_CHARACTERS = 65_536
"""From here on the joined message is sent; one that is longer by itself is not joined at all."""


class Joiner:
    """An `Outlet` that gathers what is sent within `tickets.collect()` until `flush`, and hands on everything else.

    Args:
        queue: Where it goes.
        soon: Told to call `flush` a moment later, once for each joined message: an event loop's `call_soon`.
    """

    def __init__(self, queue: Outlet, soon: Callable[[Callable[[], None]], object]) -> None:
        self._queue = queue
        self._soon = soon
        self._bodies: list[str] = []
        self._characters = 0
        self._readings = 0
        self._now_ms = 0
        self._ticket: Future[None] = Future()

    def send(self, body: str, *, readings: int, now_ms: int) -> None:
        """See `TelemetryQueue.send`. *body* is a message of `codec`."""
        if len(body) > MAX_JOINED_CHARACTERS or not tickets.collecting():
            self._queue.send(body, readings=readings, now_ms=now_ms)
            return
        if not self._bodies:
            self._ticket = Future()
            self._soon(self.flush)
        self._bodies.append(body)
        self._characters += len(body)
        self._readings += readings
        self._now_ms = now_ms
        tickets.leave(self._ticket)
        if self._characters > MAX_JOINED_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered; whoever waits for it is told when it is durable, or why it is not."""
        if not self._bodies:
            return
        bodies, readings, ticket = self._bodies, self._readings, self._ticket
        self._bodies, self._characters, self._readings = [], 0, 0
        try:
            with tickets.collect() as found:
                self._queue.send(codec.joined(bodies), readings=readings, now_ms=self._now_ms)
        except AppError as error:
            ticket.set_exception(error)
            return
        if not found:
            ticket.set_result(None)
        for commit in found:
            commit.add_done_callback(lambda done: _pass_on(done, ticket))


def _pass_on(commit: Future[None], ticket: Future[None]) -> None:
    error = commit.exception()
    if error is None:
        ticket.set_result(None)
    else:
        ticket.set_exception(error)
