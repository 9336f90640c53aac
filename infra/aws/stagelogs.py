"""Log lines of a stage's functions, merged by time."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

POLL_S = 2.0
LATE_MS = 10_000
"""CloudWatch may show a line so much later than the one after it; lines are told once all the same."""
NOISE = ("INIT_START ", "START RequestId", "END RequestId", "REPORT RequestId")
"""Lambda's own lines around each run."""


class Line(NamedTuple):
    """A line of a function's log."""

    timestamp_ms: int
    function: str
    text: str


def lines(
    client: Any, groups: Mapping[str, str], *, since_ms: int, follow: bool, pause: Callable[[float], None] = time.sleep
) -> Iterator[Line]:
    """Lines since a time, oldest first; with *follow*, for ever.

    Args:
        client: Of CloudWatch Logs.
        groups: Function -> its log group; one that is not there has no lines.
        since_ms: Epoch milliseconds.
        follow: Go on when all are told.
        pause: Waits between two looks.
    """
    told: dict[str, int] = {}
    while True:
        found = sorted(_new(client, groups, since_ms, told))
        yield from found
        if not follow:
            return
        if found:
            since_ms = max(since_ms, found[-1].timestamp_ms - LATE_MS)
        for event_id in [event_id for event_id, at_ms in told.items() if at_ms < since_ms]:
            del told[event_id]
        pause(POLL_S)


def _new(client: Any, groups: Mapping[str, str], since_ms: int, told: dict[str, int]) -> Iterator[Line]:
    for function, group in groups.items():
        for event in _events(client, group, since_ms):
            if event["eventId"] not in told:
                told[event["eventId"]] = event["timestamp"]
                text = event["message"].rstrip()
                if not text.startswith(NOISE):
                    yield Line(event["timestamp"], function, text)


def _events(client: Any, group: str, since_ms: int) -> Sequence[dict[str, Any]]:
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since_ms)
    try:
        return [event for page in pages for event in page["events"]]
    except client.exceptions.ResourceNotFoundException:
        return []
