"""Devices that measure air and heat: weather sensor, thermometer, air quality monitor, thermostat."""

import math
import random

from simulators.signals import (
    SECONDS_PER_HOUR,
    Data,
    battery,
    clamp,
    daily_wave,
    hour_of_day,
    is_night,
    is_rush_hour,
    iso_naive,
    ripple,
)

PM25_INDEX = [(12, "Good"), (35, "Moderate"), (55, "Unhealthy for Sensitive")]
"""Upper limits in ug/m3 and the words for them; above the last it is "Unhealthy"."""


class WeatherSensor:
    """The basic sensor: 12 to 32 degrees C over the day, and the humidity, pressure and radio that go with it.

    Its `data` holds a key ``timestamp`` with a naive ISO time, which a server must keep apart from the reading's own.
    """

    def __init__(self, rng: random.Random, start_s: float) -> None:
        self.location = rng.choice(["Living Room", "Warehouse", "Roof", "Laboratory"])
        self._rng = rng
        self._heat, self._damp, self._weather = ripple(rng), ripple(rng), ripple(rng)
        self._battery = battery(rng, start_s, percent_per_hour=0.5)

    def measure(self, time_s: float) -> Data:
        temperature_c = 22 + 8 * daily_wave(time_s) + 1.7 * self._heat(time_s) + self._rng.uniform(-0.3, 0.3)
        humidity = 70 - 2 * (temperature_c - 20) + 10 * self._damp(time_s) + self._rng.uniform(-1, 1)
        return {
            "temperature": round(temperature_c, 2),
            "humidity": round(clamp(humidity, 30, 90), 2),
            "pressure": round(1015 + 5 * self._weather(time_s), 2),
            "battery_level": self._battery(time_s),
            "signal_strength": self._rng.randint(-80, -40),
            "timestamp": iso_naive(time_s),
        }


class TemperatureSensor:
    """A thermometer whose daily swing depends on where it hangs: +-2 degrees C indoors, +-8 elsewhere."""

    def __init__(self, rng: random.Random, start_s: float) -> None:
        self.location = rng.choice(["Indoor", "Outdoor", "Greenhouse", "Server Room"])
        self._swing_c, self._spread_c = (2.0, 0.5) if self.location in {"Indoor", "Server Room"} else (8.0, 2.0)
        self._baseline_c = rng.uniform(20, 24)
        self._rng = rng
        self._heat, self._damp = ripple(rng), ripple(rng)
        self._battery = battery(rng, start_s, percent_per_hour=0.05)

    def measure(self, time_s: float) -> Data:
        spread_c = self._spread_c * (0.8 * self._heat(time_s) + self._rng.uniform(-0.2, 0.2))
        temperature_c = self._baseline_c + self._swing_c * daily_wave(time_s) + spread_c
        humidity = 70 - 1.5 * (temperature_c - 20) + 4 * self._damp(time_s) + self._rng.uniform(-1, 1)
        return {
            "temperature": round(temperature_c, 2),
            "humidity": round(clamp(humidity, 20, 90), 2),
            "location": self.location,
            "sensor_status": "active",
            "battery_level": self._battery(time_s),
        }


class AirQualityMonitor:
    """Particles and carbon dioxide, more of both in the rush hours and by day; the index is a text."""

    def __init__(self, rng: random.Random, start_s: float) -> None:  # noqa: ARG002 - every profile is made alike
        self.location = rng.choice(["Meeting Room", "Open Office", "Assembly Line", "Nursery"])
        self._pm25_base, self._co2_base_ppm = rng.uniform(10, 25), rng.uniform(400, 600)
        self._rng = rng
        self._dust, self._breath, self._heat, self._damp = ripple(rng), ripple(rng), ripple(rng), ripple(rng)

    def measure(self, time_s: float) -> Data:
        pm25 = self._pm25_base * (1.5 if is_rush_hour(time_s) else 0.7 if is_night(time_s) else 1.0)
        pm25 = round(clamp(pm25 + 4 * self._dust(time_s) + self._rng.uniform(-1, 1), 0, 500), 1)
        co2_ppm = self._co2_base_ppm + 100 * daily_wave(time_s) + 40 * self._breath(time_s) + self._rng.uniform(-10, 10)
        return {
            "pm25": pm25,
            "co2": round(clamp(co2_ppm, 350, 5000), 1),
            "air_quality_index": next((word for limit, word in PM25_INDEX if pm25 <= limit), "Unhealthy"),
            "temperature": round(22 + 2 * self._heat(time_s), 2),
            "humidity": round(50 + 10 * self._damp(time_s), 2),
            "fan_speed": "auto",
        }


class Thermostat:
    """A room that loses heat to the outside, and a thermostat that holds it within a degree of its schedule."""

    HEATING_C_PER_HOUR = 4.0
    COOLING_C_PER_HOUR = -3.0
    LOSS_TIME_S = 6 * SECONDS_PER_HOUR
    LONGEST_STEP_S = SECONDS_PER_HOUR

    def __init__(self, rng: random.Random, start_s: float) -> None:
        self.location = rng.choice(["Hall", "Bedroom", "Reception", "Control Room"])
        self._rng = rng
        self._weather = ripple(rng)
        self._time_s = start_s
        self._room_c = rng.uniform(19, 22)
        self._mode = "auto"

    def measure(self, time_s: float) -> Data:
        outdoor_c = 15 + 8 * daily_wave(time_s) + 2 * self._weather(time_s)
        self._warm_or_cool(time_s, outdoor_c)
        target_c = target_temperature_c(time_s)
        self._mode = "heat" if self._room_c < target_c - 1 else "cool" if self._room_c > target_c + 1 else "auto"
        active = self._mode != "auto"
        return {
            "current_temperature": round(self._room_c, 2),
            "target_temperature": target_c,
            "mode": self._mode,
            "schedule_enabled": True,
            "heating_cooling": active,
            "energy_usage_kwh": round(self._rng.uniform(0.5, 2.0), 2) if active else 0.1,
            "outdoor_temperature": round(outdoor_c, 2),
        }

    def _warm_or_cool(self, time_s: float, outdoor_c: float) -> None:
        step_s = min(max(time_s - self._time_s, 0.0), self.LONGEST_STEP_S)
        drive = {"heat": self.HEATING_C_PER_HOUR, "cool": self.COOLING_C_PER_HOUR}.get(self._mode, 0.0)
        settled_c = outdoor_c + drive * self.LOSS_TIME_S / SECONDS_PER_HOUR
        self._room_c = settled_c + (self._room_c - settled_c) * math.exp(-step_s / self.LOSS_TIME_S)
        self._time_s = time_s


def target_temperature_c(time_s: float) -> int:
    """Return the temperature that the schedule asks for at this hour: warm mornings and evenings, cool nights."""
    hour = hour_of_day(time_s)
    if 6 <= hour < 9:
        return 21
    if 9 <= hour < 18:
        return 19
    return 22 if 18 <= hour < 22 else 18
