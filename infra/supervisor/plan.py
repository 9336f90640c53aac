"""Which processes an instance has. The order is that of starting and of stopping."""

from collections.abc import Sequence
from typing import NamedTuple

from chalicelib.settings import Settings


class ProcessPlan(NamedTuple):
    """One process.

    Attributes:
        arguments: What Python is called with.
        listeners: Option and name of each listening socket that it serves; those that are not open are left out.
    """

    name: str
    arguments: tuple[str, ...]
    listeners: tuple[tuple[str, str], ...] = ()


PROCESSES = (
    # What lets devices in stops first: nothing new comes in while the consumer finishes what it holds.
    ProcessPlan("front", ("-m", "infra.local.front"), (("--fd", "http"),)),
    ProcessPlan(
        "mqtt",
        ("-m", "infra.local.mqtt"),
        (("--fd", "mqtt"), ("--tls-fd", "mqtt_tls"), ("--websocket-fd", "mqtt_websocket")),
    ),
    ProcessPlan("bridge", ("-m", "mqtt_bridge")),
    ProcessPlan("consumer", ("-m", "infra.local.consumer")),
    ProcessPlan("scheduler", ("-m", "infra.local.scheduler")),
)
"""Every process that there can be."""


def processes(settings: Settings) -> Sequence[ProcessPlan]:
    """Those of an instance with these settings: the gateway, the bridge to an external broker, or both."""
    absent = {name for name, runs in (("mqtt", settings.serves_mqtt), ("bridge", settings.broker_url)) if not runs}
    return [plan for plan in PROCESSES if plan.name not in absent]
