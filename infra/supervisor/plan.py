"""Which processes an instance has. The order is that of starting and of stopping."""

from typing import NamedTuple

LISTENER = "{listener}"
"""Stands in a command for the descriptor of the listening socket."""


class ProcessPlan(NamedTuple):
    """One process: its name, and the arguments Python is called with."""

    name: str
    arguments: tuple[str, ...]


PROCESSES = (
    # The front stops first: nothing new comes in while the consumer finishes what it holds.
    ProcessPlan("front", ("-m", "infra.local.front", "--fd", LISTENER)),
    ProcessPlan("consumer", ("-m", "infra.local.consumer")),
    ProcessPlan("scheduler", ("-m", "infra.local.scheduler")),
)
