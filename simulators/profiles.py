"""What each kind of device is called, how often it reports, and what it measures.

A profile is made from a seeded random generator and the time its run starts, and is then asked for one reading
after the other in the order of time. The same seed, start and times give the same data.

Some measurements change type from reading to reading (null then text, integer then float). That is deliberate: old
devices do it, and a store that fixes a type on the first value loses what comes after.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simulators.building import Camera, DoorLock, Generic, MotionSensor, SmartMeter
from simulators.climate import AirQualityMonitor, TemperatureSensor, Thermostat, WeatherSensor
from simulators.signals import Data


class Profile(Protocol):
    """The place and the measurements of one device."""

    location: str

    def measure(self, time_s: float) -> Data:
        """Return the data of the reading at `time_s` (epoch seconds); times must not go backwards."""


@dataclass(frozen=True)
class Kind:
    """A kind of device.

    `name` is the word in flags and device names, `device_type` what it registers as. A device of the kind reports every
    telemetry interval times a factor drawn once between the two of `pace` (Source: the predecessor's fleets at 60 s).
    """

    name: str
    device_type: str
    make: Callable[[random.Random, float], Profile]
    pace: tuple[float, float] = (5 / 6, 7 / 6)


KINDS = (
    Kind("basic", "sensor", WeatherSensor),
    Kind("temperature", "temperature_sensor", TemperatureSensor),
    Kind("door_lock", "smart_lock", DoorLock, pace=(1, 2)),
    Kind("camera", "security_camera", Camera, pace=(0.75, 1.25)),
    Kind("air_quality", "air_quality", AirQualityMonitor),
    Kind("thermostat", "thermostat", Thermostat, pace=(2, 3)),
    Kind("motion", "motion_sensor", MotionSensor),
    Kind("meter", "smart_meter", SmartMeter),
    Kind("generic", "generic", Generic),
)

SPECIALISED = ("temperature", "door_lock", "camera", "air_quality", "thermostat")
"""The kinds that `--device-type all` stands for, and that fleets are made of."""

_BY_WORD = {word: kind for kind in KINDS for word in (kind.name, kind.device_type)}


def kind_called(word: str) -> Kind:
    """Return the kind by its name or its device type.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    try:
        return _BY_WORD[word]
    except KeyError:
        raise ValueError(f"no kind of device is called {word!r}; there are {', '.join(sorted(_BY_WORD))}") from None
