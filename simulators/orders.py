"""What a simulated device does when it is told to: reboot, update, take a configuration."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from simulators.totals import Counts

Later = Callable[[float, Callable[[], None]], None]
"""Calls something after so many seconds, from any thread."""


class Order(NamedTuple):
    """A command as it came; without an id nobody waits for an answer."""

    id: str
    type: str
    config: Mapping[str, Any]


class Stage(NamedTuple):
    """A step of carrying out an order: when, what the device answers, and what it calls itself from then on."""

    after_s: float
    answer: str
    presence: str = ""

    @property
    def last(self) -> bool:
        """Whether the order is over with it."""
        return self.answer != ACKNOWLEDGED


ACKNOWLEDGED, SUCCEEDED, REJECTED = "acknowledged", "succeeded", "rejected"
STAGES: Mapping[str, tuple[Stage, ...]] = {
    "reboot": (Stage(0, ACKNOWLEDGED, "rebooting"), Stage(2, SUCCEEDED, "online")),
    "update": (Stage(0, ACKNOWLEDGED, "updating"), Stage(3, SUCCEEDED, "online")),
    "configure": (Stage(0, SUCCEEDED),),
}
"""Source: the predecessor's devices, with the same words and times."""
UNKNOWN = (Stage(0, REJECTED),)

Tell = Callable[[Order, Stage, Mapping[str, Any]], None]
"""Tells the service of a stage, with the result."""


class Orderly:
    """Carries out the orders of one device, each once however often it comes.

    Args:
        tell: called for every stage.
        counts: where orders are counted.
        later: for stages that take a while.
    """

    def __init__(self, tell: Tell, counts: Counts, later: Later) -> None:
        self._tell = tell
        self._counts = counts
        self._later = later
        self._seen: set[str] = set()
        self.config: dict[str, Any] = {}

    def take(self, order: Order) -> None:
        """Carry an order out; returns at once."""
        if order.id and order.id in self._seen:
            return
        self._seen.add(order.id)
        self._counts.commands += 1
        for stage in STAGES.get(order.type, UNKNOWN):
            if stage.after_s:
                self._later(stage.after_s, partial(self._do, order, stage))
            else:
                self._do(order, stage)

    def _do(self, order: Order, stage: Stage) -> None:
        if stage.answer == SUCCEEDED:
            self.config.update(order.config)
            self._counts.commands_carried_out += 1
        self._tell(order, stage, self._result(order, stage))

    def _result(self, order: Order, stage: Stage) -> Mapping[str, Any]:
        if stage.answer == REJECTED:
            known = ", ".join(STAGES)
            return {"error": f"no command is called {order.type!r}; there are {known}"}
        return {"configuration": self.config} if order.config else {}


def on_a_timer(after_s: float, call: Callable[[], None]) -> None:
    """Call from a thread of its own, which does not keep the program alive."""
    timer = threading.Timer(after_s, call)
    timer.daemon = True
    timer.start()
