"""The rate limits that endpoints name, and the settings they follow."""

from chalicelib.declare import RateClass
from chalicelib.ports import Limit
from chalicelib.settings import Settings


def _device_writes(settings: Settings) -> Limit:
    return Limit(settings.device_burst, settings.device_rate_per_minute / 60)


def _registrations(settings: Settings) -> Limit:
    return Limit(settings.registrations_per_minute, settings.registrations_per_minute / 60)


DEVICE_WRITES = RateClass("writes", "device", _device_writes)
REGISTRATIONS = RateClass("register", "address", _registrations)
