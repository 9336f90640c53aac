"""A fleet, as far as it decides what a month costs."""

from typing import NamedTuple

from infra.cost.prices import HOURS_A_MONTH

ENVELOPE_BYTES = 60
"""Of a request or message: the outer object, and a timestamp for each reading."""
VALUE_BYTES = 22
"""``"temperature": 21.53, `` in a payload."""


class Workload(NamedTuple):
    """What the devices send.

    Attributes:
        devices: How many there are.
        interval_s: Between two readings of a device.
        batch: Readings that a device sends in one request or message.
        values: Measurements in a reading.
        kept_days: How long telemetry is kept.
    """

    devices: int
    interval_s: float
    batch: int
    values: int
    kept_days: int

    @property
    def readings_m(self) -> float:
        """Readings a month, in millions."""
        return self.devices * HOURS_A_MONTH * 3600 / self.interval_s / 1e6

    @property
    def requests_m(self) -> float:
        """Requests or messages a month, in millions."""
        return self.readings_m / self.batch

    @property
    def request_bytes(self) -> int:
        """Size of a request's body."""
        return self.batch * (ENVELOPE_BYTES + self.values * VALUE_BYTES)

    @property
    def requests_per_s(self) -> float:
        """Mean rate."""
        return self.requests_m * 1e6 / (HOURS_A_MONTH * 3600)

    @property
    def values_per_s(self) -> float:
        """Mean rate of single values."""
        return self.devices * self.values / self.interval_s

    @property
    def series(self) -> int:
        """Time series in the store."""
        return self.devices * self.values

    @property
    def stored_values_m(self) -> float:
        """Values that the store holds once `kept_days` have passed, in millions."""
        return self.values_per_s * self.kept_days * 86_400 / 1e6
