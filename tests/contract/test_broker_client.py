"""The bridge's MQTT client against a server that says what the test wants."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mqtt_bridge import packets
from mqtt_bridge.broker import Address, Broker, BrokerAway, connect
from mqtt_bridge.client_packets import Connack, SignIn
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, Publish, Will
from mqtt_bridge.reasons import Reason
from mqtt_bridge.wire import Property

SIGN_IN = SignIn("bridge", "user", "secret", 30, 3600, 1000, 65_536, Will("will", b"gone", 1))
WELCOME = packets.connack(V5, Reason.SUCCESS, session_present=True)
Talk = Callable[["Server"], Awaitable[None]]


class Server:
    """What the server sees of its one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framing = Framing(1_000_000)
        self._arrived: list[tuple[int, bytes]] = []

    def send(self, raw: bytes) -> None:
        self._writer.write(raw)

    async def packet(self) -> tuple[int, bytes]:
        """Kind and body of the client's next packet."""
        while not self._arrived:
            received = await self._reader.read(65_536)
            assert received, "the client has gone"
            self._arrived += self._framing.feed(received)
        first_byte, body = self._arrived.pop(0)
        return first_byte >> 4, body

    async def packet_of(self, kind: int) -> bytes:
        """The body of the client's next packet of this kind; pings are not answered."""
        while True:
            found, body = await self.packet()
            if found == kind:
                return body


def played(talk: Talk, act: Callable[[Broker, Connack], Awaitable[None]]) -> list[list[Publish]]:
    """Let the server *talk* and the client *act*; returns what the client received, read by read."""
    received: list[list[Publish]] = []

    async def scene() -> None:
        talked = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(Server(reader, writer))
                await talked.wait()
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            broker, connack = await connect(
                Address("127.0.0.1", port, None), SIGN_IN, lambda _broker, messages: received.append(messages)
            )
            await act(broker, connack)
            broker.abort("the test is over")
        finally:
            talked.set()
            server.close()

    asyncio.run(asyncio.wait_for(scene(), 20))
    return received


async def nothing(_broker: Broker, _connack: Connack) -> None:
    """Only connect."""


def test_session_and_limits_of_the_server_are_told() -> None:
    async def talk(server: Server) -> None:
        found = packets.read_connect((await server.packet())[1])
        assert (found.client_id, found.clean_start) == ("bridge", False)
        server.send(WELCOME)

    async def act(_broker: Broker, connack: Connack) -> None:
        assert connack.session_present

    played(talk, act)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (packets.connack(V5, Reason.BAD_USER_OR_PASSWORD), "refuses user: bad user or password"),
        (packets.connack(V5, Reason.SERVER_UNAVAILABLE), "refuses user: server unavailable"),
        (b"\x20\x02\x00\x01", "refuses user"),
        (b"\x20\x01\x00", "broke the protocol"),
        (b"\x20\xff\xff\xff\xff\x01", "broke the protocol"),
    ],
)
def test_whoever_does_not_welcome_the_bridge_is_told_on_in_words(answer: bytes, words: str) -> None:
    async def talk(server: Server) -> None:
        await server.packet()
        server.send(answer)

    with pytest.raises(BrokerAway, match=words):
        played(talk, nothing)


def test_nobody_there_is_told_with_the_address() -> None:
    async def scene() -> None:
        await connect(Address("127.0.0.1", 1, None), SIGN_IN, lambda _broker, _messages: None)

    with pytest.raises(BrokerAway, match=r"127\.0\.0\.1:1 cannot be reached"):
        asyncio.run(scene())


def test_all_messages_of_one_read_come_together_also_with_the_connack() -> None:
    messages = [Publish("t", b"%d" % number, 1, number) for number in (1, 2, 3)]

    async def talk(server: Server) -> None:
        await server.packet()
        server.send(WELCOME + b"".join(packets.publish(message, V5) for message in messages))
        await server.packet_of(packets.PINGREQ)
        server.send(packets.PINGRESP_PACKET)

    async def act(broker: Broker, _connack: Connack) -> None:
        await broker.round_trip()

    assert played(talk, act) == [messages]


def test_reason_of_an_acknowledgement_is_the_answer_to_a_message() -> None:
    async def talk(server: Server) -> None:
        await server.packet()
        server.send(WELCOME)
        for reason in (b"", b"\x10"):
            found = packets.read_publish(0x32, await server.packet_of(packets.PUBLISH), V5)
            server.send(packets.packet(0x40, found.packet_id.to_bytes(2), reason))

    async def act(broker: Broker, _connack: Connack) -> None:
        assert [await broker.publish(Publish("t", b"x")) for _ in range(2)] == [0, 0x10]

    played(talk, act)


def test_no_more_messages_are_sent_at_once_than_the_server_takes() -> None:
    async def talk(server: Server) -> None:
        await server.packet()
        server.send(packets.connack(V5, Reason.SUCCESS, properties={Property.RECEIVE_MAXIMUM: 2}))
        ids = [packets.read_publish(0x32, await server.packet_of(packets.PUBLISH), V5).packet_id for _ in range(2)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.packet_of(packets.PUBLISH), 0.2)
        for packet_id in ids:
            server.send(packets.ack(packets.PUBACK, packet_id, V5))
        last = packets.read_publish(0x32, await server.packet_of(packets.PUBLISH), V5).packet_id
        server.send(packets.ack(packets.PUBACK, last, V5))

    async def act(broker: Broker, _connack: Connack) -> None:
        assert await asyncio.gather(*(broker.publish(Publish("t", b"x")) for _ in range(3))) == [0, 0, 0]

    played(talk, act)


def test_refused_subscription_is_no_connection() -> None:
    async def talk(server: Server) -> None:
        await server.packet()
        server.send(WELCOME)
        found = packets.read_subscribe(await server.packet_of(packets.SUBSCRIBE), V5)
        server.send(packets.suback(found.packet_id, [1, Reason.NOT_AUTHORIZED], V5))

    async def act(broker: Broker, _connack: Connack) -> None:
        with pytest.raises(BrokerAway, match="does not let user subscribe to a, b"):
            await broker.subscribe([("a", 1), ("b", 1)])

    played(talk, act)


@pytest.mark.parametrize(
    ("last_words", "why"),
    [
        (packets.disconnect(Reason.SESSION_TAKEN_OVER), "session taken over"),
        (b"\x30\x02\x00\xff", "broke the protocol"),
        (b"\x82\x02\x00\x01", "broke the protocol"),
    ],
)
def test_end_of_a_connection_ends_what_waits_for_an_answer_with_its_reason(last_words: bytes, why: str) -> None:
    async def talk(server: Server) -> None:
        await server.packet()
        server.send(WELCOME)
        await server.packet_of(packets.PUBLISH)
        server.send(last_words)

    async def act(broker: Broker, _connack: Connack) -> None:
        with pytest.raises(BrokerAway, match=why):
            await broker.publish(Publish("t", b"x"))
        with pytest.raises(BrokerAway, match=why):
            await broker.publish(Publish("t", b"x"))
        with pytest.raises(BrokerAway, match=why):
            await broker.lasts()

    played(talk, act)
