"""What a fleet did in a window of time: who reported, how much, who was silent, what was refused."""

from collections import Counter
from typing import NamedTuple

from chalicelib.aggregates import MeasurementStats
from chalicelib.model import Device, DeviceRef
from chalicelib.ports import Counters, DeviceFilter, DeviceRepository, ReadingStore

MAX_DEVICES = 10_000
"""More devices than this are not surveyed in one call; the answer says how many were."""


class Analysis(NamedTuple):
    """A fleet in a window.

    Attributes:
        surveyed: Devices that were looked at.
        readings: Readings stored in the window.
        by_type: Readings by device type.
        measurements: Statistics by measurement.
        busiest: Devices with most readings, and how many.
        silent: Devices without a reading in the window.
        refused: Answers of telemetry endpoints that were refusals, by status, since the hour of the start.
    """

    surveyed: int
    readings: int
    by_type: dict[str, int]
    measurements: dict[str, MeasurementStats]
    busiest: list[tuple[Device, int]]
    silent: list[Device]
    refused: dict[str, int]


def analyse(
    tenant: str,
    *,
    start_ms: int,
    end_ms: int,
    top: int,
    devices: DeviceRepository,
    readings: ReadingStore,
    counters: Counters,
) -> Analysis:
    """Survey a tenant's devices over ``start_ms <= timestamp < end_ms``.

    Raises:
        Unavailable: The store does not answer.
    """
    fleet = {device.ref: device for device in devices.page(tenant, DeviceFilter(), limit=MAX_DEVICES)}
    survey = readings.survey(list(fleet), start_ms=start_ms, end_ms=end_ms)
    by_type: Counter[str] = Counter()
    for ref, count in survey.readings.items():
        by_type[fleet[ref].device_type] += count
    ranked = sorted(survey.readings.items(), key=_by_count, reverse=True)
    return Analysis(
        surveyed=len(fleet),
        readings=sum(survey.readings.values()),
        by_type=dict(by_type.most_common()),
        measurements=dict(survey.measurements),
        busiest=[(fleet[ref], count) for ref, count in ranked[:top] if count],
        silent=[device for ref, device in fleet.items() if not survey.readings.get(ref)][:top],
        refused=_refused(counters, start_ms),
    )


def _by_count(item: tuple[DeviceRef, int]) -> tuple[int, int]:
    return item[1], -item[0].id


def _refused(counters: Counters, start_ms: int) -> dict[str, int]:
    refused: Counter[str] = Counter()
    for labels, count in counters.since("iotflow_requests_total", since_ms=start_ms).items():
        named = dict(labels)
        if named["endpoint"].startswith("submit_telemetry") and not named["status"].startswith("2"):
            refused[named["status"]] += int(count)
    return dict(refused.most_common())
