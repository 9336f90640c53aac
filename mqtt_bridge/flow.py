"""The flow of one connection: what goes out in which order, and when to read on."""

import asyncio
import logging
from abc import abstractmethod
from concurrent.futures import Future
from typing import cast

from chalicelib import tickets
from chalicelib.errors import Unavailable
from chalicelib.ports import Decision
from mqtt_bridge import packets
from mqtt_bridge.clients import Client
from mqtt_bridge.commits import Receipt
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, V311, Publish
from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.session import Session

log = logging.getLogger(__name__)

RECEIVE_MAXIMUM = 1000
"""Messages of QoS 1 and 2 that one client may have in flight; beyond it the gateway does not read on."""
MAX_IN_FLIGHT_BYTES = 1_048_576
MAX_CONNECT_BYTES = 16_384
MAX_THROTTLED_S = 300.0
"""Over its rate without a break for so long, a client is sent away."""
MAX_WRITE_BUFFER_BYTES = 1_048_576
"""A client that does not read what is sent to it is disconnected at this."""


class Flow(asyncio.Protocol):
    """Collects the acknowledgements of what it reads, and writes them in order when the commits have ended.

    Attributes:
        client: Whose it is; None until the CONNECT was accepted.
        current: The receipt of what is being read just now.
        in_flight: How many messages wait for a commit.
        level: 4 for MQTT 3.1.1, 5 for MQTT 5.
        keep_alive_s: Silence for one and a half times as long ends the connection; 0: never.
        heard_s: When something came last, on the loop's clock.
    """

    __slots__ = (
        "_closing",
        "_framing",
        "_held",
        "_receipts",
        "_stopped",
        "_timer",
        "_transport",
        "_uncounted",
        "_unread",
        "address",
        "begun_s",
        "client",
        "closed_s",
        "current",
        "heard_s",
        "in_flight",
        "in_flight_bytes",
        "keep_alive_s",
        "level",
        "loop",
        "max_outgoing_bytes",
        "receive_maximum",
        "session",
        "throttled_since_s",
    )

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._framing = Framing(MAX_CONNECT_BYTES)
        self._receipts: list[Receipt] = []
        self.current: Receipt | None = None
        self.in_flight = 0
        self.in_flight_bytes = 0
        self._unread = b""
        self._uncounted = 0
        self._held = False
        self._closing = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.address = ""
        self.client: Client | None = None
        self.session: Session | None = None
        self.level = V311
        self.keep_alive_s = 0
        self.heard_s = self.begun_s = self.loop.time()
        self.closed_s: float | None = None
        self.throttled_since_s: float | None = None
        self.receive_maximum = 65_535
        self.max_outgoing_bytes = 0xFFFFFFFF

    # --- what `connection` adds -----------------------------------------------------------------------------------

    @abstractmethod
    def arrived(self) -> bool:
        """The connection is open; False when it may not stay."""

    @abstractmethod
    def lost(self) -> None:
        """The connection has ended."""

    @abstractmethod
    def now_ms(self) -> int:
        """The server's time."""

    @abstractmethod
    def charge(self, now_ms: int, count: int) -> Decision:
        """Count *count* packets against the client's rate."""

    @abstractmethod
    def wait(self, receipt: Receipt, found: list[Future[None]]) -> None:
        """Settle *receipt* when the commits have ended."""

    @abstractmethod
    def settled(self, receipt: Receipt) -> bytes:
        """The acknowledgements of a receipt some of which depended on its outcome."""

    @abstractmethod
    def packet(self, first_byte: int, body: bytes, now_ms: int, found: list[Future[None]]) -> None:
        """Do what a packet asks for.

        Raises:
            ProtocolError: It must not be, or not here.
            Unavailable: A message cannot be made durable.
        """

    # --- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) and peer else "local"
        if not self.arrived():
            self.close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self.heard_s = self.loop.time()
        if self._held:
            self._unread += data  # a TLS transport may have had it already
        elif not self._closing:
            self._process(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        """See `asyncio.Protocol`."""
        self._closing = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self.lost()

    # --- Link: what sessions and the hub use --------------------------------------------------------------------

    def send(self, message: Publish) -> None:
        """Write a message; one that is larger than the client takes is left out."""
        packet = packets.publish(message, self.level)
        if len(packet) <= self.max_outgoing_bytes:
            self.write(packet)

    def write(self, packet: bytes) -> None:
        """Write a packet."""
        if self._transport is None or self._closing:
            return
        self._transport.write(packet)
        if self._transport.get_write_buffer_size() > MAX_WRITE_BUFFER_BYTES:
            self._transport.abort()

    @property
    def is_slow(self) -> bool:
        """Whether much of what was sent has not been taken by the client."""
        return self._transport is None or self._transport.get_write_buffer_size() > MAX_WRITE_BUFFER_BYTES // 4

    def end(self, reason: Reason) -> None:
        """Close the connection; MQTT 5 is told why."""
        if self.level == V5 and self.client is not None:
            self.write(packets.disconnect(reason))
        self.close()

    def accept(self, client: Client, session: Session, *, max_packet_bytes: int) -> None:
        """The CONNECT is accepted: from here on *client* may send what he likes."""
        self.client, self.session = client, session
        self._framing.max_packet_bytes = max_packet_bytes

    def refuse(self, reason: Reason) -> None:
        """The CONNECT is not accepted."""
        self.write(packets.connack(self.level, reason))
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether something can still be sent."""
        return not self._closing

    def overdue(self, now_s: float, *, connect_timeout_s: float) -> Reason | None:
        """Why the connection has to end now, if it has to: silence, or no CONNECT, or too long over its rate."""
        if self.client is None:
            return Reason.UNSPECIFIED if now_s - self.begun_s > connect_timeout_s else None
        if self.throttled_since_s is not None and now_s - self.throttled_since_s > MAX_THROTTLED_S:
            return Reason.QUOTA_EXCEEDED
        silent = self.keep_alive_s and not self._held and now_s - self.heard_s > self.keep_alive_s * 1.5
        return Reason.KEEP_ALIVE_TIMEOUT if silent else None

    def stop_reading(self) -> None:
        """Take nothing new; what was begun is still answered."""
        if self._transport is not None and not self._held and not self._closing:
            self._transport.pause_reading()
        self._stopped = True

    def abort(self) -> None:
        """End it without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()

    # --- reading ------------------------------------------------------------------------------------------------

    def _process(self, data: bytes) -> None:
        now_ms = self.now_ms()
        receipt = self.current = Receipt(self._flush)
        with tickets.collect() as found:
            try:
                self._read(data, now_ms, found)
            except ProtocolError as error:
                self._fail(error)
            except Unavailable:
                self._give_up()
        self.current = None
        if receipt.count or receipt.acks:
            self._receipts.append(receipt)
            self.in_flight += receipt.count
            self.in_flight_bytes += receipt.size_bytes
            if found:
                self.wait(receipt, found)
        self._flush()
        if self.in_flight >= RECEIVE_MAXIMUM or self.in_flight_bytes >= MAX_IN_FLIGHT_BYTES:
            self._hold()

    def _read(self, data: bytes, now_ms: int, found: list[Future[None]]) -> None:
        """Take the packets in *data*; what the rate is known to have room for is counted at the end, all at once."""
        free = self._uncounted = 0
        try:
            for first_byte, body in self._framing.feed(data):
                self.packet(first_byte, body, now_ms, found)
                if self._closing:
                    return
                if self._uncounted < free:
                    self._uncounted += 1
                elif self.client is not None:
                    room = self._room(now_ms)
                    if room is None:
                        return
                    free = room
        finally:
            self._count(now_ms)

    # --- answering ----------------------------------------------------------------------------------------------

    def answer(self, packet: bytes) -> None:
        """Answers go out behind the acknowledgements of what came before."""
        if self.current is None:
            self.write(packet)
        else:
            self.current.acks += packet

    def _flush(self) -> None:
        """Write what is durable, in order; end the connection at the first thing that is not."""
        ready, done = b"", 0
        for receipt in self._receipts:
            if receipt.failure is not None:
                self._undo()
                self.write(ready)
                self._give_up()
                return
            if receipt.waits_for:
                break
            done += 1
            self.in_flight -= receipt.count
            self.in_flight_bytes -= receipt.size_bytes
            ready += self.settled(receipt) if receipt.late else receipt.acks
        if done:
            del self._receipts[:done]
        if ready:
            self.write(ready)
        if self._held and self._timer is None and self._has_room():
            self._release()

    def _has_room(self) -> bool:
        return self.in_flight < RECEIVE_MAXIMUM // 2 and self.in_flight_bytes < MAX_IN_FLIGHT_BYTES // 2

    def _undo(self) -> None:
        """What was not made durable was not received: its repetition is a new message."""
        if self.session is not None:
            for receipt in self._receipts:
                if receipt.waits_for or receipt.failure is not None:
                    for packet_id in receipt.undo:
                        self.session.received.pop(packet_id, None)
        self._receipts.clear()

    def _give_up(self) -> None:
        """The queue does not take messages: whoever comes again later loses nothing."""
        if not self._closing:
            log.warning("The queue does not take messages: a client is sent away")
            self.end(Reason.QUOTA_EXCEEDED)

    def _fail(self, error: ProtocolError) -> None:
        log.info("A client broke the protocol: %s", error, extra={"fields": {"address": self.address}})
        self._flush()
        self.end(error.reason)

    def close(self) -> None:
        """Close it, once what was written is sent."""
        if not self._closing and self._transport is not None:
            self._transport.close()
            self.closed_s = self.loop.time()
        self._closing = True

    # --- not reading --------------------------------------------------------------------------------------------

    def _room(self, now_ms: int) -> int | None:
        """Count a packet. Returns how many more the rate has room for now; None without room for this one: it holds.

        The rest of what the client sent waits here, what comes later in TCP.
        """
        self._count(now_ms)
        decision = self.charge(now_ms, 1)
        if decision.allowed:
            self.throttled_since_s = None
            return decision.remaining
        if self.throttled_since_s is None:
            self.throttled_since_s = self.loop.time()
        self._hold()
        self._timer = self.loop.call_later(decision.retry_after_s, self._go_on)
        return None

    def _count(self, now_ms: int) -> None:
        if self._uncounted:
            self.charge(now_ms, self._uncounted)
            self._uncounted = 0

    def _go_on(self) -> None:
        """The packet that was over the rate is paid for now, or later still."""
        self._timer = None
        if not self._closing and self._room(self.now_ms()) is not None and self._has_room():
            self._release()

    def _hold(self) -> None:
        if not self._held and self._transport is not None and not self._closing:
            self._held = True
            self._transport.pause_reading()

    def _release(self) -> None:
        if self._held and not self._stopped and self._transport is not None and not self._closing:
            self._held = False
            self._transport.resume_reading()
            self.heard_s = self.loop.time()
            data, self._unread = self._unread, b""
            self._process(data)
