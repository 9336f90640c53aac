"""The bridge behind an external broker: what the broker delivers is acknowledged when the queue has committed it.

keeper      one bridge works, others stand by        broker   a connection to the broker
uplink      what a message means                     carrier  commands and configuration to the broker
"""

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.errors import Unavailable
from chalicelib.ports import Inbox, Tenure
from chalicelib.status import BRIDGE_CONNECTED, BRIDGE_CONNECTS
from chalicelib.topics import BASE
from chalicelib.wiring import Services
from mqtt_bridge import broker as brokers
from mqtt_bridge import packets
from mqtt_bridge import uplink as uplinks
from mqtt_bridge.broker import Address, Broker, BrokerAway
from mqtt_bridge.carrier import Carrier
from mqtt_bridge.client_packets import Connack, SignIn
from mqtt_bridge.gateway import PACKET_OVERHEAD_BYTES
from mqtt_bridge.packets import Publish, Will
from mqtt_bridge.sightings import Sightings
from mqtt_bridge.together import together
from mqtt_bridge.uplink import Parcel, Uplink

log = logging.getLogger(__name__)

Result = TypeVar("Result")

BACKOFF_S = (0.2, 30.0)
STEADY_S = 10.0
"""A connection that lasted so long was a good one: the next attempt comes soon."""
KEEP_ALIVE_S = 30
SESSION_EXPIRY_S = 7 * 86_400
"""So long the broker keeps what comes while no bridge is there."""
RECEIVE_MAXIMUM = 10_000
"""Mosquitto reads one acknowledgement in each turn of its loop, however many have come: beside busy publishers a small
window is soon spent. In a large one our own messages wait behind all acknowledgements that it has not read yet."""
MAX_WAITING_BYTES = 4 * 1024 * 1024
"""Of payloads that wait for the queue; beyond it the bridge reads nothing more."""


class Backoff:
    """Full jitter: any time up to a bound that doubles with every attempt."""

    def __init__(self, jitter: Callable[[float, float], float] = random.uniform) -> None:
        self._jitter = jitter
        self._attempts = 0

    def next_s(self) -> float:
        """How long to wait now."""
        low_s, high_s = BACKOFF_S
        self._attempts = min(self._attempts + 1, 30)
        return self._jitter(0.0, min(high_s, low_s * 2**self._attempts))

    def reset(self) -> None:
        """It works again."""
        self._attempts = 0


class Bridge:
    """Works for one tenure: `run` it, and `drain` before cancelling that.

    Args:
        services: The ports.
        inbox: The way into the queue.
        address: Of the broker.

    Attributes:
        note: How it is, in words: `BRIDGE_CONNECTED`, or what is in the way.
    """

    def __init__(self, services: Services, inbox: Inbox, address: Address) -> None:
        self._loop = asyncio.get_running_loop()
        self._services = services
        self._inbox = inbox
        self._address = address
        self._sightings = Sightings(services.presence, self._loop)
        self._uplink = Uplink(services, MemoryLimiter(), self._reply)
        self._carrier = Carrier(services)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._broker: Broker | None = None
        self._taken: Mapping[int, int] = {}
        self._waiting: deque[tuple[Broker, Parcel]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._answers: set[asyncio.Task[None]] = set()
        self.note = "starting"

    async def run(self, tenure: Tenure) -> None:
        """Connect, again and again, and take in what comes.

        Raises:
            Conflict: The tenure is over (code ``lease_lost``).
        """
        self._waiting.clear()
        self._idle.set()
        await together(self._store(tenure), self._stay_connected(tenure))

    async def drain(self) -> None:
        """Read nothing more, let what was read become durable and be acknowledged, and say goodbye."""
        broker = self._broker
        if broker is None or broker.closed.done():
            return
        broker.pause()
        await self._idle.wait()
        farewell = _presence(self._services.settings.bridge_client_id, "offline")
        broker.write(packets.publish(farewell._replace(qos=0), packets.V5))  # no answer is read any more
        broker.leave()

    def close(self) -> None:
        """Write down what is still to be written."""
        self._uplink.close()
        self._carrier.close()
        self._sightings.close()
        self._thread.shutdown()

    # --- the connection -----------------------------------------------------------------------------------------

    async def _stay_connected(self, tenure: Tenure) -> None:
        backoff = Backoff()
        while True:
            await self._idle.wait()  # or a repetition could be taken for something new
            begun_s = self._loop.time()
            try:
                self._taken, stamped_ms = await self._in_thread(partial(self._inbox.taken, tenure.name))
                self._services.stamps.start_after(stamped_ms)
                await self._connected()
            except (BrokerAway, Unavailable) as error:
                self.note = str(error)
            if self._loop.time() - begun_s > STEADY_S:
                backoff.reset()
            wait_s = backoff.next_s()
            log.warning("The bridge is not connected: %s. Next attempt in %.1f s", self.note, wait_s)
            await asyncio.sleep(wait_s)

    async def _connected(self) -> None:
        """One connection, from beginning to end.

        Raises:
            BrokerAway: Its end.
        """
        broker, connack = await brokers.connect(self._address, self._sign_in(), self._receive)
        self._broker = broker
        self._greet(connack)
        if connack.session_present:
            self.note = BRIDGE_CONNECTED  # messages flow already
        try:
            await together(self._serve(broker), broker.lasts())
        finally:
            broker.abort("the bridge gave up")

    async def _serve(self, broker: Broker) -> None:
        await broker.subscribe(uplinks.filters())
        await broker.publish(_presence(self._services.settings.bridge_client_id, "online"))
        self.note = BRIDGE_CONNECTED
        log.info("The bridge is connected to the broker at %s:%d", self._address.host, self._address.port)
        await self._carrier.run(broker)

    def _sign_in(self) -> SignIn:
        settings = self._services.settings
        will = _presence(settings.bridge_client_id, "offline")
        return SignIn(
            client_id=settings.bridge_client_id,
            username=settings.broker_user,
            password=settings.broker_password,
            keep_alive_s=KEEP_ALIVE_S,
            session_expiry_s=SESSION_EXPIRY_S,
            receive_maximum=RECEIVE_MAXIMUM,
            max_packet_bytes=self._services.limits.batch_bytes + PACKET_OVERHEAD_BYTES,
            will=Will(will.topic, will.payload, 1),
        )

    def _greet(self, connack: Connack) -> None:
        labels = (("session", "kept" if connack.session_present else "new"),)
        self._services.counters.add(BRIDGE_CONNECTS, labels, now_ms=_now_ms())
        if not connack.session_present and self._taken:
            log.error("The broker has forgotten the bridge's session: what came while it was away may be missing")

    def _reply(self, name: str, payload: bytes) -> None:
        """Publish an answer, from any thread; who asked repeats his question if it is lost."""

        def publish() -> None:
            if self._broker is not None:
                task = self._loop.create_task(_tell(self._broker, Publish(name, payload)))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)

        self._loop.call_soon_threadsafe(publish)

    # --- from the broker into the queue -------------------------------------------------------------------------

    def _receive(self, broker: Broker, messages: list[Publish]) -> None:
        try:
            parcel = self._uplink.parcel(self._carrier.without_retained(messages), self._taken, _now_ms())
        except Unavailable as error:
            broker.abort(error.message)
            return
        self._waiting.append((broker, parcel))
        self._waiting_bytes += parcel.delivery.size_bytes
        if self._waiting_bytes > MAX_WAITING_BYTES:
            broker.pause()
        self._idle.clear()
        self._arrived.set()

    async def _store(self, tenure: Tenure) -> None:
        """Commit what waits, all of it at once, and acknowledge it."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch = list(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = 0
                if await self._take(batch, tenure):
                    await self._settle(batch)
                batch[-1][0].resume()
            self._idle.set()

    async def _take(self, batch: list[tuple[Broker, Parcel]], tenure: Tenure) -> bool:
        """Make *batch* durable, however long it takes; False when the connection has ended meanwhile."""
        broker = batch[-1][0]
        deliveries = [parcel.delivery for _, parcel in batch]
        backoff = Backoff()
        while True:
            try:
                await self._in_thread(partial(self._inbox.take, deliveries, tenure, now_ms=_now_ms()))
            except Unavailable as error:
                broker.pause()
                log.warning("The queue does not take messages, and the broker has to wait: %s", error.message)
                self.note = error.message
                await asyncio.wait({broker.closed}, timeout=backoff.next_s())
                if broker.closed.done():
                    return False
                continue
            if not broker.closed.done():
                self.note = BRIDGE_CONNECTED
            return True

    async def _settle(self, batch: list[tuple[Broker, Parcel]]) -> None:
        now_ms = _now_ms()
        for broker, parcel in batch:
            for ticket in parcel.tickets:
                if not await _ended_well(ticket):
                    broker.abort("the records do not answer")
            broker.write(bytes(parcel.acks))
            self._uplink.count(parcel, now_ms)
            self._carrier.seen(parcel.senders)
            for device, at_ms, online in parcel.sightings:
                self._sightings.mark(device, at_ms, online=online)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await self._loop.run_in_executor(self._thread, work)


async def _ended_well(ticket: Future[None]) -> bool:
    try:
        await asyncio.wrap_future(ticket)
    except Unavailable:
        return False
    return True


async def _tell(broker: Broker, message: Publish) -> None:
    try:
        await broker.publish(message)
    except BrokerAway:
        log.warning("An answer to a registration could not be published")


def _presence(client_id: str, word: str) -> Publish:
    """What the bridge says of itself, retained: ``online`` or ``offline``."""
    payload = json.dumps({"status": word}).encode()
    return Publish(f"{BASE}/system/bridge/{client_id}", payload, 1, retain=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
