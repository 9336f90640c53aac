"""Which processes an instance has. The order is that of starting and of stopping."""

from typing import NamedTuple


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
    ProcessPlan("consumer", ("-m", "infra.local.consumer")),
    ProcessPlan("scheduler", ("-m", "infra.local.scheduler")),
)
