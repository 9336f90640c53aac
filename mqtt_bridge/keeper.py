"""Sees to it that one of several bridges works, and a stand-by takes over when it is gone."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from chalicelib.errors import Conflict, Unavailable
from chalicelib.ports import Lease, Tenure
from mqtt_bridge.together import together

log = logging.getLogger(__name__)

TTL_S = 3.0
RENEW_S = 0.5
POLL_S = 0.3
"""How often a stand-by asks."""


class Keeper:
    """Does the work while it holds the lease, and waits while another does.

    Args:
        lease: Says who works.
        name: Of the lease.
        holder: This process, different from every other.
        work: Begun with each tenure, cancelled at its end. A Conflict of the code ``lease_lost`` says that it is over.
        note: How the work goes, for whoever asks the lease.
    """

    def __init__(
        self,
        lease: Lease,
        name: str,
        holder: str,
        work: Callable[[Tenure], Coroutine[Any, Any, None]],
        note: Callable[[], str],
    ) -> None:
        self._lease = lease
        self._name = name
        self._holder = holder
        self._work = work
        self._note = note
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lease")
        self._tenure: Tenure | None = None

    async def run(self) -> None:
        """Wait for the lease, work, again and again."""
        while True:
            tenure = self._tenure = await self._acquired()
            log.info("This bridge works now, as number %d", tenure.number)
            await self._hold(tenure)
            log.warning("Another bridge has taken over; this one stands by")

    async def close(self) -> None:
        """Let the next one begin at once."""
        if self._tenure is not None:
            with suppress(Unavailable):
                await self._in_thread(partial(self._lease.release, self._tenure))
        self._thread.shutdown()

    async def _acquired(self) -> Tenure:
        told = False
        while True:
            with suppress(Unavailable):
                ask = partial(self._lease.acquire, self._name, self._holder, ttl_s=TTL_S, now_ms=_now_ms())
                tenure: Tenure | None = await self._in_thread(ask)
                if tenure is not None:
                    return tenure
                if not told:
                    log.info("Another bridge works; this one stands by")
                    told = True
            await asyncio.sleep(POLL_S)

    async def _hold(self, tenure: Tenure) -> None:
        """Work until the lease is lost."""
        try:
            await together(self._work(tenure), self._renew(tenure))
        except Conflict as error:
            if error.code != "lease_lost":
                raise

    async def _renew(self, tenure: Tenure) -> None:
        """Return when another has taken over."""
        while True:
            with suppress(Unavailable):  # whoever could take over cannot ask either
                ask = partial(self._lease.renew, tenure, ttl_s=TTL_S, now_ms=_now_ms(), note=self._note())
                if not await self._in_thread(ask):
                    return
            await asyncio.sleep(RENEW_S)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
