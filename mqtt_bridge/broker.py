"""One connection to a broker, as its client: MQTT 5 over asyncio, made to receive.

Everything that one read of the socket brings is handed on at once, so batches form by themselves: small while little
comes, large under load. Acknowledgements are the receiver's to send. paho's receiving took 100 us a message, of which
the bridge spends 35 on everything (docs/adr/0012).
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from mqtt_bridge import client_packets, packets
from mqtt_bridge.client_packets import Connack, SignIn
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, Publish
from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
MAX_WRITE_BUFFER_BYTES = 8_388_608
MAX_SENDING = 100
"""Messages of ours that wait for the broker's acknowledgement at once."""


class BrokerAway(Exception):
    """The broker cannot be reached, refused, or is gone; the text says why."""


class Address(NamedTuple):
    """Where a broker listens, and how to know it: None for a connection without TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def address_of(url: str, ca_file: str = "") -> Address:
    """The address of an mqtt:// or mqtts:// URL.

    Raises:
        OSError: The file of authorities cannot be read.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "mqtts"
    tls = ssl.create_default_context(cafile=ca_file or None) if secure else None
    return Address(parts.hostname or "localhost", parts.port or (8883 if secure else 1883), tls)


class Receive(Protocol):
    """Takes all messages of one read of the socket; those with QoS 1 are his to acknowledge, in their order."""

    def __call__(self, broker: "Broker", messages: list[Publish], /) -> None:
        """Take them."""
        ...


class Broker(asyncio.Protocol):
    """Make one with `connect`.

    Args:
        sign_in: What the CONNECT says.
        receive: Gets the messages, from the CONNACK on.

    Attributes:
        closed: Ends with the reason when the connection has.
    """

    def __init__(self, sign_in: SignIn, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._sign_in = sign_in
        self._receive = receive
        self._framing = Framing(sign_in.max_packet_bytes)
        self._connack: asyncio.Future[Connack] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._last_id = 0
        self._sending = asyncio.Semaphore(MAX_SENDING)
        self._heard_s = self._loop.time()
        self._pong: asyncio.Future[None] | None = None
        self._pinging: asyncio.Task[None] | None = None
        self.closed: asyncio.Future[str] = self._loop.create_future()

    # --- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(client_packets.connect(self._sign_in))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard_s = self._loop.time()
        arrived: list[Publish] = []
        try:
            for first_byte, body in self._framing.feed(data):
                if first_byte >> 4 == packets.PUBLISH:
                    arrived.append(packets.read_publish(first_byte, body, V5))
                else:
                    self._other(first_byte >> 4, body)
        except ProtocolError as error:
            self.abort(f"the broker broke the protocol: {error}")
        if arrived and not self.closed.done():
            self._receive(self, arrived)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end(f"the connection broke: {exc}" if exc else "the broker closed the connection")

    # --- what the bridge does -----------------------------------------------------------------------------------

    async def lasts(self) -> None:
        """Wait for the end.

        Raises:
            BrokerAway: It has come.
        """
        raise BrokerAway(await asyncio.shield(self.closed))

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe to filters with their options.

        Raises:
            BrokerAway: One is refused, or the connection ended.
        """
        wanted = self._asked()
        self.write(client_packets.subscribe(wanted, filters))
        if await self._answer(wanted) >= Reason.UNSPECIFIED:
            names = ", ".join(text for text, _ in filters)
            message = f"the broker does not let {self._sign_in.username or 'the bridge'} subscribe to {names}"
            raise BrokerAway(message)

    async def unsubscribe(self, text: str) -> None:
        """Unsubscribe from one filter.

        Raises:
            BrokerAway: The connection ended.
        """
        wanted = self._asked()
        self.write(client_packets.unsubscribe(wanted, text))
        await self._answer(wanted)

    async def publish(self, message: Publish) -> int:
        """Publish with QoS 1; returns the reason of the broker's acknowledgement.

        Raises:
            BrokerAway: The connection ended before that: the broker may have the message or not.
        """
        async with self._sending:
            wanted = self._asked()
            self.write(packets.publish(message._replace(qos=1, packet_id=wanted), V5))
            return await self._answer(wanted)

    async def round_trip(self) -> None:
        """Wait until the broker has answered a ping: it has sent before what it had to send.

        Raises:
            BrokerAway: The connection ended.
        """
        if self.closed.done():
            raise BrokerAway(self.closed.result())
        if self._pong is None:
            self._pong = self._loop.create_future()
            self.write(client_packets.PINGREQ_PACKET)
        await asyncio.shield(self._pong)

    def write(self, packet: bytes) -> None:
        """Write a packet; what comes after the end of the connection is dropped."""
        if self._transport is None or self.closed.done():
            return
        self._transport.write(packet)
        if self._transport.get_write_buffer_size() > MAX_WRITE_BUFFER_BYTES:
            self.abort("the broker does not read")

    def pause(self) -> None:
        """Read nothing more for now."""
        if self._transport is not None and not self.closed.done():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self.closed.done():
            self._heard_s = self._loop.time()
            self._transport.resume_reading()

    def leave(self) -> None:
        """Say goodbye; the session stays, the will is not published."""
        self.write(packets.disconnect(Reason.SUCCESS))
        if self._transport is not None:
            self._transport.close()
        self._end("the bridge said goodbye")

    def abort(self, why: str) -> None:
        """End it at once, as a broken connection would."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    async def signed_in(self) -> Connack:
        """Wait for the answer to the CONNECT.

        Raises:
            BrokerAway: It is no, or there is none.
        """
        connack = await self._connack
        if connack.reason:
            self.abort("refused")
            name = _name_of(connack.reason)
            message = f"the broker refuses {self._sign_in.username or 'a client without a user name'}: {name}"
            raise BrokerAway(message)
        keep_alive_s = connack.properties.get(Property.SERVER_KEEP_ALIVE, self._sign_in.keep_alive_s)
        self._sending = asyncio.Semaphore(min(MAX_SENDING, connack.properties.get(Property.RECEIVE_MAXIMUM, 65_535)))
        if keep_alive_s:
            self._pinging = asyncio.create_task(self._keep_alive(keep_alive_s))
        return connack

    # --- inside -------------------------------------------------------------------------------------------------

    async def _keep_alive(self, keep_alive_s: float) -> None:
        """Ping; end the connection when nothing was heard for too long, unless it is we who do not read."""
        while not self.closed.done():
            self.write(client_packets.PINGREQ_PACKET)
            await asyncio.sleep(keep_alive_s / 2)
            silent = self._loop.time() - self._heard_s > keep_alive_s * 1.5
            if silent and self._transport is not None and self._transport.is_reading():
                self.abort("the broker is silent")

    def _other(self, kind: int, body: bytes) -> None:
        match kind:
            case packets.CONNACK if not self._connack.done():
                self._connack.set_result(client_packets.read_connack(body))
            case packets.PUBACK:
                self._answered(*packets.read_ack(body, V5))
            case packets.SUBACK | packets.UNSUBACK:
                packet_id, codes = client_packets.read_codes(body)
                self._answered(packet_id, max(codes))
            case packets.PINGRESP:
                if self._pong is not None and not self._pong.done():
                    self._pong.set_result(None)
                self._pong = None
            case packets.DISCONNECT:
                self._end(f"the broker said goodbye: {_name_of(packets.read_disconnect(body, V5).reason)}")
            case _:
                raise ProtocolError(Reason.PROTOCOL_ERROR, f"a server does not send packet {kind} here")

    def _asked(self) -> int:
        """A free packet id, for which an answer is now awaited."""
        if self.closed.done():
            raise BrokerAway(self.closed.result())
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self._answers:
                self._answers[self._last_id] = self._loop.create_future()
                return self._last_id

    async def _answer(self, packet_id: int) -> int:
        try:
            return await self._answers[packet_id]
        finally:
            self._answers.pop(packet_id, None)

    def _answered(self, packet_id: int, reason: int) -> None:
        waiting = self._answers.get(packet_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reason)

    def _end(self, why: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result(why)
        if self._pinging is not None:
            self._pinging.cancel()
        if self._transport is not None:
            self._transport.close()
        for waiting in (self._connack, self._pong, *self._answers.values()):
            if waiting is not None and not waiting.done():
                waiting.set_exception(BrokerAway(why))
                waiting.exception()  # nobody may be waiting any more, and then asyncio would complain


async def connect(address: Address, sign_in: SignIn, receive: Receive) -> tuple[Broker, Connack]:
    """Connect and sign in.

    Raises:
        BrokerAway: The broker cannot be reached, or refuses.
    """
    loop = asyncio.get_running_loop()
    where = f"{address.host}:{address.port}"
    broker = Broker(sign_in, receive)
    connack: Connack | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(lambda: broker, address.host, address.port, ssl=address.tls)
            connack = await broker.signed_in()
            return broker, connack
    except TimeoutError:
        message = f"the broker at {where} does not answer"
        raise BrokerAway(message) from None
    except OSError as error:  # certificates that do not fit are among them
        message = f"the broker at {where} cannot be reached: {error.strerror or error}"
        raise BrokerAway(message) from error
    finally:
        if connack is None:
            broker.abort("given up")


def _name_of(code: int) -> str:
    """A reason code in words."""
    try:
        return Reason(code).name.lower().replace("_", " ")
    except ValueError:
        return f"reason {code:#04x}"
