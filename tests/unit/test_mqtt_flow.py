"""What a connection is told when commits end late, badly, or out of order, and when it is over its rate."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import wraps
from typing import Any

from chalicelib import tickets
from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.codec import batches_from_json
from chalicelib.devices import Registered
from chalicelib.errors import Unavailable
from mqtt_bridge import packets
from mqtt_bridge.connection import Connection
from mqtt_bridge.framing import Framing
from mqtt_bridge.gateway import Gateway
from mqtt_bridge.packets import V5, V311, Publish
from mqtt_bridge.reasons import Reason
from mqtt_bridge.wire import Property
from tests.builders import a_device, memory_services
from tests.e2e.mqtt_peer import Packet, connect_packet

GENEROUS: dict[str, object] = {"device_burst": 1_000_000, "device_rate_per_minute": 10_000_000}


class Held:
    """A queue whose commits end when the test says so."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.commits: list[Future[None]] = []

    def send(self, body: str, *, readings: int, now_ms: int) -> str:  # noqa: ARG002 - the port's
        self.bodies.append(body)
        self.commits.append(Future())
        tickets.leave(self.commits[-1])
        return "id"

    @property
    def numbers(self) -> list[object]:
        """The values that were sent."""
        batches = [batch for body in self.bodies for batch in batches_from_json(body)]
        return [reading.values["n"] for batch in batches for reading in batch.readings]


class Wire(asyncio.Transport):
    """Keeps what is written.

    Attributes:
        paused: Whether nobody reads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.closed = False
        self._framing = Framing(1_000_000)
        self._written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._written += bytes(data)

    def told(self) -> list[Packet]:
        """What was written since the last time."""
        written, self._written = self._written, b""
        return [Packet(first >> 4, first, body) for first, body in self._framing.feed(written)]

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True


class Bench:
    """A gateway on a queue that is held, and one registered device."""

    def __init__(self, settings: dict[str, object]) -> None:
        services = memory_services(**settings)
        self.queue = Held()
        services.queue = self.queue  # type: ignore[assignment]
        self.device: Registered = a_device(services)
        self.gateway = Gateway(services, MemoryLimiter(), asyncio.get_running_loop())

    def connect(self, level: int = V5, **more: object) -> tuple[Connection, Wire]:
        connection, wire = self.gateway.protocol(), Wire()
        connection.connection_made(wire)
        raw = connect_packet(str(self.device.device.id), self.device.key, level=level, **more)  # type: ignore[arg-type]
        connection.data_received(raw)
        assert [packet.kind for packet in wire.told()] == [packets.CONNACK]
        return connection, wire

    def publish(self, *numbers: int, qos: int = 1, level: int = V5) -> bytes:
        name = f"iotflow/devices/{self.device.device.id}/telemetry"
        return b"".join(packets.publish(Publish(name, b'{"n": %d}' % number, qos, number), level) for number in numbers)


def on_a_bench(**settings: object) -> Callable[[Callable[[Bench], Awaitable[None]]], Callable[[], None]]:
    """Run a test in an event loop, with a bench."""

    def decorate(test: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
        async def run() -> None:
            bench = Bench(GENEROUS | settings)
            try:
                await test(bench)
            finally:
                bench.gateway.close()

        @wraps(test)
        def wrapped() -> None:
            asyncio.run(run())

        del wrapped.__wrapped__  # pytest would ask for a fixture
        return wrapped

    return decorate


async def turns() -> None:
    """Let the loop do what it has to."""
    for _ in range(5):
        await asyncio.sleep(0)


@on_a_bench()
async def test_acknowledgements_keep_their_order_whichever_commit_ends_first(bench: Bench) -> None:
    connection, wire = bench.connect()
    for numbers in ((1, 2), (3,)):
        connection.data_received(bench.publish(*numbers))
        await turns()
    bench.queue.commits[1].set_result(None)
    await turns()
    assert wire.told() == []
    bench.queue.commits[0].set_result(None)
    await turns()
    assert [packets.read_ack(packet.body, V5).packet_id for packet in wire.told()] == [1, 2, 3]
    assert bench.queue.numbers == [1, 2, 3]


@on_a_bench()
async def test_failed_commit_is_never_acknowledged_and_what_came_before_is(bench: Bench) -> None:
    connection, wire = bench.connect()
    for numbers in ((1,), (2, 3), (4,)):
        connection.data_received(bench.publish(*numbers))
        await turns()
    bench.queue.commits[1].set_exception(Unavailable("disk full"))
    bench.queue.commits[2].set_result(None)
    await turns()
    assert wire.told() == []
    bench.queue.commits[0].set_result(None)
    await turns()
    first, farewell = wire.told()
    assert (first.kind, packets.read_ack(first.body, V5).packet_id) == (packets.PUBACK, 1)
    assert (farewell.kind, farewell.reason) == (packets.DISCONNECT, Reason.QUOTA_EXCEEDED)
    assert wire.closed


@on_a_bench()
async def test_one_failed_commit_fails_every_connection_that_shared_it_and_no_other(bench: Bench) -> None:
    one, two, other = (bench.connect(V311, client_id=name) for name in ("one", "two", "other"))
    one[0].data_received(bench.publish(1, level=V311))
    two[0].data_received(bench.publish(2, level=V311))
    await turns()
    other[0].data_received(bench.publish(3, level=V311))
    await turns()
    assert len(bench.queue.commits) == 2, "what comes in one turn shares a commit"
    bench.queue.commits[0].set_exception(Unavailable("disk full"))
    bench.queue.commits[1].set_result(None)
    await turns()
    assert [wire.closed for _, wire in (one, two, other)] == [True, True, False]
    assert [len(wire.told()) for _, wire in (one, two, other)] == [0, 0, 1]


@on_a_bench()
async def test_message_of_quality_two_that_was_not_durable_is_a_new_one_when_it_is_repeated(bench: Bench) -> None:
    session: dict[str, Any] = {"client_id": "kept", "clean": False, "properties": {Property.SESSION_EXPIRY: 60}}
    connection, _ = bench.connect(**session)
    connection.data_received(bench.publish(1, qos=2))
    await turns()
    bench.queue.commits[0].set_exception(Unavailable("disk full"))
    await turns()
    connection.connection_lost(None)
    connection, wire = bench.connect(**session)
    for _ in range(2):
        connection.data_received(bench.publish(1, qos=2))
        await turns()
    assert bench.queue.numbers == [1, 1], "sent again after the failure, and only once"
    bench.queue.commits[1].set_result(None)
    await turns()
    assert [packet.kind for packet in wire.told()] == [packets.PUBREC] * 2


@on_a_bench(device_burst=10, device_rate_per_minute=600)
async def test_over_its_rate_a_client_is_not_read_from_and_loses_nothing(bench: Bench) -> None:
    connection, wire = bench.connect()
    started_s = asyncio.get_running_loop().time()
    connection.data_received(bench.publish(*range(1, 16)))
    await turns()
    assert len(bench.queue.numbers) in (10, 11), "those that the bucket held, and the one that found it empty"
    assert wire.paused
    while len(bench.queue.numbers) < 15:
        assert asyncio.get_running_loop().time() < started_s + 20
        for commit in bench.queue.commits:
            if not commit.done():
                commit.set_result(None)
        await asyncio.sleep(0.01)
    assert bench.queue.numbers == list(range(1, 16))
    assert asyncio.get_running_loop().time() - started_s > 0.3


@on_a_bench(device_burst=100, device_rate_per_minute=60)
async def test_packets_that_are_counted_together_weigh_what_they_would_alone(bench: Bench) -> None:
    """Whether the read ends well or with a broken packet."""
    connection, _ = bench.connect()
    connection.data_received(bench.publish(*range(1, 31)))
    owner = connection.client
    assert owner is not None
    left = bench.gateway.admission.charge(owner, 0, now_ms=bench.gateway.now_ms()).remaining
    assert 68 <= left <= 71  # a token may have come back meanwhile
    connection.data_received(bench.publish(*range(31, 51)) + b"\x00\x00")
    left = bench.gateway.admission.charge(owner, 0, now_ms=bench.gateway.now_ms()).remaining
    assert 48 <= left <= 52
