"""The way of a reading: accepted into the queue, then stored from it. Nothing is answered before it is durable."""

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from chalicelib import codec
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.limits import PayloadLimits
from chalicelib.model import Batch, Device, DeviceRef, Message, Reading, Sighting
from chalicelib.ports import DeviceRepository, Presence, ReadingStore, TelemetryQueue
from chalicelib.stamps import Stamps

log = logging.getLogger(__name__)


class Accepted(NamedTuple):
    """What was made durable: its newest timestamp, and how many readings."""

    last: Reading
    readings: int


def accept(
    payload: bytes,
    *,
    content_type: str,
    device: Device,
    now_ms: int,
    queue: TelemetryQueue,
    limits: PayloadLimits,
    stamps: Stamps | None,
) -> Accepted:
    """Parse a device's payload and queue its readings as one message.

    Args:
        payload: Bytes off the wire, in any of the accepted shapes.
        content_type: As the device gave it; empty for JSON.
        device: The authenticated sender: identity never comes from the payload.
        now_ms: Server time, for readings without their own.
        queue: Where the readings become durable.
        limits: What a payload may hold.
        stamps: Keeps server times apart; None when *now_ms* must be used as it is, in a repeated request.

    Raises:
        InvalidInput: The payload can never be accepted.
        Forbidden: The payload names another device.
        Unavailable: Not durable; sending again is safe.
    """
    readings = codec.readings_from_payload(
        payload,
        content_type=content_type,
        device=device.ref,
        device_name=device.name,
        now_ms=now_ms,
        limits=limits,
        stamp=(lambda count: stamps.take(device.ref, now_ms, count)) if stamps else None,
    )
    batch = Batch(device.ref, now_ms, readings)
    queue.send(codec.batch_to_json(batch), readings=len(readings), now_ms=now_ms)
    return Accepted(readings[-1], len(readings))


def most_readings(payload: bytes, limits: PayloadLimits) -> int:
    """An upper bound of the readings in a payload that was not parsed yet: in JSON each is an object of its own."""
    text = payload.lstrip()[:1] in {b"{", b"["}
    return max(1, min(payload.count(b"{"), limits.readings)) if text else limits.readings


def wait_until_stored(reading: Reading, *, readings: ReadingStore, timeout_s: float) -> bool:
    """Wait until *reading* can be read back, at most *timeout_s*; False when it is not stored by then.

    The store is asked, with growing pauses from 5 to 100 ms, since no queue tells when a message was consumed.
    """
    deadline, pause_s = time.monotonic() + timeout_s, 0.005
    while True:
        found = readings.read(reading.device, start_ms=reading.timestamp_ms, end_ms=reading.timestamp_ms + 1, limit=1)
        if found and reading.values.items() <= found[0].values.items():
            return True
        if time.monotonic() + pause_s > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.1)


class Sinks(NamedTuple):
    """The ports that storing touches."""

    queue: TelemetryQueue
    readings: ReadingStore
    devices: DeviceRepository
    presence: Presence


def store(messages: Sequence[Message], sinks: Sinks, *, now_ms: int) -> None:
    """Store what the messages carry, with one call to the store.

    Unreadable messages and readings that the store refuses for good are buried with their reason; readings of removed
    devices are discarded; the neighbours of both are stored.

    Raises:
        Unavailable: The store or the queue is silent. Nothing is lost: deliver all of them again.
    """
    queue = sinks.queue
    batches: list[tuple[Message, Batch]] = []
    for message in messages:
        try:
            batches.append((message, codec.batch_from_json(message.body)))
        except InvalidInput as error:
            queue.bury(message.receipt, reason=f"Unreadable message: {error.message}", now_ms=now_ms)
    known = sinks.devices.existing({batch.device for _, batch in batches})
    for message, batch in batches:
        if batch.device not in known:
            queue.discard(message.receipt, readings=message.readings, now_ms=now_ms)
    batches = [(message, batch) for message, batch in batches if batch.device in known]
    rows = [reading for _, batch in batches for reading in batch.readings]
    rejected = {item.position: item.reason for item in sinks.readings.write(rows)} if rows else {}
    if rejected:
        _bury_rejected(batches, rejected, queue=queue, now_ms=now_ms)
    _mark_seen(batches, sinks.presence)


def _bury_rejected(
    batches: Sequence[tuple[Message, Batch]], rejected: dict[int, str], *, queue: TelemetryQueue, now_ms: int
) -> None:
    position = 0
    for message, batch in batches:
        guilty = [at for at in range(position, position + len(batch.readings)) if at in rejected]
        if guilty:
            part = batch._replace(readings=tuple(batch.readings[at - position] for at in guilty))
            queue.bury(
                message.receipt,
                reason=rejected[guilty[0]],
                now_ms=now_ms,
                body=codec.batch_to_json(part),
                readings=len(guilty),
            )
        position += len(batch.readings)


def _mark_seen(batches: Sequence[tuple[Message, Batch]], presence: Presence) -> None:
    newest: dict[DeviceRef, int] = {}
    for _, batch in batches:
        newest[batch.device] = max(batch.accepted_ms, newest.get(batch.device, 0))
    try:
        presence.mark([Sighting(device, at_ms) for device, at_ms in newest.items()])
    except Unavailable:  # every round of an outage comes here; the adapter and /status tell of it
        log.debug("Presence does not answer; %d sightings are lost", len(newest))


def store_apart(messages: Sequence[Message], sinks: Sinks, *, last_receive: int, now_ms: int) -> list[str]:
    """Like `store`, but a bug that one message meets cannot fail its neighbours.

    The round is tried as a whole; if something unforeseen breaks it, each message is tried alone. One that breaks its
    own round is delivered again, and buried with the error's name when this was delivery *last_receive*.

    Returns:
        Ids of messages to be delivered again.
    """
    try:
        store(messages, sinks, now_ms=now_ms)
    except Unavailable:
        raise
    except Exception:
        log.exception("A batch of %d messages met a bug; each is tried alone", len(messages))
    else:
        return []
    return [message.id for message in messages if not _settled(message, sinks, last_receive, now_ms)]


def _settled(message: Message, sinks: Sinks, last_receive: int, now_ms: int) -> bool:
    """Store one message, or bury it on its last delivery; False when it is to be delivered again."""
    try:
        store([message], sinks, now_ms=now_ms)
    except Unavailable:
        raise
    except Exception as error:
        log.exception("Message %s met a bug, delivery %d of %d", message.id, message.receive_count, last_receive)
        if message.receive_count < last_receive:
            return False
        sinks.queue.bury(message.receipt, reason=f"Internal error: {type(error).__name__}", now_ms=now_ms)
    return True
