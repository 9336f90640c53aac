"""Tells the broker of devices and keys as long as it runs: changes at once, and a comparison now and then."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable

from chalicelib import provisioning
from chalicelib.errors import Unavailable
from chalicelib.ports import BrokerProvisioner
from chalicelib.provisioning import Reconciled, Records
from chalicelib.status import BROKER_ACCOUNTS
from chalicelib.wiring import Services

log = logging.getLogger(__name__)

POLL_S = 0.1
RECONCILE_S = 300.0
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 10.0
"""Whoever was revoked meanwhile stays connected so long when the broker is back."""
FEW = 10
"""Ids in one line of the log."""


async def provision(services: Services) -> None:
    """Tell the broker of devices, until cancelled; the duty of a working bridge whose broker is to be told.

    A predecessor that was frozen and goes on for a moment does no harm: both tell what the records say.
    """
    broker = services.broker
    if broker is None:
        await asyncio.Event().wait()
        return
    worker = Provisioning(services, broker)
    try:
        await asyncio.to_thread(worker.run)
    finally:
        worker.stop()


class Provisioning:
    """Runs in a thread of its own until told to stop; a broker that is away only delays it.

    Args:
        services: Records, outbox and settings.
        broker: Who is told.
        chance: A random number below its argument, for retries.
    """

    def __init__(
        self, services: Services, broker: BrokerProvisioner, *, chance: Callable[[float], float] | None = None
    ) -> None:
        self._services = services
        self._broker = broker
        self._records = Records(services.devices, services.credentials, services.pepper)
        self._chance = chance or (lambda limit: random.uniform(0, limit))  # noqa: S311 - spreads retries
        self._stopping = threading.Event()
        self._failures = 0
        self._revision: int | None = None
        self._reconciled_s: float | None = None

    def stop(self) -> None:
        """Let `run` return after what is being told just now."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            self._stopping.wait(self.step())
        self._broker.close()

    def step(self) -> float:
        """Do what is to be done; returns the seconds until the next time."""
        try:
            now_ms = time.time_ns() // 1_000_000
            if self._reconciled_s is None or time.monotonic() > self._reconciled_s + RECONCILE_S:
                self._reconcile(now_ms)
            pause_s = self._drain(now_ms)
        except Unavailable as error:
            return self._retry_s(error)
        if self._failures:
            log.info("The broker is told of devices again")
            self._failures = 0
        return pause_s

    def _reconcile(self, now_ms: int) -> None:
        found = provisioning.reconcile(
            outbox=self._services.broker_outbox, records=self._records, broker=self._broker, now_ms=now_ms
        )
        self._reconciled_s = time.monotonic()
        _report(found)
        self._count("mended", found.changed, now_ms)
        self._count("removed", found.removed, now_ms)
        self._count("shut_out", found.stranded, now_ms)

    def _drain(self, now_ms: int) -> float:
        revision = self._services.devices.revision()
        if revision == self._revision:
            return POLL_S
        outbox = self._services.broker_outbox
        done = provisioning.drain(outbox=outbox, records=self._records, broker=self._broker, now_ms=now_ms)
        if done.stranded:
            log.warning("%s", _stranded(done.stranded))
        self._count("told", done.changed, now_ms)
        self._count("shut_out", done.stranded, now_ms)
        waiting = outbox.count()
        if not waiting:  # else there is more, or another worker holds it
            self._revision = revision
        more = bool(waiting and done.changed)
        return max(0.0 if more else POLL_S, self._broker.pause_s if done.changed else 0.0)

    def _count(self, result: str, devices: tuple[int, ...], now_ms: int) -> None:
        if devices:
            self._services.counters.add(BROKER_ACCOUNTS, (("result", result),), len(devices), now_ms=now_ms)

    def _retry_s(self, error: Unavailable) -> float:
        """Full jitter: any time up to a limit that doubles."""
        if not self._failures:
            log.warning("The broker cannot be told of devices, trying again: %s", error.message)
        limit_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, 20)
        return self._chance(limit_s)


def _report(found: Reconciled) -> None:
    """Log what a comparison found, if it found anything."""
    if found.changed or found.removed:
        log.warning(
            "The broker's accounts differed from the records and were mended: %d changed (%s), %d removed (%s)",
            len(found.changed),
            _few(found.changed),
            len(found.removed),
            _few(found.removed),
        )
    if found.stranded:
        log.warning("%s", _stranded(found.stranded))


def _stranded(ids: tuple[int, ...]) -> str:
    return (
        f"{len(ids)} devices are shut out because the broker does not know their key: {_few(ids)}; "
        "rotate their keys, or run python3 -m infra mosquitto rebuild"
    )


def _few(ids: tuple[int, ...]) -> str:
    """The first ids, for a line that stays short."""
    return ", ".join(map(str, ids[:FEW])) + (", ..." if len(ids) > FEW else "")
