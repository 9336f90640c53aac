"""Signals that the device profiles are made of: functions of time and of a seeded random generator.

Times are seconds since the epoch, UTC; the hour of the day is taken from them, so that a run gives the same
data in every time zone. Nothing here reads a clock or the global random generator.
"""

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0

Value = bool | int | float | str | None
Data = dict[str, Value]
"""What one reading carries: measurement name to value; None means nothing was measured."""


def hour_of_day(time_s: float) -> float:
    """Return the hour of the day in UTC, from 0 to below 24."""
    return (time_s % SECONDS_PER_DAY) / SECONDS_PER_HOUR


def is_night(time_s: float) -> bool:
    """Tell whether it is between 22:00 and 06:00."""
    return not 6 <= hour_of_day(time_s) < 22


def is_rush_hour(time_s: float) -> bool:
    """Tell whether it is between 7 and 9 in the morning or 17 and 19 in the evening."""
    hour = hour_of_day(time_s)
    return 7 <= hour < 9 or 17 <= hour < 19


def daily_wave(time_s: float, *, peak_hour: float = 14.0) -> float:
    """Return a sine of one day's length, from -1 to 1, that is 1 at `peak_hour`."""
    return math.cos((hour_of_day(time_s) - peak_hour) * math.pi / 12)


def iso_utc(time_s: float) -> str:
    """Return the time as ISO 8601 in UTC with milliseconds and ``Z``."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_naive(time_s: float) -> str:
    """Return the time as ISO 8601 without a zone, as the predecessor's devices write it; it means UTC."""
    return datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None).isoformat()


def clamp(value: float, lowest: int, highest: int) -> float:
    """Return `value` held between two limits; at a limit the integer itself, not a float.

    The predecessor's devices do the same, so one measurement alternates between float and integer.
    """
    return max(lowest, min(highest, value))


def ripple(rng: random.Random) -> Callable[[float], float]:
    """Make a slow, irregular signal: a function of time alone, smooth, from -1 to 1.

    It is the mean of sines with periods between ten minutes and nine hours, drawn from `rng` once, so its value at
    a time does not depend on how often it is read.
    """
    sines = [(2 * math.pi / rng.uniform(600, 32_400), rng.uniform(0, 2 * math.pi)) for _ in range(4)]

    def signal(time_s: float) -> float:
        return sum(math.sin(frequency * time_s + phase) for frequency, phase in sines) / len(sines)

    return signal


def battery(rng: random.Random, start_s: float, *, percent_per_hour: float) -> Callable[[float], float]:
    """Make a battery: a function of the time that gives its charge in percent, from 100 down.

    At `start_s` up to 20 % are used; it loses `percent_per_hour`, and is changed for a full one when 5 % are left.
    """
    used_percent = rng.uniform(0, 20)

    def charge(time_s: float) -> float:
        return round(100.0 - (used_percent + percent_per_hour * (time_s - start_s) / SECONDS_PER_HOUR) % 95.0, 2)

    return charge
