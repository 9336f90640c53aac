"""What the gateway does by the clock: time-outs, revocations, presence of the silent, changes made elsewhere."""

import asyncio
import itertools
import logging

from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef
from chalicelib.wiring import Services
from mqtt_bridge.connection import Connection
from mqtt_bridge.gateway import Gateway
from mqtt_bridge.reasons import Reason

log = logging.getLogger(__name__)

TICK_S = 0.1
TICKS_OF_SWEEP = 5
TICKS_OF_PRESENCE = 600
SLICE = 200
"""Connections that are looked at before others get their turn."""
CLOSE_TIMEOUT_S = 5.0
"""A client that does not take its last words is cut off."""


class Watch:
    """Runs beside the connections until cancelled.

    Args:
        gateway: Whose connections.
        services: Asked for revisions.
    """

    def __init__(self, gateway: Gateway, services: Services) -> None:
        self._gateway = gateway
        self._services = services
        self._revision: int | None = None

    async def run(self) -> None:
        """Tick."""
        for tick in itertools.count(1):
            await asyncio.sleep(TICK_S)
            now_ms = self._gateway.now_ms()
            self._gateway.downlink.watch(now_ms=now_ms)
            await self._recheck(now_ms)
            if tick % TICKS_OF_SWEEP == 0:
                await self._sweep()
            if tick % TICKS_OF_PRESENCE == 0:
                self._gateway.sightings.mark_all(self._connected(), now_ms)

    async def _recheck(self, now_ms: int) -> None:
        """After any change of devices or keys, look at every client again."""
        try:
            revision = self._services.devices.revision()
            if revision == self._revision:
                return
            for number, connection in enumerate(list(self._gateway.connections)):
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
                self._recheck_one(connection, now_ms)
        except Unavailable:
            return  # the next tick asks again
        self._revision = revision

    def _recheck_one(self, connection: Connection, now_ms: int) -> None:
        if connection.client is None or not connection.is_open:
            return
        found = self._gateway.admission.check_again(connection.client, now_ms=now_ms)
        if isinstance(found, Reason):
            self._send_away(connection, found)
        else:
            connection.client = found

    def _send_away(self, connection: Connection, reason: Reason) -> None:
        client, session = connection.client, connection.session
        if client is None or session is None:
            return
        log.info("A client is disconnected: %s", reason.name, extra={"fields": {"client": client.owner}})
        connection.will = None  # it may not publish any more
        session.expiry_s = 0
        connection.end(reason)

    async def _sweep(self) -> None:
        gateway = self._gateway
        now_s, now_ms = asyncio.get_running_loop().time(), gateway.now_ms()
        gateway.commits.sweep()
        gateway.sessions.sweep(now_s=now_s)
        for number, connection in enumerate(list(gateway.connections)):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            self._sweep_one(connection, now_s, now_ms)

    def _sweep_one(self, connection: Connection, now_s: float, now_ms: int) -> None:
        if connection.closed_s is not None:
            if now_s - connection.closed_s > CLOSE_TIMEOUT_S:
                connection.abort()
            return
        reason = connection.overdue(now_s, connect_timeout_s=self._services.settings.mqtt_connect_timeout_s)
        expires_ms = connection.client.expires_ms if connection.client is not None else None
        if reason is not None:
            connection.end(reason)
        elif expires_ms is not None and expires_ms <= now_ms:
            self._send_away(connection, Reason.NOT_AUTHORIZED)

    def _connected(self) -> set[DeviceRef]:
        clients = (connection.client for connection in self._gateway.connections)
        return {client.device.ref for client in clients if client is not None and client.device is not None}
