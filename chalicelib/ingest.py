"""The way of a reading: accepted into the queue, then stored from it. Nothing is answered before it is durable."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from chalicelib import codec
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.limits import PayloadLimits
from chalicelib.model import Batch, Device, DeviceRef, Message, Reading, Sighting
from chalicelib.ports import Counters, DeviceRepository, Presence, ReadingStore, Rejected, TelemetryQueue
from chalicelib.retention import EXPIRED, Retention
from chalicelib.stamps import Stamps

log = logging.getLogger(__name__)


class Outlet(Protocol):
    """The end of a queue that readings go into."""

    def send(self, body: str, *, readings: int, now_ms: int) -> object:
        """See `TelemetryQueue.send`."""
        ...


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
    queue: Outlet,
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
    ref = device.ref
    readings = codec.readings_from_payload(
        payload,
        content_type=content_type,
        device=ref,
        device_name=device.name,
        now_ms=now_ms,
        limits=limits,
        stamp=(lambda count: stamps.take(ref, now_ms, count)) if stamps else None,
    )
    queue.send(codec.batch_to_json(Batch(ref, now_ms, readings)), readings=len(readings), now_ms=now_ms)
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
    """The ports that storing touches, and how a message is read; `read` raises `InvalidInput` where no retry helps.

    `retention` says which readings are too old by now, `counters` counts them.
    """

    queue: TelemetryQueue
    readings: ReadingStore
    devices: DeviceRepository
    presence: Presence
    read: Callable[[str], tuple[Batch, ...]] = codec.batches_from_json
    retention: Retention | None = None
    counters: Counters | None = None


def store(
    messages: Sequence[Message],
    sinks: Sinks,
    *,
    now_ms: int,
    write: Callable[[Sequence[Reading]], list[Rejected]] | None = None,
) -> None:
    """Store what the messages carry, with one call to the store, or to *write* instead.

    Unreadable messages and readings that the store refuses for good are buried with their reason; readings of removed
    devices, and those that are older than readings are kept, are discarded; the neighbours of both are stored.

    Raises:
        Unavailable: The store or the queue is silent. Nothing is lost: deliver all of them again.
    """
    queue = sinks.queue
    carried: list[_Carried] = []
    for message in messages:
        try:
            carried.append(_Carried(message, sinks.read(message.body)))
        except InvalidInput as error:
            queue.bury(message.receipt, reason=f"Unreadable message: {error.message}", now_ms=now_ms)
    known = sinks.devices.existing({batch.device for _, batches in carried for batch in batches})
    kept = [each.of(known) for each in carried]
    rows = [reading for _, batches in kept for batch in batches for reading in batch.readings]
    rejected = _write(rows, sinks, write or sinks.readings.write, now_ms) if rows else {}
    position = 0
    for whole, part in zip(carried, kept, strict=True):
        refused = [at for at in range(part.readings) if position + at in rejected] if rejected else []
        reason = next((one.reason for at in refused if not (one := rejected[position + at]).expired), None)
        dropped = whole.readings - part.readings + len(refused)
        if reason is not None:
            _bury_rejected(whole, known, part, refused, reason, queue=queue, now_ms=now_ms)
        elif dropped:
            queue.discard(whole.message.receipt, readings=dropped, now_ms=now_ms)
        position += part.readings
    _mark_seen(kept, sinks.presence)


def _write(
    rows: Sequence[Reading], sinks: Sinks, write: Callable[[Sequence[Reading]], list[Rejected]], now_ms: int
) -> dict[int, Rejected]:
    """Write what is not expired; what was not stored, by its position in *rows*."""
    old = sinks.retention.expired(rows, now_ms=now_ms) if sinks.retention is not None else set()
    fresh = [position for position in range(len(rows)) if position not in old] if old else range(len(rows))
    written = write([rows[position] for position in fresh] if old else rows) if fresh else []
    rejected = {position: Rejected(position, "older than readings are kept", expired=True) for position in old}
    rejected |= {fresh[item.position]: item for item in written}
    expired = sum(item.expired for item in rejected.values())
    if expired:
        log.info("Dropped %d readings that are older than readings are kept", expired)
        if sinks.counters is not None:
            sinks.counters.add(EXPIRED, amount=expired, now_ms=now_ms)
    return rejected


class _Carried(NamedTuple):
    """A message and what it carries, or what is left of that."""

    message: Message
    batches: tuple[Batch, ...]

    def of(self, devices: set[DeviceRef]) -> "_Carried":
        """Without the batches of other devices."""
        if {batch.device for batch in self.batches} <= devices:
            return self
        return self._replace(batches=tuple(batch for batch in self.batches if batch.device in devices))

    @property
    def readings(self) -> int:
        """How many it carries."""
        return sum([len(batch.readings) for batch in self.batches])


def _bury_rejected(
    whole: _Carried,
    known: set[DeviceRef],
    part: _Carried,
    refused: Sequence[int],
    reason: str,
    *,
    queue: TelemetryQueue,
    now_ms: int,
) -> None:
    """Bury those of *part* that are at the positions *refused*, and with them what is of removed devices.

    A message is settled once, so the latter, and what is expired, wait for the letter's end: they are discarded when
    it is replayed.
    """
    guilty = []
    at = 0
    for batch in part.batches:
        readings = tuple(each for number, each in enumerate(batch.readings, at) if number in refused)
        guilty += [batch._replace(readings=readings)] if readings else []
        at += len(batch.readings)
    guilty += [batch for batch in whole.batches if batch.device not in known]
    queue.bury(
        whole.message.receipt,
        reason=reason,
        now_ms=now_ms,
        body=codec.joined([codec.batch_to_json(batch) for batch in guilty]),
        readings=sum(len(batch.readings) for batch in guilty),
    )


def _mark_seen(stored: Sequence[_Carried], presence: Presence) -> None:
    newest: dict[DeviceRef, int] = {}
    for _, batches in stored:
        for batch in batches:
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
    """Store one message, or bury what of it meets a bug on its last delivery; False: to be delivered again."""
    try:
        store([message], sinks, now_ms=now_ms)
    except Unavailable:
        raise
    except Exception as error:
        log.exception("Message %s met a bug, delivery %d of %d", message.id, message.receive_count, last_receive)
        if message.receive_count < last_receive:
            return False
        _bury_bugged(message, error, sinks, now_ms)
    return True


def _bury_bugged(message: Message, error: Exception, sinks: Sinks, now_ms: int) -> None:
    """The readings of one message may be of many requests: each is tried alone before all of them are buried."""

    def one_by_one(readings: Sequence[Reading]) -> list[Rejected]:
        rejected = []
        for position, reading in enumerate(readings):
            try:
                rejected += [each._replace(position=position) for each in sinks.readings.write([reading])]
            except Unavailable:
                raise
            except Exception as bug:
                log.exception("Reading %d of message %s met a bug", position, message.id)
                rejected.append(Rejected(position, _internal(bug)))
        return rejected

    try:
        store([message], sinks, now_ms=now_ms, write=one_by_one)
    except Unavailable:
        raise
    except Exception:
        log.exception("Message %s is buried as a whole", message.id)
        sinks.queue.bury(message.receipt, reason=_internal(error), now_ms=now_ms)


def _internal(error: Exception) -> str:
    return f"Internal error: {type(error).__name__}"
