"""The bridge behind an external broker: `python3 -m mqtt_bridge`, one process of `infra up` with a broker."""

import asyncio
import os
import socket
import sys
from contextlib import suppress

import uvloop

from chalicelib.errors import Unavailable
from chalicelib.ports import Tenure
from chalicelib.wiring import Services
from infra.local import garbage
from infra.local.child import Child
from infra.local.opening import open_services
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.broker import Address, address_of
from mqtt_bridge.duties import DUTIES
from mqtt_bridge.keeper import Keeper
from mqtt_bridge.together import together

DRAIN_S = 5.0


def main() -> int:
    """Bridge, or stand by, until told to stop; the exit code is 0 after a drain."""
    child = Child(os.environ)
    current = open_services()
    settings = current.settings
    if not settings.broker_url:
        print("IOTFLOW_BROKER_URL names no broker: there is nothing to bridge", file=sys.stderr)
        return 2
    try:
        address = address_of(settings.broker_url, settings.broker_ca_file)
    except OSError as error:
        print(f"The bridge cannot work: {error}", file=sys.stderr)
        return 2
    garbage.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(current, child, address))
    current.queue.close()
    with suppress(Unavailable):  # counts of the last second, for dashboards only
        current.counters.flush()
    return 0


async def _serve(current: Services, child: Child, address: Address) -> None:
    loop = asyncio.get_running_loop()
    drained = asyncio.Event()

    def drain() -> None:
        loop.call_soon_threadsafe(drained.set)

    child.on_drain(drain)
    bridge = Bridge(current, current.inbox, address)

    async def work(tenure: Tenure) -> None:
        await together(bridge.run(tenure), *(duty(current) for duty in DUTIES))

    holder = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
    keeper = Keeper(current.lease, current.settings.bridge_client_id, holder, work, lambda: bridge.note)
    keeping = asyncio.create_task(keeper.run())
    child.ready()
    waiting = asyncio.create_task(drained.wait())
    await asyncio.wait({keeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if keeping.done():
        keeping.result()  # raises what ended it
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            await bridge.drain()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await keeper.close()
    bridge.close()


if __name__ == "__main__":
    raise SystemExit(main())
