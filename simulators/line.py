"""A device's line to the service: counts its requests, and keeps it silent for a while after a failure."""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from simulators.client import Answer, NoAnswer, backoff_s
from simulators.enrolment import Enrolled
from simulators.totals import Counts

Outcome = TypeVar("Outcome", bound=Answer | Enrolled)


class Line:
    """Requests of one device, one at a time.

    Args:
        counts: where requests and refusals are counted.
        clock: real time, epoch seconds.
        rng: for the jitter of pauses.
    """

    def __init__(self, counts: Counts, *, clock: Callable[[], float], rng: Random) -> None:
        self.silent_until_s = clock()
        """No request may be made before this real time."""
        self._counts = counts
        self._clock = clock
        self._rng = rng
        self._failures = 0
        self._repeating = False

    def ask(self, request: Callable[[], Outcome], *, repeatable: bool) -> Outcome | None:
        """Make one request; None when it failed for now, and a pause has begun.

        Args:
            request: makes it; may raise NoAnswer.
            repeatable: whether the caller repeats it after the pause, so that the next repeatable one is a retry.
        """
        self._counts.requests += 1
        self._counts.retried += repeatable and self._repeating
        advice_s = None
        try:
            outcome = request()
        except NoAnswer:
            self._counts.unanswered += 1
        else:
            if isinstance(outcome, Enrolled) or not self._refused_for_now(outcome):
                self._failures = 0
                self._repeating &= not repeatable
                return outcome
            advice_s = outcome.retry_after_s
        self._failures += 1
        self._repeating |= repeatable
        self.silent_until_s = self._clock() + backoff_s(self._failures, self._rng, retry_after_s=advice_s)
        return None

    def hush(self, until_s: float) -> None:
        """Make no request before a real time."""
        self.silent_until_s = max(self.silent_until_s, until_s)

    def _refused_for_now(self, answer: Answer) -> bool:
        if not 200 <= answer.status < 300:
            self._counts.refused[answer.status] += 1
        return answer.retryable
