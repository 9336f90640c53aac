"""The way from a broker into a queue that has no transactions: at least once."""

from collections.abc import Sequence

from chalicelib import tickets
from chalicelib.delivery import Delivery
from chalicelib.ports import Taken, TelemetryQueue, Tenure


class PlainInbox:
    """`Inbox` over any queue, SQS for one.

    What a broker repeats comes again: the same readings when they have times of their own, second ones when not. A
    bridge that was frozen may write what it still holds, before it notices that another has taken over. A refused
    message goes through the queue: the consumer finds that it cannot be read, and buries it.

    Args:
        queue: Where messages go.
    """

    def __init__(self, queue: TelemetryQueue) -> None:
        self._queue = queue

    def take(self, deliveries: Sequence[Delivery], tenure: Tenure, *, now_ms: int) -> None:  # noqa: ARG002 - the port's
        with tickets.wait_at_once():
            for delivery in deliveries:
                for body, readings in delivery.messages():
                    self._queue.send(body, readings=readings, now_ms=now_ms)
                for refused in delivery.refused:
                    self._queue.send(f"{refused.reason}: {refused.body}", readings=1, now_ms=now_ms)

    def taken(self, name: str) -> Taken:  # noqa: ARG002 - the port's
        return Taken({}, 0)
