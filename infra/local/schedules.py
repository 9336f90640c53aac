"""EventBridge rules with a rate: each calls its handler again and again, on a clock that no one can set back."""

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chalice.app import ScheduledEventConfig

from infra.local.lambda_context import LambdaContext
from infra.local.source_events import scheduled_event

log = logging.getLogger(__name__)

SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}
LONGEST_RUN_S = 900.0
"""What a Lambda may take at most."""
DRAIN_S = 8.0
_RATE = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)s?\)")


class Schedule(NamedTuple):
    """A handler and how often it runs."""

    name: str
    interval_s: float
    handler: Callable[[dict[str, Any], LambdaContext], Any]


def schedules_of(app: Any) -> list[Schedule]:
    """The app's `@app.schedule` handlers.

    Raises:
        ValueError: One has a cron expression, which only AWS understands.
    """
    sources = [source for source in app.event_sources if isinstance(source, ScheduledEventConfig)]
    return [
        Schedule(source.name, interval_s(source.schedule_expression), app.handler_map[source.name])
        for source in sources
    ]


def interval_s(expression: Any) -> float:
    """Seconds of ``rate(5 minutes)`` or a chalice Rate.

    Raises:
        ValueError: It is not a rate.
    """
    text = expression if isinstance(expression, str) else expression.to_string()
    match = _RATE.fullmatch(text)
    if match is None:
        message = f"the schedule {text!r} is not rate(N minutes|hours|days)"
        raise ValueError(message)
    return int(match[1]) * SECONDS[match[2]]


def run_all(schedules: Sequence[Schedule], draining: threading.Event, *, first_s: float = 1.0) -> None:
    """Run every schedule in its own thread until *draining* is set; runs in progress get some seconds to end.

    Args:
        schedules: What to run.
        draining: Ends it.
        first_s: The first run comes so soon, the next ones a second apart from each other.
    """
    threads = [
        threading.Thread(
            target=run, args=(each, draining), kwargs={"first_s": first_s + at}, name=each.name, daemon=True
        )
        for at, each in enumerate(schedules)
    ]
    for thread in threads:
        thread.start()
    draining.wait()
    deadline_s = time.monotonic() + DRAIN_S
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))


def run(schedule: Schedule, draining: threading.Event, *, first_s: float) -> None:
    """Call the handler at its rate until *draining* is set; an error ends that call only, missed calls are skipped."""
    due_s = time.monotonic() + first_s
    while not draining.wait(max(0.0, due_s - time.monotonic())):
        _call(schedule)
        missed = max(0.0, time.monotonic() - due_s) // schedule.interval_s
        due_s += (missed + 1) * schedule.interval_s


def _call(schedule: Schedule) -> None:
    event = scheduled_event(schedule.name, event_id=str(uuid.uuid4()), now_ms=time.time_ns() // 1_000_000)
    try:
        schedule.handler(event, LambdaContext(schedule.name, event["id"], LONGEST_RUN_S))
    except Exception:
        log.exception("The schedule %s failed; it runs again in %g s", schedule.name, schedule.interval_s)
