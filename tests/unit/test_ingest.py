"""The way of a reading, with memory adapters: accepted, stored, buried, discarded, and never lost."""

from collections.abc import Sequence

import pytest

from chalicelib.codec import batch_to_json, batches_from_json, joined
from chalicelib.errors import Forbidden, InvalidInput, Unavailable
from chalicelib.ingest import Accepted, Sinks, accept, store, store_apart
from chalicelib.model import Batch, Device, DeviceRef, Reading
from chalicelib.ports import Rejected
from chalicelib.retention import DAY_MS, EXPIRED, Retention
from chalicelib.stamps import Stamps
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, a_reading, memory_services, received, send


@pytest.fixture
def services() -> Services:
    return memory_services()


@pytest.fixture
def device(services: Services) -> Device:
    return a_device(services).device


def sinks_of(services: Services) -> Sinks:
    return Sinks(services.queue, services.readings, services.devices, services.presence)


def post(services: Services, device: Device, payload: bytes, stamps: Stamps | None = None) -> Accepted:
    return accept(
        payload,
        content_type="application/json",
        device=device,
        now_ms=NOW_MS,
        queue=services.queue,
        limits=services.limits,
        stamps=stamps,
    )


def stored(services: Services, device: Device) -> list[Reading]:
    return services.readings.read(device.ref, start_ms=0, end_ms=2 * NOW_MS, limit=1000)


def finish(services: Services) -> None:
    """Consume everything, as the poller does."""
    messages = received(services)
    failed = store_apart(messages, sinks_of(services), last_receive=5, now_ms=NOW_MS)
    services.queue.delete([m.receipt for m in messages if m.id not in failed], now_ms=NOW_MS)


def test_expired_readings_beside_a_refused_one_wait_in_its_letter(services: Services, device: Device) -> None:
    """A message is settled once; whoever replays the letter has them discarded."""
    refused, fine = a_reading(device, NOW_MS - 1, bad=1), a_reading(device)
    send(services, device, a_reading(device, NOW_MS - 8 * DAY_MS), refused, fine)
    sinks = sinks_of(services)._replace(
        readings=Choosy(services),  # type: ignore[arg-type]
        retention=Retention({"sensor": 7}, services.devices),
        counters=services.counters,
    )
    messages = received(services)
    store(messages, sinks, now_ms=NOW_MS)
    services.queue.delete([message.receipt for message in messages], now_ms=NOW_MS)
    ledger = services.queue.ledger()
    assert (ledger.accepted, ledger.stored, ledger.dead_lettered, ledger.discarded) == (3, 1, 2, 0)
    assert services.queue.dead_letters()[0].reason == "507: the store's words"
    assert services.counters.totals()[EXPIRED, ()] == 1


def test_the_readings_of_one_request_are_one_message(services: Services, device: Device) -> None:
    accepted = post(services, device, b'{"readings": [{"data": {"t": 1}}, {"data": {"t": 2}}]}')

    assert accepted.readings == 2
    assert services.queue.ledger().accepted == 2
    assert len(received(services)) == 1


def test_a_refused_payload_leaves_nothing_in_the_queue(services: Services, device: Device) -> None:
    with pytest.raises(InvalidInput):
        post(services, device, b'{"data": {"t": NaN}}')

    assert services.queue.ledger().accepted == 0


def test_a_payload_that_names_another_device_is_forbidden(services: Services, device: Device) -> None:
    with pytest.raises(Forbidden) as refused:
        post(services, device, b'{"device_id": "somebody else", "data": {"t": 1}}')

    assert refused.value.code == "foreign_device"


def test_two_readings_in_the_same_millisecond_do_not_overwrite_each_other(services: Services, device: Device) -> None:
    stamps = Stamps()
    for value in range(3):
        post(services, device, b'{"data": {"t": %d}}' % value, stamps)
    finish(services)

    assert [reading.values["t"] for reading in stored(services, device)] == [0, 1, 2]


def test_a_batch_without_times_does_not_overwrite_the_reading_before_it(services: Services, device: Device) -> None:
    stamps = Stamps()
    post(services, device, b'{"data": {"t": 0}}', stamps)
    post(services, device, b'{"readings": [{"data": {"t": 1}}, {"data": {"t": 2}}]}', stamps)
    finish(services)

    assert [reading.values["t"] for reading in stored(services, device)] == [0, 1, 2]


def test_a_redelivered_message_is_stored_once(services: Services, device: Device) -> None:
    send(services, device)
    first = received(services)
    store(first, sinks_of(services), now_ms=NOW_MS)
    second = received(services, NOW_MS + 31_000)
    store(second, sinks_of(services), now_ms=NOW_MS + 31_000)
    services.queue.delete([second[0].receipt], now_ms=NOW_MS + 31_000)

    assert len(stored(services, device)) == 1
    assert services.queue.ledger() == (1, 1, 0, 0, 0, 0)


def test_an_unreadable_message_is_buried_and_its_neighbours_are_stored(services: Services, device: Device) -> None:
    services.queue.send("not ours", readings=1, now_ms=NOW_MS)
    send(services, device)
    finish(services)

    [letter] = services.queue.dead_letters()
    assert letter.reason.startswith("Unreadable message")
    assert len(stored(services, device)) == 1
    assert services.queue.ledger().balanced


def test_readings_of_a_removed_device_are_discarded_and_counted(services: Services, device: Device) -> None:
    send(services, device, a_reading(device), a_reading(device, NOW_MS + 1))
    services.devices.remove(device.ref, now_ms=NOW_MS)
    finish(services)

    assert stored(services, device) == []
    ledger = services.queue.ledger()
    assert (ledger.discarded, ledger.stored, ledger.balanced) == (2, 0, True)


def test_storing_marks_the_device_as_seen_when_its_message_was_accepted(services: Services, device: Device) -> None:
    send(services, device)
    finish(services)

    assert services.presence.read([device.ref])[device.ref].at_ms == NOW_MS


class Choosy:
    """A store that refuses readings with a measurement called `bad`, and dies of one called `fatal`."""

    def __init__(self, services: Services) -> None:
        self.inner = services.readings

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        if any("fatal" in reading.values for reading in readings):
            message = "a bug"
            raise ZeroDivisionError(message)
        bad = [position for position, reading in enumerate(readings) if "bad" in reading.values]
        self.inner.write([reading for position, reading in enumerate(readings) if position not in bad])
        return [Rejected(position, "507: the store's words") for position in bad]

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_only_the_guilty_readings_of_a_message_are_buried(services: Services, device: Device) -> None:
    good, bad = a_reading(device), a_reading(device, NOW_MS + 1, bad=1)
    send(services, device, good, bad)
    send(services, device, a_reading(device, NOW_MS + 2))
    messages = received(services)
    sinks = sinks_of(services)._replace(readings=Choosy(services))  # type: ignore[arg-type]
    store(messages, sinks, now_ms=NOW_MS)
    services.queue.delete([message.receipt for message in messages], now_ms=NOW_MS)

    [letter] = services.queue.dead_letters()
    assert (letter.readings, letter.reason) == (1, "507: the store's words")
    assert [reading.timestamp_ms for reading in stored(services, device)] == [NOW_MS, NOW_MS + 2]
    assert services.queue.ledger() == (3, 2, 0, 0, 1, 0)


def test_a_bug_met_by_one_message_fails_only_that_message(services: Services, device: Device) -> None:
    send(services, device)
    fatal = send(services, device, a_reading(device, NOW_MS + 1, fatal=1))
    sinks = sinks_of(services)._replace(readings=Choosy(services))  # type: ignore[arg-type]
    failed = store_apart(received(services), sinks, last_receive=5, now_ms=NOW_MS)

    assert failed == [fatal]
    assert len(stored(services, device)) == 1


def test_a_message_that_meets_a_bug_on_its_last_delivery_is_buried_with_its_name(
    services: Services, device: Device
) -> None:
    send(services, device, a_reading(device, fatal=1))
    sinks = sinks_of(services)._replace(readings=Choosy(services))  # type: ignore[arg-type]
    failed = store_apart(received(services), sinks, last_receive=1, now_ms=NOW_MS)

    assert failed == []
    assert services.queue.dead_letters()[0].reason == "Internal error: ZeroDivisionError"


def send_joined(services: Services, *readings: Reading) -> str:
    """One message of the queue with a batch for each reading."""
    bodies = [batch_to_json(Batch(each.device, NOW_MS, (each,))) for each in readings]
    return services.queue.send(joined(bodies), readings=len(readings), now_ms=NOW_MS)


def test_guilty_reading_of_a_joined_message_is_buried_alone(services: Services, device: Device) -> None:
    other = a_device(services, "cellar").device
    send_joined(services, a_reading(device), a_reading(other, bad=1), a_reading(device, NOW_MS + 1))
    messages = received(services)
    store(messages, sinks_of(services)._replace(readings=Choosy(services)), now_ms=NOW_MS)  # type: ignore[arg-type]
    services.queue.delete([message.receipt for message in messages], now_ms=NOW_MS)

    [letter] = services.queue.dead_letters()
    assert batches_from_json(letter.body) == (Batch(other.ref, NOW_MS, (a_reading(other, bad=1),)),)
    assert [reading.timestamp_ms for reading in stored(services, device)] == [NOW_MS, NOW_MS + 1]
    assert services.queue.ledger() == (3, 2, 0, 0, 1, 0)


def test_removed_device_takes_none_of_its_neighbours_along(services: Services, device: Device) -> None:
    gone = a_device(services, "cellar").device
    send_joined(services, a_reading(device), a_reading(gone), a_reading(device, NOW_MS + 1))
    services.devices.remove(gone.ref, now_ms=NOW_MS)
    finish(services)

    assert len(stored(services, device)) == 2
    assert services.queue.ledger() == (3, 2, 0, 0, 0, 1)


def test_removed_device_beside_a_guilty_reading_ends_with_the_letter(services: Services, device: Device) -> None:
    gone = a_device(services, "cellar").device
    send_joined(services, a_reading(device), a_reading(gone), a_reading(device, NOW_MS + 1, bad=1))
    services.devices.remove(gone.ref, now_ms=NOW_MS)
    messages = received(services)
    store(messages, sinks_of(services)._replace(readings=Choosy(services)), now_ms=NOW_MS)  # type: ignore[arg-type]
    services.queue.delete([message.receipt for message in messages], now_ms=NOW_MS)
    assert services.queue.ledger() == (3, 1, 0, 0, 2, 0)

    [letter] = services.queue.dead_letters()
    services.queue.replay(letter.id, now_ms=NOW_MS)
    finish(services)
    assert services.queue.ledger() == (3, 2, 0, 0, 0, 1)


def test_bug_that_one_reading_of_a_joined_message_meets_costs_the_others_nothing(
    services: Services, device: Device
) -> None:
    send_joined(services, a_reading(device), a_reading(device, NOW_MS + 1, fatal=1), a_reading(device, NOW_MS + 2))
    sinks = sinks_of(services)._replace(readings=Choosy(services))  # type: ignore[arg-type]
    messages = received(services)
    assert store_apart(messages, sinks, last_receive=1, now_ms=NOW_MS) == []
    services.queue.delete([message.receipt for message in messages], now_ms=NOW_MS)

    [letter] = services.queue.dead_letters()
    assert (letter.readings, letter.reason) == (1, "Internal error: ZeroDivisionError")
    assert [reading.timestamp_ms for reading in stored(services, device)] == [NOW_MS, NOW_MS + 2]
    assert services.queue.ledger() == (3, 2, 0, 0, 1, 0)


class Away:
    """A port that does not answer."""

    def __getattr__(self, name: str) -> object:
        def silent(*_: object, **__: object) -> None:
            message = "The store does not answer"
            raise Unavailable(message)

        return silent


def test_a_silent_store_buries_nothing(services: Services, device: Device) -> None:
    send(services, device)
    sinks = sinks_of(services)._replace(readings=Away())  # type: ignore[arg-type]

    with pytest.raises(Unavailable):
        store_apart(received(services), sinks, last_receive=1, now_ms=NOW_MS)

    assert services.queue.ledger() == (1, 0, 0, 1, 0, 0)


def test_silent_presence_does_not_hold_up_readings(services: Services, device: Device) -> None:
    send(services, device)
    sinks = sinks_of(services)._replace(presence=Away())  # type: ignore[arg-type]
    store(received(services), sinks, now_ms=NOW_MS)

    assert len(stored(services, device)) == 1


def test_a_device_of_another_tenant_is_not_known_under_the_same_id(services: Services, device: Device) -> None:
    foreign = DeviceRef("other", device.id)

    assert services.devices.existing([foreign, device.ref]) == {device.ref}
