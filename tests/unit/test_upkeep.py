"""What runs on a schedule."""

import logging

import pytest

from chalicelib import devices, upkeep
from chalicelib.errors import Unavailable
from chalicelib.model import Device, DeviceRef
from chalicelib.retention import DAY_MS
from chalicelib.upkeep import COUNTER_HOURS_MS, IDEMPOTENCY_MS, SETTLE_MS
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, a_reading, memory_services


@pytest.fixture
def services() -> Services:
    """Memory adapters."""
    return memory_services()


def tidy(services: Services, now_ms: int, **days: int) -> None:
    rules = {name if name != "others" else "": count for name, count in days.items()}
    upkeep.tidy(
        rules,
        devices=services.devices,
        readings=services.readings,
        commands=services.commands,
        twins=services.twins,
        idempotency=services.idempotency,
        counters=services.counters,
        now_ms=now_ms,
    )


def leave(services: Services, device: Device) -> None:
    devices.remove(
        device.ref,
        devices=services.devices,
        presence=services.presence,
        readings=services.readings,
        now_ms=NOW_MS,
    )


def test_what_came_in_late_for_a_removed_device_is_purged(services: Services) -> None:
    """A reading that was in flight when its device left is stored after the first purge."""
    device = a_device(services).device
    leave(services, device)
    services.readings.write([a_reading(device)])
    tidy(services, NOW_MS + SETTLE_MS - 1)
    assert services.readings.count(device.ref) == 1
    tidy(services, NOW_MS + SETTLE_MS + 1)
    assert services.readings.count(device.ref) == 0
    assert services.devices.removed(before_ms=NOW_MS * 2) == []


def test_readings_are_kept_as_long_as_their_device_type_says(services: Services) -> None:
    made = {name: a_device(services, name, name).device for name in ("camera", "meter", "sensor")}
    for device in made.values():
        services.readings.write([a_reading(device, NOW_MS - age * DAY_MS) for age in (1, 8, 40)])
    tidy(services, NOW_MS, camera=7, meter=0, others=30)
    assert {name: services.readings.count(device.ref) for name, device in made.items()} == {
        "camera": 1,
        "meter": 3,
        "sensor": 2,
    }


def test_without_a_rule_everything_is_kept(services: Services) -> None:
    device = a_device(services).device
    services.readings.write([a_reading(device, NOW_MS - 4000 * DAY_MS)])
    tidy(services, NOW_MS)
    tidy(services, NOW_MS, camera=7)
    assert services.readings.count(device.ref) == 1


def test_every_page_of_devices_is_reached(services: Services) -> None:
    made = [a_device(services, f"d{number}").device for number in range(upkeep.PAGE + 1)]
    services.readings.write([a_reading(device, NOW_MS - 2 * DAY_MS) for device in made])
    tidy(services, NOW_MS, others=1)
    assert [services.readings.count(device.ref) for device in made] == [0] * len(made)


def test_old_idempotency_keys_and_hourly_counts_are_forgotten(services: Services) -> None:
    services.idempotency.begin("c", "k", "f", now_ms=NOW_MS)
    services.idempotency.finish("c", "k", "{}")
    services.counters.add("n", now_ms=NOW_MS)
    tidy(services, NOW_MS + IDEMPOTENCY_MS + 1)
    assert services.idempotency.begin("c", "k", "other", now_ms=NOW_MS + IDEMPOTENCY_MS + 1).answer is None
    assert services.counters.since("n", since_ms=NOW_MS) == {(): 1}
    tidy(services, NOW_MS + COUNTER_HOURS_MS + 3_600_001)
    assert services.counters.since("n", since_ms=NOW_MS) == {}
    assert services.counters.totals()["n", ()] == 1


def test_a_silent_store_is_met_next_time(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    device = a_device(services).device
    leave(services, device)

    class Away:
        def purge(self, _device: DeviceRef) -> None:
            message = "The store does not answer"
            raise Unavailable(message)

    services.readings, store = Away(), services.readings  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        tidy(services, NOW_MS + SETTLE_MS + 1)
    assert "The store does not answer" in caplog.text
    services.readings = store
    assert services.devices.removed(before_ms=NOW_MS * 2) == [device.ref]
