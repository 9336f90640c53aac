"""What a fleet did in a window of time: who reported, how much, who was silent, what was refused."""

from collections import Counter
from typing import NamedTuple

from chalicelib.aggregates import MeasurementStats
from chalicelib.model import Device, DeviceRef
from chalicelib.ports import Counters, DeviceFilter, DeviceRepository, ReadingStore
from chalicelib.status import REJECTED

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
        silent: Devices without a reading in the window, the first of them.
        silent_count: How many they are in all.
        refused: Refused requests with telemetry by the error's code, since the hour of the start.
    """

    surveyed: int
    readings: int
    by_type: dict[str, int]
    measurements: dict[str, MeasurementStats]
    busiest: list[tuple[Device, int]]
    silent: list[Device]
    silent_count: int
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
    silent = [device for ref, device in fleet.items() if not survey.readings.get(ref)]
    return Analysis(
        surveyed=len(fleet),
        readings=sum(survey.readings.values()),
        by_type=dict(by_type.most_common()),
        measurements=dict(survey.measurements),
        busiest=[(fleet[ref], count) for ref, count in ranked[:top] if count],
        silent=silent[:top],
        silent_count=len(silent),
        refused=_refused(counters, start_ms),
    )


def _by_count(item: tuple[DeviceRef, int]) -> tuple[int, int]:
    return item[1], -item[0].id


def _refused(counters: Counters, start_ms: int) -> dict[str, int]:
    refused = {
        dict(labels)["code"]: int(count) for labels, count in counters.since(REJECTED, since_ms=start_ms).items()
    }
    return dict(sorted(refused.items(), key=_second, reverse=True))


def _second(item: tuple[str, int]) -> int:
    return item[1]
