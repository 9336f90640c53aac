"""The bridge's parts without a broker: what a parcel holds, who works, how long to wait."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import codec, devices
from chalicelib.adapters.memory_lease import MemoryLease
from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.delivery import digest
from chalicelib.errors import Conflict
from chalicelib.model import Device, DeviceDraft, DeviceRef, DeviceStatus
from chalicelib.ports import Tenure
from chalicelib.settings import Settings
from chalicelib.stamps import Stamps
from chalicelib.wiring import Services
from mqtt_bridge.bridge import Backoff
from mqtt_bridge.keeper import TTL_S, Keeper
from mqtt_bridge.packets import Publish
from mqtt_bridge.together import together
from mqtt_bridge.uplink import Parcel, Uplink, filters

NOW_MS = 1_800_000_000_000
TAKEN: dict[int, int] = {}


@pytest.fixture
def services() -> Services:
    return Services(Settings(devices="memory", queue="memory", store="memory", pepper="pepper of this test"))


def registered(services: Services, name: str = "one", **fields: Any) -> Device:
    made = devices.register(
        DeviceDraft(name=name, device_type="sensor", **fields),
        devices=services.devices,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=NOW_MS,
    )
    return made.device


def an_uplink(services: Services, reply: Callable[[str, bytes], None] = lambda _name, _payload: None) -> Uplink:
    return Uplink(services, MemoryLimiter(), reply)


def telemetry(device: object, payload: bytes = b'{"n": 1}', packet_id: int = 1, **more: Any) -> Publish:
    return Publish(f"iotflow/devices/{device}/telemetry", payload, 1, packet_id, **more)


def values(parcel: Parcel) -> list[object]:
    batches = [batch for body, _ in parcel.delivery.messages() for batch in codec.batches_from_json(body)]
    return [reading.values["n"] for batch in batches for reading in batch.readings]


def test_every_filter_is_of_what_devices_send_and_brings_nothing_retained() -> None:
    texts = {text for text, _ in filters()}
    assert texts == {
        "iotflow/devices/+/telemetry",
        "iotflow/devices/+/telemetry/+",
        "iotflow/devices/+/status",
        "iotflow/devices/+/status/+",
        "iotflow/devices/+/heartbeat",
        "iotflow/devices/+/commands/+/ack",
        "iotflow/discovery/register/+",
    }
    assert {options for _, options in filters()} == {0x21}


def test_accepted_messages_are_acknowledged_in_their_order(services: Services) -> None:
    device = registered(services)
    messages = [telemetry(device.id, b'{"n": %d}' % number, number) for number in (5, 3, 4)]
    parcel = an_uplink(services).parcel(messages, TAKEN, NOW_MS)
    assert values(parcel) == [5, 3, 4]
    assert bytes(parcel.acks) == b"\x40\x02\x00\x05\x40\x02\x00\x03\x40\x02\x00\x04"
    assert parcel.counts["accepted"] == 3
    assert parcel.senders == {device.ref}


def test_poison_is_a_dead_letter_without_its_key_and_is_acknowledged(services: Services) -> None:
    device = registered(services)
    key = f"iotf_dev_{'a' * 12}_{'b' * 38}"
    parcel = an_uplink(services).parcel(
        [telemetry(device.id, f'{{"api_key": "{key}", '.encode(), 1), telemetry(device.id, b"\xff\xfe", 2)],
        TAKEN,
        NOW_MS,
    )
    assert (values(parcel), parcel.counts["refused"], len(parcel.acks)) == ([], 2, 8)
    text, raw = (json.loads(each.body) for each in parcel.delivery.refused)
    assert text["topic"] == f"iotflow/devices/{device.id}/telemetry"
    assert key not in text["payload"]
    assert raw["payload_base64"] == "//4="
    assert all(each.reason.startswith("Refused: ") for each in parcel.delivery.refused)


class BrokenStamps(Stamps):
    """Stands for a bug that only some messages meet."""

    def take(self, device: DeviceRef, now_ms: int, count: int = 1) -> int:
        raise ZeroDivisionError(device, now_ms, count)


def test_a_message_that_meets_a_bug_is_buried_and_its_neighbours_go_on(services: Services) -> None:
    """Otherwise the broker would repeat it for ever, before everything else."""
    device = registered(services)
    services.stamps = BrokenStamps()
    timed = b'{"data": {"n": 7}, "timestamp": 1767225600000}'
    parcel = an_uplink(services).parcel(
        [telemetry(device.id, packet_id=1), telemetry(device.id, timed, 2)], TAKEN, NOW_MS
    )
    assert (values(parcel), len(parcel.acks)) == ([7], 8)
    assert [each.reason for each in parcel.delivery.refused] == ["Internal error: ZeroDivisionError"]


def test_a_device_that_sends_only_poison_fills_no_disk(services: Services) -> None:
    device = registered(services)
    parcel = an_uplink(services).parcel([telemetry(device.id, b"{")] * 500, TAKEN, NOW_MS)
    assert parcel.counts["refused"] == 500
    assert len(parcel.delivery.refused) == 60
    services.counters.flush()
    assert sum(services.counters.totals().values()) == 500


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("iotflow/devices/999/telemetry", "unknown_device"),
        ("iotflow/devices/one/telemetry", "unknown_device"),
        ("iotflow/devices/01/telemetry", "unknown_device"),
        ("iotflow/devices/1/firmware", "unknown_topic"),
        ("iotflow/devices/1/config", "unknown_topic"),
        ("v1/devices/me/telemetry", "unknown_topic"),
    ],
)
def test_what_has_no_sender_or_no_meaning_is_counted_and_acknowledged(
    services: Services, topic: str, code: str
) -> None:
    registered(services)
    parcel = an_uplink(services).parcel([Publish(topic, b'{"n": 1}', 1, 1)], TAKEN, NOW_MS)
    assert (values(parcel), parcel.counts["refused"], len(parcel.acks)) == ([], 1, 4)
    services.counters.flush()
    assert services.counters.totals() == {("iotflow_rejected_requests_total", (("code", code),)): 1}


def test_a_device_is_let_in_or_out_with_the_next_message_after_its_change(services: Services) -> None:
    device, uplink = registered(services), an_uplink(services)
    assert values(uplink.parcel([telemetry(device.id)], TAKEN, NOW_MS)) == [1]
    locked = services.devices.update(replace(device, status=DeviceStatus.INACTIVE), now_ms=NOW_MS)
    assert values(uplink.parcel([telemetry(device.id)], TAKEN, NOW_MS)) == []
    services.devices.update(replace(locked, status=DeviceStatus.ACTIVE), now_ms=NOW_MS)
    assert values(uplink.parcel([telemetry(device.id)], TAKEN, NOW_MS)) == [1]


def test_retained_messages_are_left_alone(services: Services) -> None:
    device = registered(services)
    status = Publish(f"iotflow/devices/{device.id}/status", b"online", 1, 2, retain=True)
    parcel = an_uplink(services).parcel([telemetry(device.id, retain=True), status], TAKEN, NOW_MS)
    assert (values(parcel), parcel.sightings, parcel.counts["retained"]) == ([], [], 2)
    assert len(parcel.acks) == 8


def test_only_a_true_repetition_is_left_out(services: Services) -> None:
    device, uplink = registered(services), an_uplink(services)
    first = telemetry(device.id)
    taken = {1: digest(first.topic, first.payload)}
    cases = [
        (first._replace(dup=True), "repeated"),
        (first, "accepted"),  # the broker does not say that it repeats itself: the same words again
        (first._replace(dup=True, payload=b'{"n": 2}'), "accepted"),
        (first._replace(dup=True, packet_id=2), "accepted"),
    ]
    for message, what in cases:
        parcel = uplink.parcel([message], taken, NOW_MS)
        assert parcel.counts[what] == 1, (message, parcel.counts)
        assert len(parcel.acks) == 4


def test_results_of_commands_are_not_remembered_as_taken_since_they_may_have_failed(services: Services) -> None:
    device = registered(services)
    ack = Publish(f"iotflow/devices/{device.id}/commands/c-1/ack", b"{}", 1, 1)
    uplink = an_uplink(services)
    parcel = uplink.parcel([ack], TAKEN, NOW_MS)
    uplink.close()
    assert (parcel.delivery.marks, len(parcel.tickets), len(parcel.acks)) == ([], 1, 4)


def test_presence_waits_for_the_commit(services: Services) -> None:
    device = registered(services)
    topic = f"iotflow/devices/{device.id}/status"
    parcel = an_uplink(services).parcel([Publish(topic, b'{"status": "offline"}', 1, 1)], TAKEN, NOW_MS)
    assert parcel.sightings == [(device.ref, NOW_MS, False)]
    assert services.presence.read([device.ref]) == {}


@pytest.mark.parametrize(
    ("payload", "stage", "status"),
    [
        ({"device_type": "lamp"}, "local", "success"),
        ({"device_type": "lamp"}, "prod", "error"),
        ({"device_type": "lamp", "enrollment_token": "wrong"}, "prod", "error"),
        ({"device_type": "lamp", "enrollment_token": "the token"}, "prod", "success"),
    ],
)
def test_registration_over_the_broker_is_as_open_as_over_http(payload: dict[str, str], stage: str, status: str) -> None:
    chosen = Settings(
        devices="memory",
        queue="memory",
        store="memory",
        pepper="pepper of this test",
        stage=stage,
        enrollment_token="the token" if stage == "prod" else "",
    )
    answers: list[tuple[str, bytes]] = []
    uplink = an_uplink(Services(chosen), lambda name, answer: answers.append((name, answer)))
    uplink.parcel([Publish("iotflow/discovery/register/lamp-1", json.dumps(payload).encode(), 1, 1)], TAKEN, NOW_MS)
    uplink.close()
    ((name, answer),) = answers
    assert name == "iotflow/discovery/response/lamp-1"
    assert json.loads(answer)["status"] == status


def test_waiting_grows_to_a_bound_and_begins_anew_after_success() -> None:
    backoff = Backoff(lambda _low, high: high)
    waits = [backoff.next_s() for _ in range(10)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.4, 30.0)
    backoff.reset()
    assert backoff.next_s() == 0.4


def test_jitter_is_full() -> None:
    waits = [wait for _ in range(200) for backoff in [Backoff()] for wait in [backoff.next_s()]]
    assert min(waits) < 0.1
    assert 0.3 < max(waits) <= 0.4


def test_what_belongs_together_ends_together_with_its_own_error() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Conflict("over", code="lease_lost")

    with pytest.raises(Conflict):
        asyncio.run(together(waits(), fails()))
    assert ended == ["cancelled"]


class Worker:
    """Notes when its work begins and ends."""

    def __init__(self, lease: MemoryLease, holder: str) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self._keeper = Keeper(lease, "bridge", holder, self._work, lambda: "fine")
        self._running = asyncio.create_task(self._keeper.run())

    async def _work(self, _tenure: Tenure) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.set()

    async def leave(self) -> None:
        """End in order."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._keeper.close()


def test_a_stand_by_begins_when_the_one_that_works_leaves() -> None:
    async def scene() -> None:
        lease = MemoryLease()
        first = Worker(lease, "one")
        await first.begun.wait()
        second = Worker(lease, "two")
        await asyncio.sleep(0.4)
        assert not second.begun.is_set()
        await first.leave()
        await second.begun.wait()
        assert first.ended.is_set()
        await second.leave()

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_work_ends_when_another_has_the_lease() -> None:
    async def scene() -> None:
        lease = MemoryLease()
        worker = Worker(lease, "one")
        await worker.begun.wait()
        later_ms = time.time_ns() // 1_000_000 + round(TTL_S * 1000)
        assert lease.acquire("bridge", "two", ttl_s=0, now_ms=later_ms) is not None
        await worker.ended.wait()
        await worker.leave()

    asyncio.run(asyncio.wait_for(scene(), 20))
