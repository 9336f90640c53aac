"""How a device that has its key reaches the service: over HTTP here, over MQTT in `mqtt_uplink`."""

from collections.abc import Callable, Sequence
from typing import Protocol

from simulators.client import Answer, DeviceClient, TimedReading
from simulators.enrolment import Enrolled
from simulators.totals import Counts


class Uplink(Protocol):
    """One device's way to the service. A call returns when the service has answered."""

    def telemetry(self, readings: Sequence[TimedReading]) -> Answer:
        """Deliver 1 to 1000 readings. Good: 201, the service holds them for good. Raises NoAnswer: repeat them."""

    def heartbeat(self) -> Answer:
        """Say that the device is there. Good: 200. Raises NoAnswer."""

    def close(self) -> None:
        """Say goodbye, where there is a way to. Raises nothing."""


Connect = Callable[[Enrolled, str, Counts], Uplink]
"""Makes the uplink of a device from its key, its device type and its counts."""


class HttpUplink:
    """Requests with the device's key.

    Args:
        client: the requests.
        api_key: the device's.
    """

    def __init__(self, client: DeviceClient, api_key: str) -> None:
        self._client = client
        self._api_key = api_key

    def telemetry(self, readings: Sequence[TimedReading]) -> Answer:
        return self._client.telemetry(self._api_key, readings)

    def heartbeat(self) -> Answer:
        return self._client.heartbeat(self._api_key)

    def close(self) -> None:
        """Nothing to do: HTTP knows no goodbye."""


def over_http(client: DeviceClient) -> Connect:
    """Let every device use the one client."""
    return lambda enrolled, _device_type, _counts: HttpUplink(client, enrolled.api_key)
