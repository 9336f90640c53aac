"""One client's connection: packets in, packets out, in the order and under the limits that MQTT asks for.

What packets mean for IoTFlow is the business of `Hub`; this is the protocol.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, cast

from chalicelib import tickets
from chalicelib.errors import Unavailable
from mqtt_bridge import packets
from mqtt_bridge.clients import Client
from mqtt_bridge.commits import Receipt
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, V311, Connect, Publish
from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.session import Session
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)

RECEIVE_MAXIMUM = 1000
"""Messages of QoS 1 and 2 that one client may have in flight; beyond it the gateway does not read on."""
MAX_IN_FLIGHT_BYTES = 1_048_576
MAX_CONNECT_BYTES = 16_384
CONNECT_TIMEOUT_S = 10.0
MAX_THROTTLED_S = 300.0
"""Over its rate without a break for so long, a client is sent away."""
MAX_WRITE_BUFFER_BYTES = 1_048_576
"""A client that does not read what is sent to it is disconnected at this."""


class Hub(Protocol):
    """What a connection needs of the gateway."""

    max_packet_bytes: int

    def now_ms(self) -> int: ...
    def arrived(self, connection: "Connection") -> bool: ...
    def connect(self, connection: "Connection", connect: Connect) -> None: ...
    def throttle_s(self, connection: "Connection", now_ms: int) -> float: ...
    def publish(self, connection: "Connection", message: Publish, now_ms: int, found: list[Future[None]]) -> Reason: ...
    def subscribe(self, connection: "Connection", request: packets.Subscribe) -> list[int]: ...
    def subscribed(self, connection: "Connection") -> None: ...
    def wait(self, receipt: Receipt, found: set[Future[None]]) -> None: ...
    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """See the module.

    Attributes:
        client: Whose it is; None until the CONNECT was accepted.
        back: How the gateway answers its client later: send, and whether it listens.
        level: 4 for MQTT 3.1.1, 5 for MQTT 5.
        keep_alive_s: Silence for one and a half times as long ends the connection; 0: never.
        heard_s: When something came last, on the loop's clock.
        will: Published when the connection ends without DISCONNECT.
        farewell: How the client left; None when he did not say goodbye.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._framing = Framing(MAX_CONNECT_BYTES)
        self._receipts: deque[Receipt] = deque()
        self._current: Receipt | None = None
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._unread = b""
        self._held = False
        self._closing = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.address = ""
        self.client: Client | None = None
        self.back: tuple[Callable[[str, bytes], None], Callable[[str], bool]] | tuple[()] = ()
        self.session: Session | None = None
        self.level = V311
        self.keep_alive_s = 0
        self.heard_s = self.begun_s = self._loop.time()
        self.closed_s: float | None = None
        self.throttled_since_s: float | None = None
        self.receive_maximum = 65_535
        self.max_outgoing_bytes = 0xFFFFFFFF
        self.will: packets.Will | None = None
        self.farewell: packets.Disconnect | None = None

    # --- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) and peer else "local"
        if not self._hub.arrived(self):
            self._close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self.heard_s = self._loop.time()
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
        self._hub.lost(self)

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
        self._close()

    def accept(self, client: Client, session: Session, *, max_packet_bytes: int) -> None:
        """The CONNECT is accepted: from here on *client* may send what he likes."""
        self.client, self.session = client, session
        self._framing.max_packet_bytes = max_packet_bytes

    def refuse(self, reason: Reason) -> None:
        """The CONNECT is not accepted."""
        self.write(packets.connack(self.level, reason))
        self._close()

    @property
    def is_open(self) -> bool:
        """Whether something can still be sent."""
        return not self._closing

    def overdue(self, now_s: float) -> Reason | None:
        """Why the connection has to end now, if it has to: silence, or no CONNECT, or too long over its rate."""
        if self.client is None:
            return Reason.UNSPECIFIED if now_s - self.begun_s > CONNECT_TIMEOUT_S else None
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
        now_ms = self._hub.now_ms()
        receipt = self._current = Receipt(self._flush)
        with tickets.collect() as found:
            try:
                self._read(data, now_ms, found)
            except ProtocolError as error:
                self._fail(error)
            except Unavailable:
                self._give_up()
        self._current = None
        if receipt.count or receipt.acks:
            self._receipts.append(receipt)
            self._in_flight += receipt.count
            self._in_flight_bytes += receipt.size_bytes
            if found:
                self._hub.wait(receipt, set(found))
        self._flush()
        if self._in_flight >= RECEIVE_MAXIMUM or self._in_flight_bytes >= MAX_IN_FLIGHT_BYTES:
            self._hold()

    def _read(self, data: bytes, now_ms: int, found: list[Future[None]]) -> None:
        for first_byte, body in self._framing.feed(data):
            self._packet(first_byte, body, now_ms, found)
            if self._closing or self._must_wait(now_ms):
                return

    def _packet(self, first_byte: int, body: bytes, now_ms: int, found: list[Future[None]]) -> None:
        kind = first_byte >> 4
        if self.client is None:
            self._first(kind, first_byte, body)
        elif kind == packets.PUBLISH:
            self._publish(packets.read_publish(first_byte, body, self.level), now_ms, found)
        else:
            packets.require_flags(kind, first_byte)
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise ProtocolError(Reason.PROTOCOL_ERROR, f"a client does not send packet {kind} here")
            handler(self, body)

    def _first(self, kind: int, first_byte: int, body: bytes) -> None:
        packets.require_flags(kind, first_byte)
        if kind != packets.CONNECT:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "the first packet is a CONNECT")
        try:
            connect = packets.read_connect(body)
        except ProtocolError as error:
            if error.reason is Reason.UNSUPPORTED_VERSION:
                self.write(packets.connack(V311, error.reason))
            raise
        self.level = connect.level
        self._hub.connect(self, connect)

    def _publish(self, message: Publish, now_ms: int, found: list[Future[None]]) -> None:
        receipt, session = self._current, self.session
        if receipt is None or session is None:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "not connected")
        self._require_window(message, receipt, session)
        repeated = message.qos == 2 and message.packet_id in session.received
        reason = Reason.SUCCESS if repeated else self._hub.publish(self, message, now_ms, found)
        if reason is Reason.NOT_AUTHORIZED and self.level == V311:
            raise ProtocolError(reason, "a topic that is not this client's")  # 3.1.1 cannot say it in an answer
        receipt.count += 1
        receipt.size_bytes += len(message.payload)
        if message.qos == 1:
            receipt.acks += packets.ack(packets.PUBACK, message.packet_id, self.level, reason)
        elif message.qos == 2:
            if reason is Reason.SUCCESS and not repeated:
                session.received.add(message.packet_id)
                receipt.undo.append(message.packet_id)
            receipt.acks += packets.ack(packets.PUBREC, message.packet_id, self.level, reason)

    def _require_window(self, message: Publish, receipt: Receipt, session: Session) -> None:
        """MQTT 5 was told how much may be in flight, and that there are no topic aliases; 3.1.1 was not."""
        if self.level == V311:
            return
        if message.qos and max(self._in_flight + receipt.count, len(session.received)) > RECEIVE_MAXIMUM:
            raise ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, f"at most {RECEIVE_MAXIMUM} messages in flight")
        if Property.TOPIC_ALIAS in message.properties:
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, "there are no topic aliases here")

    def _puback(self, body: bytes) -> None:
        if self.session is not None:
            self.session.confirm(packets.read_ack(body, self.level).packet_id)

    def _pubrel(self, body: bytes) -> None:
        packet_id = packets.read_ack(body, self.level).packet_id
        known = self.session is not None and packet_id in self.session.received
        if known and self.session is not None:
            self.session.received.discard(packet_id)
        self._answer(
            packets.ack(packets.PUBCOMP, packet_id, self.level, Reason.SUCCESS if known else Reason.PACKET_ID_NOT_FOUND)
        )

    def _subscribe(self, body: bytes) -> None:
        request = packets.read_subscribe(body, self.level)
        reasons = self._hub.subscribe(self, request)
        self._answer(packets.suback(request.packet_id, reasons, self.level))
        self._loop.call_soon(self._hub.subscribed, self)

    def _unsubscribe(self, body: bytes) -> None:
        request = packets.read_unsubscribe(body, self.level)
        reasons = []
        for text in request.filters:
            known = self.session is not None and self.session.subscriptions.pop(text, None) is not None
            reasons.append(int(Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED))
        self._answer(packets.unsuback(request.packet_id, reasons, self.level))

    def _pingreq(self, body: bytes) -> None:
        if body:
            raise ProtocolError(Reason.MALFORMED, "a PINGREQ has no body")
        self._answer(packets.PINGRESP_PACKET)

    def _disconnect(self, body: bytes) -> None:
        self.farewell = packets.read_disconnect(body, self.level)
        self._close()

    # --- answering ----------------------------------------------------------------------------------------------

    def _answer(self, packet: bytes) -> None:
        """Answers go out behind the acknowledgements of what came before."""
        if self._current is None:
            self.write(packet)
        else:
            self._current.acks += packet

    def _flush(self) -> None:
        """Write what is durable, in order; end the connection at the first thing that is not."""
        ready = bytearray()
        while self._receipts and (not self._receipts[0].waits_for or self._receipts[0].failure):
            receipt = self._receipts.popleft()
            if receipt.failure is not None:
                self._undo(receipt)
                self.write(bytes(ready))
                self._give_up()
                return
            self._in_flight -= receipt.count
            self._in_flight_bytes -= receipt.size_bytes
            ready += receipt.acks
        if ready:
            self.write(bytes(ready))
        if self._held and self._timer is None and self._has_room():
            self._release()

    def _has_room(self) -> bool:
        return self._in_flight < RECEIVE_MAXIMUM // 2 and self._in_flight_bytes < MAX_IN_FLIGHT_BYTES // 2

    def _undo(self, failed: Receipt) -> None:
        """What was not made durable was not received: its repetition is a new message."""
        if self.session is not None:
            for receipt in (failed, *self._receipts):
                self.session.received.difference_update(receipt.undo)
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

    def _close(self) -> None:
        if not self._closing and self._transport is not None:
            self._transport.close()
            self.closed_s = self._loop.time()
        self._closing = True

    # --- not reading --------------------------------------------------------------------------------------------

    def _must_wait(self, now_ms: int) -> bool:
        """Whether the client has used up his rate; the rest of what he sent waits here, what comes later in TCP."""
        if self.client is None:
            return False
        wait_s = self._hub.throttle_s(self, now_ms)
        if not wait_s:
            self.throttled_since_s = None
            return False
        if self.throttled_since_s is None:
            self.throttled_since_s = self._loop.time()
        self._hold()
        self._timer = self._loop.call_later(wait_s, self._go_on)
        return True

    def _go_on(self) -> None:
        """The packet that was over the rate is paid for now, or later still."""
        self._timer = None
        if not self._closing and not self._must_wait(self._hub.now_ms()) and self._has_room():
            self._release()

    def _hold(self) -> None:
        if not self._held and self._transport is not None and not self._closing:
            self._held = True
            self._transport.pause_reading()

    def _release(self) -> None:
        if self._held and not self._stopped and self._transport is not None and not self._closing:
            self._held = False
            self._transport.resume_reading()
            self.heard_s = self._loop.time()
            data, self._unread = self._unread, b""
            self._process(data)


_HANDLERS = {
    packets.PUBACK: Connection._puback,
    packets.PUBREL: Connection._pubrel,
    packets.SUBSCRIBE: Connection._subscribe,
    packets.UNSUBSCRIBE: Connection._unsubscribe,
    packets.PINGREQ: Connection._pingreq,
    packets.DISCONNECT: Connection._disconnect,
}
