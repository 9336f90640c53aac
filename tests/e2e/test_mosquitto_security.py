"""What a device may try at a Mosquitto of our configuration, and what it gets; the gateway's part is next door.

The table is that of our measurements of brokers. Where a password file keeps the accounts, Mosquitto grants every
subscription and delivers nothing; theft through a shared subscription is possible then, and the bridge uses none.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect as websocket
from websockets.typing import Subprotocol

from chalicelib.keys import broker_hash
from chalicelib.ports import BrokerAccount
from infra.mosquitto.layout import DYNSEC, OVERHEAD_BYTES
from infra.mosquitto.server import Server
from mqtt_bridge.packets import V311
from mqtt_bridge.wire import Property
from tests.contract.mosquitto_broker import KINDS, bridge_port, device_port, running
from tests.e2e.mqtt_peer import Peer, connect_packet

VICTIM, ATTACKER = 1, 2
KEYS = {VICTIM: "the key of the victim", ATTACKER: "the key of the attacker"}
NOT_AUTHORIZED = 0x87
TELEMETRY = "iotflow/devices/+/telemetry"
KEPT = {"client_id": "iotflow-bridge", "clean": False, "properties": {Property.SESSION_EXPIRY: 600}}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    devices = [BrokerAccount(id_, True, f"key{id_}", broker_hash(key)) for id_, key in KEYS.items()]
    with running(tmp_path_factory.mktemp("mosquitto") / "broker", request.param, devices) as started:
        yield started


@pytest.fixture
def bridge(server: Server) -> Iterator[Peer]:
    with Peer(bridge_port(server)) as peer:
        assert peer.connect("bridge", server.accounts().bridge, client_id="a-bridge").reason == 0
        assert peer.subscribe("iotflow/#") == [1]
        yield peer


@pytest.fixture
def attacker(server: Server) -> Iterator[Peer]:
    with device(server, ATTACKER) as peer:
        yield peer


def device(server: Server, id_: int, **more: object) -> Peer:
    """A connected device."""
    peer = Peer(device_port(server))
    assert peer.connect(str(id_), KEYS[id_], **more).reason == 0
    return peer


@pytest.mark.parametrize(
    "topic", ["telemetry", "telemetry/sensors", "status", "status/online", "heartbeat", "commands/c1/ack"]
)
def test_device_publishes_what_is_its_own(server: Server, bridge: Peer, topic: str) -> None:
    with device(server, VICTIM) as peer:
        answer = peer.publish(f"iotflow/devices/{VICTIM}/{topic}", b"1")
        assert answer is not None
        assert answer.reason == 0
        assert bridge.message().topic == f"iotflow/devices/{VICTIM}/{topic}"


def test_device_hears_its_commands_and_configuration_and_not_its_own_answers(server: Server, bridge: Peer) -> None:
    own = f"iotflow/devices/{VICTIM}"
    with device(server, VICTIM) as peer:
        assert peer.subscribe(f"{own}/commands/#", f"{own}/config") == [1, 1]
        peer.publish(f"{own}/commands/c1/ack", b"{}")
        for topic in ("commands", "commands/reboot", "config"):
            bridge.publish(f"{own}/{topic}", b"x")
            assert peer.message().topic == f"{own}/{topic}"
        assert peer.is_silent(0.2)


@pytest.mark.parametrize(
    "topic",
    [
        f"iotflow/devices/{VICTIM}/telemetry",
        f"iotflow/devices/{VICTIM}/status/offline",
        f"iotflow/devices/{VICTIM}/commands/c1/ack",
        f"iotflow/devices/{ATTACKER}/commands",
        f"iotflow/devices/{ATTACKER}/commands/reboot",
        f"iotflow/devices/{ATTACKER}/config",
        f"iotflow/devices/{ATTACKER}/telemetry/a/b",
        "iotflow/discovery/register/x",
        "iotflow/system/bridge/iotflow-bridge",
        "$CONTROL/dynamic-security/v1",
        "$SYS/broker/version",
    ],
)
def test_publishing_elsewhere_reaches_nobody(server: Server, bridge: Peer, attacker: Peer, topic: str) -> None:
    answer = attacker.publish(topic, b'{"commands": [{"command": "listClients"}]}')
    assert answer is not None
    assert answer.reason == NOT_AUTHORIZED
    with Peer(device_port(server), level=V311) as old:
        old.connect(str(ATTACKER), KEYS[ATTACKER])
        old.publish(topic, b"x")
        assert bridge.is_silent(0.2)


@pytest.mark.parametrize(
    "text",
    [
        "#",
        "+/+/+/telemetry",
        "iotflow/#",
        "$SYS/#",
        "$CONTROL/#",
        "$CONTROL/dynamic-security/v1/response",
        TELEMETRY,
        f"iotflow/devices/{VICTIM}/#",
        f"iotflow/devices/{VICTIM}/telemetry",
        f"$share/bridge/{TELEMETRY}",
        "$share/x/#",
        f"iotflow/devices/{VICTIM}/commands/#",
        "iotflow/devices/+/commands/#",
        "iotflow/devices/+/config",
    ],
)
def test_listening_elsewhere_hears_nothing(server: Server, bridge: Peer, attacker: Peer, text: str) -> None:
    """Asking is refused, too, but for what others hear as commands: one role stands for all devices."""
    (code,) = attacker.subscribe(text)
    if server.choices["kind"] == DYNSEC and not text.endswith(("/commands/#", "/config")):
        assert code >= 0x80
    with device(server, VICTIM) as victim:
        victim.publish(f"iotflow/devices/{VICTIM}/telemetry", b"secret")
        for topic in ("commands/reboot", "config"):
            bridge.publish(f"iotflow/devices/{VICTIM}/{topic}", b"secret")
    assert attacker.is_silent(0.2)


def test_shared_subscription_of_a_device_takes_nothing_from_the_bridge(server: Server, attacker: Peer) -> None:
    """In the layout with dynamic security not even from bridges that share themselves."""
    group = f"$share/bridges/{TELEMETRY}" if server.choices["kind"] == DYNSEC else TELEMETRY
    password = server.accounts().bridge
    with Peer(bridge_port(server)) as bridge, device(server, VICTIM) as victim:
        bridge.connect("bridge", password, client_id="sharing")
        attacker.subscribe(f"$share/bridges/{TELEMETRY}")
        assert bridge.subscribe(group) == [1]
        for number in range(30):
            victim.publish(f"iotflow/devices/{VICTIM}/telemetry", b"%d" % number)
        assert [int(bridge.message().payload) for _ in range(30)] == list(range(30))


def test_client_id_of_the_bridge_takes_over_nothing(server: Server) -> None:
    """Neither its connection nor the queue that waits for it."""
    password = server.accounts().bridge
    with Peer(bridge_port(server)) as bridge:
        bridge.connect("bridge", password, **KEPT)
        bridge.subscribe(TELEMETRY)
        with device(server, ATTACKER, client_id="iotflow-bridge"):
            assert bridge.is_silent(0.3), "it is not disconnected"
    with device(server, VICTIM) as victim:
        for number in range(20):
            victim.publish(f"iotflow/devices/{VICTIM}/telemetry", b"%d" % number)
    for clean in (False, True):
        with device(server, ATTACKER, **{**KEPT, "clean": clean}) as thief:
            assert thief.is_silent(0.2)
    with Peer(bridge_port(server)) as bridge:
        assert bridge.connect("bridge", password, **KEPT).body[0] == 1, "the session is there"
        assert [int(bridge.message().payload) for _ in range(20)] == list(range(20))
        bridge.send(b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00")  # DISCONNECT that ends the session


def test_client_id_of_the_bridge_is_refused_where_the_bridge_connects(tmp_path: Path) -> None:
    """By dynamic security; a password file binds no client ids, so that listener is for the bridge alone."""
    thief = BrokerAccount(ATTACKER, True, "key", broker_hash(KEYS[ATTACKER]))
    with running(tmp_path / "broker", DYNSEC, [thief]) as server, Peer(bridge_port(server)) as peer:
        assert peer.connect(str(ATTACKER), KEYS[ATTACKER], client_id="iotflow-bridge").reason == NOT_AUTHORIZED


def test_will_in_the_name_of_another_is_not_published(server: Server, bridge: Peer) -> None:
    for victim, is_heard in ((VICTIM, False), (ATTACKER, True)):
        will = (f"iotflow/devices/{victim}/status", b'{"status": "offline"}')
        with Peer(device_port(server)) as peer:
            peer.connect(str(ATTACKER), KEYS[ATTACKER], will=will)
        if is_heard:
            assert bridge.message().topic == will[0]
        else:
            assert bridge.is_silent(0.3)


@pytest.mark.parametrize(("key", "reason"), [(KEYS[VICTIM], 0), (KEYS[ATTACKER], NOT_AUTHORIZED)])
def test_websocket_listener_asks_for_the_same_key(server: Server, key: str, reason: int) -> None:
    url = f"ws://127.0.0.1:{server.choices['websocket_port']}"
    with websocket(url, subprotocols=[Subprotocol("mqtt")], proxy=None) as connection:
        connection.send(connect_packet(str(VICTIM), key))
        answer = connection.recv(timeout=10)
    assert answer[3] == reason


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (str(VICTIM), KEYS[ATTACKER]),
        (str(VICTIM), ""),
        ("", ""),
        ("#", KEYS[ATTACKER]),
        ("+", KEYS[ATTACKER]),
        ("admin", "admin"),
        ("bridge", "bridge"),
        ("bridge", KEYS[ATTACKER]),
    ],
)
def test_wrong_names_and_passwords_are_refused(server: Server, user: str, password: str) -> None:
    with Peer(device_port(server)) as peer:
        assert peer.connect(user, password).reason != 0


def test_too_large_a_message_ends_the_connection_and_goes_nowhere(bridge: Peer, attacker: Peer) -> None:
    with suppress(ConnectionError):
        attacker.publish(f"iotflow/devices/{ATTACKER}/telemetry", bytes(1024**2 + 2 * OVERHEAD_BYTES), qos=0)
    farewell = attacker.receive()
    assert farewell is None or farewell.kind == 14
    assert bridge.is_silent(0.2)


def test_largest_batch_that_http_takes_passes(bridge: Peer, attacker: Peer) -> None:
    payload = bytes(1024**2)
    answer = attacker.publish(f"iotflow/devices/{ATTACKER}/telemetry", payload)
    assert answer is not None
    assert answer.reason == 0
    assert bridge.message().payload == payload
