"""Lambda's event source mapping: takes messages from the queue, hands them to the handler, settles what it reports.

* A batch is whatever waits, up to a number and a size; under load the batches grow by themselves.
* Messages that the handler reports as failed are shown again after a back-off that grows with their deliveries.
* While the store is away (the handler raises `Unavailable`) every message goes back at once and its delivery is not
  counted, or an outage would turn the whole queue into dead letters. Only the poller waits, longer each time, and
  then tries with a single message.
* A message whose last delivery ended without a word may have killed the consumer. It is delivered alone, or the
  deaths would count for its neighbours too and make dead letters of them.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from chalicelib.errors import Unavailable
from chalicelib.model import Message
from chalicelib.ports import TelemetryQueue
from infra.local.lambda_context import LambdaContext
from infra.local.source_events import failed_messages, sqs_event

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], LambdaContext], Any]

BATCH_MESSAGES = 1000
BATCH_BYTES = 1024 * 1024
"""About this much is asked for, going by the size of the messages before; it bounds memory and one store call."""
FEW_MESSAGES = 32
"""As many are asked for first, and then at most four times as many as came before: after small messages may come large
ones, of a thousand readings each, and nobody knows before they are here."""
WINDOW_S = 0.05
"""How long messages gather unless the last batch was full: fewer, larger transactions beside a busy front. With 20 ms
the consumer took a third more of the processor for each message."""
BACKOFF_S = (0.2, 30.0)


def clock_ms() -> int:
    """Epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Poller:
    """One queue and its handler.

    Args:
        queue: Where messages come from.
        handler: Called with an SQS event and a context, as Lambda would.
        name: The Lambda function's name.
        queue_name: The queue's, for the event.
        visibility_s: How long the handler may take before its messages are shown to others.
        now_ms: The clock.
        jitter: Picks a number between two.
    """

    def __init__(
        self,
        queue: TelemetryQueue,
        handler: Handler,
        *,
        name: str,
        queue_name: str,
        visibility_s: float,
        now_ms: Callable[[], int] = clock_ms,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._name = name
        self._queue_name = queue_name
        self._visibility_s = visibility_s
        self._now_ms = now_ms
        self._jitter = jitter
        self._outages = 0
        self._limit = FEW_MESSAGES
        self._suspects = 0

    def run(self, draining: threading.Event) -> None:
        """Poll until *draining* is set; the batch in hand is finished."""
        while not draining.is_set():
            draining.wait(self.round())

    def round(self) -> float:
        """Take, handle and settle one batch; returns how many seconds to wait before the next."""
        limit = 1 if self._outages or self._suspects else self._limit
        try:
            messages = self._queue.receive(limit=limit, visibility_s=self._visibility_s, now_ms=self._now_ms())
            if messages:
                self._deliver(self._apart(messages))
        except Unavailable as error:
            return self._away(error)
        if messages or not self._outages:
            self._back()
        return 0.0 if len(messages) >= limit else WINDOW_S

    def _apart(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Those of *messages* to deliver now: one that was delivered before is alone, everything else goes back."""
        again = [message for message in messages if message.receive_count > 1]
        if again and len(messages) > 1:
            others = [message.receipt for message in messages if message is not again[0]]
            self._queue.release(others, delay_s=0.0, now_ms=self._now_ms(), uncounted=True)
            self._suspects, messages = len(again), again[:1]
        self._suspects = max(0, self._suspects - 1)
        return messages

    def _deliver(self, messages: Sequence[Message]) -> None:
        context = LambdaContext(self._name, str(uuid.uuid4()), self._visibility_s)
        event = sqs_event(messages, queue_name=self._queue_name, now_ms=self._now_ms())
        try:
            failed = failed_messages(self._handler(event, context), messages)
        except Unavailable:
            with suppress(Unavailable):  # the queue is away too: they are shown again when their time is over
                receipts = [message.receipt for message in messages]
                self._queue.release(receipts, delay_s=0.0, now_ms=self._now_ms(), uncounted=True)
            raise
        except Exception:
            log.exception("%s failed with a batch of %d messages", self._name, len(messages))
            failed = {message.id for message in messages}
        self._limit = _affordable(messages)
        self._settle(messages, failed)

    def _settle(self, messages: Sequence[Message], failed: set[str]) -> None:
        done = [message.receipt for message in messages if message.id not in failed]
        if done:
            self._queue.delete(done, now_ms=self._now_ms())
        for message in messages:
            if message.id in failed:
                delay_s = self._backoff_s(message.receive_count)
                self._queue.release([message.receipt], delay_s=delay_s, now_ms=self._now_ms())

    def _away(self, error: Unavailable) -> float:
        self._outages += 1
        if self._outages == 1:
            log.error("%s waits: %s", self._name, error.message)
        return self._backoff_s(self._outages)

    def _back(self) -> None:
        if self._outages:
            log.warning("%s goes on after %d failed attempts", self._name, self._outages)
        self._outages = 0

    def _backoff_s(self, attempt: int) -> float:
        """Full jitter above a floor, so that an outage is never a busy loop."""
        low_s, high_s = BACKOFF_S
        return self._jitter(low_s, min(high_s, low_s * 2.0 ** min(attempt, 30)))


def _affordable(messages: Sequence[Message]) -> int:
    mean_bytes = sum(len(message.body) for message in messages) // len(messages) + 1
    return max(1, min(BATCH_MESSAGES, max(FEW_MESSAGES, 4 * len(messages)), BATCH_BYTES // mean_bytes))
