"""What a fleet did in a window of time."""

from chalicelib import analytics
from chalicelib.model import DEFAULT_TENANT
from chalicelib.status import REJECTED
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, a_reading, memory_services


def survey(services: Services, top: int = 10) -> analytics.Analysis:
    return analytics.analyse(
        DEFAULT_TENANT,
        start_ms=NOW_MS - 1000,
        end_ms=NOW_MS + 1000,
        top=top,
        devices=services.devices,
        readings=services.readings,
        counters=services.counters,
    )


def test_an_empty_fleet_did_nothing() -> None:
    found = survey(memory_services())
    assert (found.surveyed, found.readings, found.silent_count, found.by_type) == (0, 0, 0, {})
    assert (found.busiest, found.silent, found.refused) == ([], [], {})


def test_busy_devices_come_first_and_silent_ones_are_named() -> None:
    services = memory_services()
    made = [a_device(services, f"d{number}", f"type {number % 2}").device for number in range(5)]
    for number, count in enumerate((1, 3, 0, 3, 0)):
        services.readings.write([a_reading(made[number], NOW_MS + at) for at in range(count)])
    services.readings.write([a_reading(made[2], NOW_MS - 5000)])
    found = survey(services)
    assert [(device.name, count) for device, count in found.busiest] == [("d1", 3), ("d3", 3), ("d0", 1)]
    assert [device.name for device in found.silent] == ["d2", "d4"]
    assert found.by_type == {"type 1": 6, "type 0": 1}
    assert (found.surveyed, found.readings, found.silent_count) == (5, 7, 2)
    assert found.measurements["temperature"].count == 7
    few = survey(services, top=1)
    assert ([device.name for device, _ in few.busiest], [device.name for device in few.silent]) == (["d1"], ["d2"])
    assert few.silent_count == 2


def test_refusals_are_counted_by_reason_since_the_hour_of_the_start() -> None:
    services = memory_services()
    for code, count, at_ms in (("invalid_input", 2, NOW_MS), ("too_large", 5, NOW_MS), ("old", 9, NOW_MS - 9_000_000)):
        services.counters.add(REJECTED, (("code", code),), count, now_ms=at_ms)
    assert list(survey(services).refused.items()) == [("too_large", 5), ("invalid_input", 2)]
