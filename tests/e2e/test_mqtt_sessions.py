"""What MQTT promises beyond one connection: expiry, windows, wills that wait, readers and consumers that are slow."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from mqtt_bridge import packets
from mqtt_bridge.packets import V5
from mqtt_bridge.reasons import Reason
from mqtt_bridge.wire import Property
from tests.e2e.instance import Instance, eventually
from tests.e2e.mqtt_peer import Peer, connect_packet
from tests.e2e.posting import NO_LIMITS, Owner, call, ledger, register

FIRST_MS = 1_767_225_600_000
LONG = {"client_id": "kept", "clean": False}
MOST_CONNECTIONS = 3
CONNECT_TIMEOUT_S = 2
LIMITS = {
    "IOTFLOW_MQTT_CONNECTIONS_PER_DEVICE": str(MOST_CONNECTIONS),
    "IOTFLOW_MQTT_CONNECTIONS_PER_ADDRESS": "12",
    "IOTFLOW_MQTT_CONNECT_TIMEOUT_SECONDS": str(CONNECT_TIMEOUT_S),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with Instance(tmp_path_factory.mktemp("mqtt") / "var", NO_LIMITS | LIMITS) as running:
        yield running


@pytest.fixture
def owner(served: Instance, request: pytest.FixtureRequest) -> Owner:
    return register(served.url, f"{request.node.name[:60]}-{time.monotonic_ns()}")


def telemetry(owner: Owner) -> str:
    return f"iotflow/devices/{owner.id}/telemetry"


def rows(served: Instance, owner: Owner) -> list[dict[str, Any]]:
    path = f"/api/v1/telemetry/{owner.id}?start_time=2020-01-01&limit=10000"
    found: list[dict[str, Any]] = call(served.url, path, headers={"X-API-Key": owner.key})[1]["data"]
    return found


def order(served: Instance, owner: Owner, **more: object) -> str:
    status, body = call(
        served.url,
        f"/api/v1/mqtt/device/{owner.id}/command",
        body={"command": {"delay_s": 1}, "command_type": "reboot", **more},
        headers={"Authorization": f"Bearer {served.token}"},
    )
    assert status in (200, 201), body
    return str(body["command_id"])


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def checks(served: Instance) -> dict[str, Any]:
    found: dict[str, Any] = call(served.url, "/status")[1]["checks"]
    return found


def test_session_outlives_its_connection_for_its_time_and_no_longer(served: Instance, owner: Owner) -> None:
    session = LONG | {"properties": {Property.SESSION_EXPIRY: 2}}
    present = []
    for pause_s in (0.0, 3.5, 0.0):
        with Peer(served.mqtt_ports["mqtt"]) as peer:
            present.append(peer.connect(str(owner.id), owner.key, **session).body[0])
        time.sleep(pause_s)  # what is tested is that time passes
    assert present == [0, 1, 0]


def test_goodbye_may_shorten_the_session(served: Instance, owner: Owner) -> None:
    session = LONG | {"properties": {Property.SESSION_EXPIRY: 3600}}
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key, **session)
        peer.send(b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00")
        assert peer.receive() is None
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(owner.id), owner.key, **session).body[0] == 0


def test_clients_receive_maximum_is_kept_to(served: Instance, owner: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key, properties={Property.RECEIVE_MAXIMUM: 1})
        peer.subscribe(f"iotflow/devices/{owner.id}/commands")
        ids = [order(served, owner) for _ in range(3)]
        for command_id in ids:
            packet = peer.receive()
            assert packet is not None
            found = packets.read_publish(packet.first_byte, packet.body, V5)
            assert json.loads(found.payload)["command_id"] == command_id
            assert peer.is_silent(), "the next one waits until this one is confirmed"
            peer.send(packets.ack(packets.PUBACK, found.packet_id, V5))


def test_command_carries_how_long_it_is_worth_something_and_is_not_sent_after_that(
    served: Instance, owner: Owner
) -> None:
    topic = f"iotflow/devices/{owner.id}/commands"
    order(served, owner, ttl="1s")
    lasting = order(served, owner, ttl="60s")
    time.sleep(1.2)  # the first one's time is over
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        peer.subscribe(topic)
        message = peer.message()
        assert json.loads(message.payload)["command_id"] == lasting
        assert 50 <= message.properties[Property.MESSAGE_EXPIRY] <= 59
        assert peer.is_silent()


def will_of(owner: Owner, number: int, delay_s: int, expiry_s: int) -> bytes:
    """A CONNECT with a will of one reading that waits."""
    raw = connect_packet(
        str(owner.id),
        owner.key,
        client_id="leaving",
        clean=False,
        properties={Property.SESSION_EXPIRY: expiry_s},
        will=(telemetry(owner), b'{"will": %d, "ts": %d}' % (number, FIRST_MS + number)),
    )
    plain = b"\x00\x00" + len(telemetry(owner)).to_bytes() + telemetry(owner).encode()
    delayed = b"\x05\x18" + delay_s.to_bytes(4) + plain[1:]
    assert raw.count(plain) == 1
    body = raw[2 if raw[1] < 0x80 else 3 :].replace(plain, delayed)
    return packets.packet(0x10, body)


def leave(served: Instance, connect: bytes) -> None:
    """Connect, and vanish."""
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.send(connect)
        assert peer.receive() is not None


def wills(served: Instance, owner: Owner) -> list[int]:
    return sorted(row["will"] for row in rows(served, owner))


def test_will_waits_for_its_delay_and_is_forgotten_when_its_client_comes_back(served: Instance, owner: Owner) -> None:
    leave(served, will_of(owner, 1, delay_s=2, expiry_s=60))
    left_s = time.monotonic()
    assert wills(served, owner) == []
    leave(served, will_of(owner, 2, delay_s=2, expiry_s=60))
    assert eventually(lambda: wills(served, owner) == [2], 10)
    assert time.monotonic() - left_s >= 2


def test_will_comes_with_the_end_of_its_session_if_that_is_sooner(served: Instance, owner: Owner) -> None:
    leave(served, will_of(owner, 1, delay_s=3600, expiry_s=1))
    assert eventually(lambda: wills(served, owner) == [1], 10)


def test_reader_that_does_not_read_holds_nobody_up(served: Instance, owner: Owner) -> None:
    """He misses what he was too slow for; the devices do not notice, and the gateway keeps little of it."""
    padding = "x" * 4000
    with Peer(served.mqtt_ports["mqtt"]) as reader, Peer(served.mqtt_ports["mqtt"]) as peer:
        reader.connect("dashboard", served.token)
        reader.subscribe("iotflow/devices/+/telemetry")
        peer.connect(str(owner.id), owner.key)
        for first in range(0, 3000, 500):
            numbers = range(first, first + 500)
            texts = [b'{"n": %d, "text": "%b", "ts": %d}' % (n, padding.encode(), FIRST_MS + n) for n in numbers]
            peer.send(
                b"".join(
                    packets.publish(packets.Publish(telemetry(owner), text, 1, at + 1), V5)
                    for at, text in enumerate(texts)
                )
            )
            for _ in numbers:
                answer = peer.receive()
                assert answer is not None
                assert answer.reason == 0
        told = 0
        while not reader.is_silent(1):
            assert reader.message().topic == telemetry(owner)
            told += 1
        assert 0 < told < 3000
        peer.publish(telemetry(owner), b'{"n": -1}')
        assert json.loads(reader.message().payload) == {"n": -1}, "from here on he hears again"


def test_everything_is_accepted_while_the_consumer_stands_still_and_stored_when_it_goes_on(
    served: Instance, owner: Owner
) -> None:
    pid = served.pid("consumer")
    assert pid is not None
    before = ledger(served.url)
    with stopped(pid), Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        for number in range(500):
            answer = peer.publish(telemetry(owner), b'{"n": %d, "ts": %d}' % (number, FIRST_MS + number))
            assert answer is not None
            assert answer.reason == 0
        book = ledger(served.url)
        assert book["accepted"] == before["accepted"] + 500
        assert book["queued"] + book["in_flight"] >= 400
    assert eventually(lambda: len(rows(served, owner)) == 500, 30)
    book = ledger(served.url)
    assert (book["stored"], book["dead_lettered"]) == (book["accepted"], before["dead_lettered"])


def test_call_of_thingsboards_is_a_command_and_its_answer_the_result(served: Instance, owner: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(owner.key, "")
        assert peer.subscribe("v1/devices/me/rpc/request/+") == [1]
        command_id = order(served, owner)
        message = peer.message()
        assert message.topic == f"v1/devices/me/rpc/request/{command_id}"
        assert json.loads(message.payload) == {"method": "reboot", "params": {"delay_s": 1}}
        answer = peer.publish(f"v1/devices/me/rpc/response/{command_id}", b'{"done": true}')
        assert answer is not None
        assert answer.reason == 0
    found = call(
        served.url,
        f"/api/v1/admin/devices/{owner.id}/commands",
        headers={"Authorization": f"Bearer {served.token}"},
    )[1]["commands"]
    assert [(each["status"], each["result"]) for each in found] == [("succeeded", {"done": True})]


def test_status_asks_the_listener_and_says_when_it_stands_still(served: Instance) -> None:
    assert checks(served)["mqtt"]["healthy"] is True
    pid = served.pid("mqtt")
    assert pid is not None
    with stopped(pid):
        found = checks(served)["mqtt"]
        assert (found["healthy"], found["status"]) == (False, "unhealthy")
        assert "Nothing moves" in found["error"]
        assert found["response_time_ms"] > 0
    assert eventually(lambda: checks(served)["mqtt"]["healthy"], 10)


def test_device_has_so_many_connections_and_no_more(served: Instance, owner: Owner) -> None:
    with ExitStack() as open_peers:
        peers = [open_peers.enter_context(Peer(served.mqtt_ports["mqtt"])) for _ in range(MOST_CONNECTIONS + 1)]
        reasons = [peer.connect(str(owner.id), owner.key, client_id=f"c{at}").reason for at, peer in enumerate(peers)]
        assert reasons == [0] * MOST_CONNECTIONS + [Reason.CONNECTION_RATE_EXCEEDED]

    def is_let_in() -> bool:
        with Peer(served.mqtt_ports["mqtt"]) as peer:
            return peer.connect(str(owner.id), owner.key).reason == 0

    assert eventually(is_let_in, 5)


def test_address_has_so_many_connections_and_who_says_nothing_loses_his_place(served: Instance, owner: Owner) -> None:
    started_s = time.monotonic()
    with ExitStack() as open_peers:
        silent = [open_peers.enter_context(Peer(served.mqtt_ports["mqtt"])) for _ in range(12)]
        with Peer(served.mqtt_ports["mqtt"]) as late:
            assert late.receive(CONNECT_TIMEOUT_S) is None, "there is no place for it"
        for peer in silent:
            assert peer.receive() is None
    assert CONNECT_TIMEOUT_S - 0.5 < time.monotonic() - started_s < CONNECT_TIMEOUT_S + 8
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(owner.id), owner.key).reason == 0
        answer = peer.publish(telemetry(owner), b'{"n": 1}')
        assert answer is not None
        assert answer.reason == 0
