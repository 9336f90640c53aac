"""What the bridge that works does beside bridging; a stand-by does none of it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from chalicelib.errors import Unavailable
from chalicelib.wiring import Services
from mqtt_bridge.provisioning import provision

Duty = Callable[[Services], Coroutine[Any, Any, None]]
"""Runs until it is cancelled, which is when another bridge takes over or the process ends. It must not block the event
loop, and nothing that it does may be harmful when its successor has begun already: a process that was frozen notices
half a second late."""

COUNT_S = 1.0


async def show_counts(services: Services) -> None:
    """Show everybody what was counted, also when nothing more comes."""
    while True:
        await asyncio.sleep(COUNT_S)
        with suppress(Unavailable):
            await asyncio.to_thread(services.counters.flush)


DUTIES: tuple[Duty, ...] = (provision, show_counts)
"""All of them. One that fails ends the process, which is started again."""
