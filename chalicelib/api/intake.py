"""Readings in a request's body, for every endpoint that takes them."""

from chalicelib import ingest
from chalicelib.calls import Call
from chalicelib.wiring import services


def accept(call: Call) -> ingest.Accepted:
    """Make the calling device's payload durable. A repeated request keeps the times of its first attempt.

    Raises:
        InvalidInput: The payload can never be accepted.
        Forbidden: The payload names another device.
        Unavailable: Not durable; sending again is safe.
    """
    now = services()
    return ingest.accept(
        call.payload,
        content_type=call.content_type,
        device=call.device,
        now_ms=call.now_ms,
        queue=now.queue,
        limits=now.limits,
        stamps=None if call.repeatable else now.stamps,
    )
