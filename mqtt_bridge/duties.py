"""What the bridge that works does beside bridging; a stand-by does none of it."""

from collections.abc import Callable, Coroutine
from typing import Any

from chalicelib.wiring import Services
from mqtt_bridge.provisioning import provision

Duty = Callable[[Services], Coroutine[Any, Any, None]]
"""Runs until it is cancelled, which is when another bridge takes over or the process ends. It must not block the event
loop, and nothing that it does may be harmful when its successor has begun already: a process that was frozen notices
half a second late."""

DUTIES: tuple[Duty, ...] = (provision,)
"""All of them. One that fails ends the process, which is started again."""
