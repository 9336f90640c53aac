"""Devices that watch a building: door lock, camera, motion sensor, electricity meter, and one of no kind."""

import random

from simulators.signals import (
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    Data,
    battery,
    hour_of_day,
    is_night,
    is_rush_hour,
    iso_utc,
    ripple,
)


class DoorLock:
    """A lock that is used with probability 0.3 between two readings, 0.1 at night.

    ``last_access`` is null until it was used for the first time, and a text from then on.
    """

    def __init__(self, rng: random.Random, start_s: float) -> None:
        self.location = rng.choice(["Front Door", "Back Door", "Garage", "Store Room"])
        self._rng = rng
        self._battery = battery(rng, start_s, percent_per_hour=0.02)
        self._locked = True
        self._last_access: str | None = None
        self._day = int(start_s // SECONDS_PER_DAY)
        self._accesses_today = 0

    def measure(self, time_s: float) -> Data:
        self._begin_day(time_s)
        return {
            "event_type": self._use(time_s),
            "lock_status": "locked" if self._locked else "unlocked",
            "last_access": self._last_access,
            "access_attempts_today": self._accesses_today,
            "battery_level": self._battery(time_s),
            "signal_strength": self._rng.randint(-70, -30),
        }

    def _begin_day(self, time_s: float) -> None:
        day = int(time_s // SECONDS_PER_DAY)
        if day != self._day:
            self._day, self._accesses_today = day, 0

    def _use(self, time_s: float) -> str:
        if self._rng.random() >= (0.1 if is_night(time_s) else 0.3):
            return "status_check"
        self._locked = not self._locked
        self._last_access = iso_utc(time_s)
        self._accesses_today += 1
        return "lock" if self._locked else "unlock"


class Camera:
    """A camera that records when something moves; its ``storage_used_mb`` is the integer 0 until then."""

    def __init__(self, rng: random.Random, start_s: float) -> None:  # noqa: ARG002 - every profile is made alike
        self.location = rng.choice(["Entrance", "Car Park", "Loading Bay", "Corridor"])
        self._rng = rng
        self._storage_used_mb: float = 0

    def measure(self, time_s: float) -> Data:
        motion = self._rng.random() < (0.05 if is_night(time_s) else 0.3 if is_rush_hour(time_s) else 0.15)
        if motion:
            self._storage_used_mb = round(self._storage_used_mb + self._rng.uniform(0.1, 0.5), 2)
        return {
            "motion_detected": motion,
            "recording_status": "recording" if motion else "standby",
            "storage_used_mb": self._storage_used_mb,
            "video_quality": "1080p",
            "infrared_mode": not 6 <= hour_of_day(time_s) < 20,
            "wifi_signal": self._rng.randint(-60, -30),
        }


class MotionSensor:
    """Motion with probability 0.1; ``proximity`` is null while nothing moves; light from 0 at night to 1000 at noon."""

    def __init__(self, rng: random.Random, start_s: float) -> None:  # noqa: ARG002 - every profile is made alike
        self.location = rng.choice(["Stairs", "Yard", "Hall", "Cellar"])
        self._rng = rng
        self._clouds = ripple(rng)

    def measure(self, time_s: float) -> Data:
        motion = self._rng.random() < 0.1
        sun = max(0.0, 1 - abs(hour_of_day(time_s) - 12) / 6)
        return {
            "motion": motion,
            "light_level": round(1000 * sun * (0.85 + 0.15 * self._clouds(time_s))),
            "proximity": round(self._rng.uniform(0, 100), 1) if motion else None,
        }


class SmartMeter:
    """Mains power: about 250 W by day and 145 W by night; ``total_energy`` (kWh) is the integral and never falls."""

    def __init__(self, rng: random.Random, start_s: float) -> None:
        self.location = rng.choice(["Flat", "Workshop", "Office", "Pump House"])
        self._rng = rng
        self._load, self._grid = ripple(rng), ripple(rng)
        self._time_s = start_s
        self._total_kwh = rng.uniform(5000, 6000)

    def measure(self, time_s: float) -> Data:
        power_w = (250 if 8 <= hour_of_day(time_s) < 22 else 145) + 15 * self._load(time_s) + self._rng.uniform(-5, 5)
        voltage_v = 220 + 4 * self._grid(time_s) + self._rng.uniform(-1, 1)
        self._total_kwh += power_w / 1000 * max(time_s - self._time_s, 0) / SECONDS_PER_HOUR
        self._time_s = time_s
        return {
            "power": round(power_w, 2),
            "voltage": round(voltage_v, 2),
            "current": round(power_w / voltage_v, 3),
            "frequency": round(50 + self._rng.uniform(-0.1, 0.1), 3),
            "total_energy": round(self._total_kwh, 3),
        }


class Generic:
    """A device of no particular kind: one value from 0 to 100, and its unit as a text."""

    def __init__(self, rng: random.Random, start_s: float) -> None:  # noqa: ARG002 - every profile is made alike
        self.location = "Anywhere"
        self._wave = ripple(rng)

    def measure(self, time_s: float) -> Data:
        return {"value": round(50 + 50 * self._wave(time_s), 2), "unit": "units"}
