"""One client's packets: what MQTT asks for when each comes. `flow` sees to order and limits."""

import logging
from concurrent.futures import Future
from typing import Protocol

from chalicelib.ports import Decision
from chalicelib.topics import Topic
from mqtt_bridge import packets
from mqtt_bridge.clients import Client
from mqtt_bridge.commits import Late, Receipt
from mqtt_bridge.flow import RECEIVE_MAXIMUM, Flow
from mqtt_bridge.packets import V311, Connect, Publish
from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.session import Session
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)


ACK_BYTES = 4
"""Of an acknowledgement that says success."""
Verdict = Reason | Future[Reason]
"""What becomes of a message: known at once, or when the work that it asks for has ended."""


class Hub(Protocol):
    """What a connection needs of the gateway."""

    max_packet_bytes: int

    def now_ms(self) -> int: ...
    def arrived(self, connection: "Connection") -> bool: ...
    def connect(self, connection: "Connection", connect: Connect) -> None: ...
    def charge(self, connection: "Connection", now_ms: int, count: int) -> Decision: ...
    def publish(
        self, connection: "Connection", message: Publish, now_ms: int, found: list[Future[None]]
    ) -> Verdict: ...
    def subscribe(self, connection: "Connection", request: packets.Subscribe) -> list[int]: ...
    def subscribed(self, connection: "Connection") -> None: ...
    def wait(self, receipt: Receipt, found: list[Future[None]]) -> None: ...
    def lost(self, connection: "Connection") -> None: ...


class Connection(Flow):
    """See the module.

    Attributes:
        route: The client, the topic's name and its meaning of the last message that was allowed: the next is like it.
        will: Published when the connection ends without DISCONNECT.
        farewell: How the client left; None when he did not say goodbye.
    """

    __slots__ = ("_hub", "farewell", "route", "will")

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub
        self.route: tuple[Client, str, Topic] | None = None
        self.will: packets.Will | None = None
        self.farewell: packets.Disconnect | None = None

    def arrived(self) -> bool:
        """See `Flow`."""
        return self._hub.arrived(self)

    def lost(self) -> None:
        """See `Flow`."""
        self._hub.lost(self)

    def now_ms(self) -> int:
        """See `Flow`."""
        return self._hub.now_ms()

    def charge(self, now_ms: int, count: int) -> Decision:
        """See `Flow`."""
        return self._hub.charge(self, now_ms, count)

    def wait(self, receipt: Receipt, found: list[Future[None]]) -> None:
        """See `Flow`."""
        self._hub.wait(receipt, found)

    def packet(self, first_byte: int, body: bytes, now_ms: int, found: list[Future[None]]) -> None:
        """See `Flow`."""
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
            if error.reason is not Reason.UNSUPPORTED_VERSION:
                raise
            log.debug("A client speaks another version, or asks whether there is anybody: %s", error)
            self.refuse(error.reason)
            return
        self.level = connect.level
        self._hub.connect(self, connect)

    def _publish(self, message: Publish, now_ms: int, found: list[Future[None]]) -> None:
        receipt, session = self.current, self.session
        if receipt is None or session is None:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "not connected")
        self._require_window(message, receipt, session)
        repeated = message.qos == 2 and message.packet_id in session.received
        verdict = Reason.SUCCESS if repeated else self._hub.publish(self, message, now_ms, found)
        if verdict is Reason.NOT_AUTHORIZED and self.level == V311:
            raise ProtocolError(verdict, "a topic that is not this client's")  # 3.1.1 cannot say it in an answer
        receipt.count += 1
        receipt.size_bytes += len(message.payload)
        if message.qos == 2 and not repeated and (verdict is Reason.SUCCESS or not isinstance(verdict, Reason)):
            session.received[message.packet_id] = None
            receipt.undo = (*receipt.undo, message.packet_id)
        if not message.qos:
            return
        if isinstance(verdict, Reason):
            receipt.acks += packets.ack(_ACKS[message.qos], message.packet_id, self.level, verdict)
            return
        receipt.acks += packets.ack(_ACKS[message.qos], message.packet_id, self.level)
        receipt.late = (*receipt.late, Late(len(receipt.acks), message.qos, message.packet_id, verdict))

    def settled(self, receipt: Receipt) -> bytes:
        """See `Flow`."""
        told = bytes(receipt.acks)
        for late in reversed(receipt.late):
            reason = late.work.result()  # it has ended, or the receipt would not be settled
            if reason is not Reason.SUCCESS:
                if late.qos == 2 and self.session is not None:
                    self.session.received.pop(late.packet_id, None)
                answer = packets.ack(_ACKS[late.qos], late.packet_id, self.level, reason)
                told = told[: late.end - ACK_BYTES] + answer + told[late.end :]
        return told

    def _require_window(self, message: Publish, receipt: Receipt, session: Session) -> None:
        """MQTT 5 was told how much may be in flight, and that there are no topic aliases; 3.1.1 was not."""
        if self.level == V311:
            return
        if message.qos and max(self.in_flight + receipt.count, len(session.received)) > RECEIVE_MAXIMUM:
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
            self.session.received.pop(packet_id, None)
        self.answer(
            packets.ack(packets.PUBCOMP, packet_id, self.level, Reason.SUCCESS if known else Reason.PACKET_ID_NOT_FOUND)
        )

    def _subscribe(self, body: bytes) -> None:
        request = packets.read_subscribe(body, self.level)
        reasons = self._hub.subscribe(self, request)
        self.answer(packets.suback(request.packet_id, reasons, self.level))
        self.loop.call_soon(self._hub.subscribed, self)

    def _unsubscribe(self, body: bytes) -> None:
        request = packets.read_unsubscribe(body, self.level)
        reasons = []
        for text in request.filters:
            known = self.session is not None and self.session.subscriptions.pop(text, None) is not None
            reasons.append(int(Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED))
        self.answer(packets.unsuback(request.packet_id, reasons, self.level))

    def _pingreq(self, body: bytes) -> None:
        if body:
            raise ProtocolError(Reason.MALFORMED, "a PINGREQ has no body")
        self.answer(packets.PINGRESP_PACKET)

    def _disconnect(self, body: bytes) -> None:
        self.farewell = packets.read_disconnect(body, self.level)
        self.close()


_ACKS = {1: packets.PUBACK, 2: packets.PUBREC}
_HANDLERS = {
    packets.PUBACK: Connection._puback,
    packets.PUBREL: Connection._pubrel,
    packets.SUBSCRIBE: Connection._subscribe,
    packets.UNSUBSCRIBE: Connection._unsubscribe,
    packets.PINGREQ: Connection._pingreq,
    packets.DISCONNECT: Connection._disconnect,
}
