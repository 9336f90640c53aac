"""What a hostile or broken client may try, and what it gets; every attack is from a registered device's own connection.

The table is that of our measurements of brokers: publishing and listening elsewhere, theft by shared subscription,
taking over another's client id, wills in another's name, floods, and bytes that are no MQTT.
"""

import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mqtt_bridge import packets, wire
from mqtt_bridge.packets import V5, V311, Publish
from mqtt_bridge.reasons import Reason
from mqtt_bridge.wire import Property
from tests.e2e.instance import Instance, eventually
from tests.e2e.mqtt_peer import Peer, connect_packet
from tests.e2e.posting import NO_LIMITS, Owner, ledger, register

SEED = 20_261_123
MUTATED_SESSIONS = 5000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    settings = NO_LIMITS | {"IOTFLOW_FAILED_AUTH_PER_MINUTE": "1000000"}
    with Instance(tmp_path_factory.mktemp("mqtt") / "var", settings) as running:
        yield running


@pytest.fixture
def victim(served: Instance) -> Owner:
    return register(served.url, f"victim-{time.monotonic_ns()}")


@pytest.fixture
def attacker(served: Instance) -> Owner:
    return register(served.url, f"attacker-{time.monotonic_ns()}")


@pytest.mark.parametrize(
    "topic",
    [
        "iotflow/devices/{victim}/telemetry",
        "iotflow/devices/{victim}/status/offline",
        "iotflow/devices/{victim}/commands/c1/ack",
        "iotflow/devices/{own}/commands",
        "iotflow/devices/{own}/commands/reboot",
        "iotflow/devices/{own}/config",
        "iotflow/discovery/register/x",
        "iotflow/system/bridge/iotflow-bridge",
        "$CONTROL/dynamic-security/v1",
        "$SYS/broker/version",
        "iotflow/devices/+/telemetry",
        "",
    ],
)
def test_publishing_elsewhere_is_refused(served: Instance, victim: Owner, attacker: Owner, topic: str) -> None:
    name = topic.format(victim=victim.id, own=attacker.id)
    accepted = ledger(served.url)["accepted"]
    with Peer(served.mqtt_ports["mqtt"]) as peer, Peer(served.mqtt_ports["mqtt"], level=V311) as old:
        peer.connect(str(attacker.id), attacker.key)
        answer = peer.publish(name, b'{"n": 1}')
        assert answer is not None
        assert answer.reason == Reason.NOT_AUTHORIZED
        old.connect(str(attacker.id), attacker.key, client_id="old")
        assert old.publish(name, b'{"n": 1}') is None, "3.1.1 has no other word for no than the end"
    assert ledger(served.url)["accepted"] == accepted


@pytest.mark.parametrize(
    "text",
    [
        "#",
        "+/+/+/telemetry",
        "$SYS/#",
        "$CONTROL/#",
        "iotflow/devices/+/telemetry",
        "iotflow/devices/{victim}/#",
        "iotflow/devices/{victim}/commands",
        "iotflow/devices/{victim}/commands/#",
        "iotflow/devices/+/commands/#",
        "iotflow/devices/+/config",
        "$share/bridge/iotflow/devices/+/telemetry",
        "$share/x/#",
    ],
)
def test_listening_elsewhere_is_refused_and_nothing_is_heard(
    served: Instance, victim: Owner, attacker: Owner, text: str
) -> None:
    for level in (V311, V5):
        with Peer(served.mqtt_ports["mqtt"], level=level) as peer, Peer(served.mqtt_ports["mqtt"]) as other:
            peer.connect(str(attacker.id), attacker.key)
            (code,) = peer.subscribe(text.format(victim=victim.id))
            assert code >= 0x80
            other.connect(str(victim.id), victim.key)
            other.publish(f"iotflow/devices/{victim.id}/telemetry", b'{"n": 1}')
            assert peer.is_silent(0.1)


def test_client_id_of_another_takes_nothing_over(served: Instance, victim: Owner, attacker: Owner) -> None:
    """Neither the connection, nor the session with what waits in it."""
    kept = {"client_id": "iotflow_server", "clean": False, "properties": {Property.SESSION_EXPIRY: 60}}
    with Peer(served.mqtt_ports["mqtt"]) as first, Peer(served.mqtt_ports["mqtt"]) as second:
        first.connect(str(victim.id), victim.key, **kept)
        assert second.connect(str(attacker.id), attacker.key, **kept).body[0] == 0, "no session of his"
        answer = first.publish(f"iotflow/devices/{victim.id}/telemetry", b'{"n": 1}')
        assert answer is not None
        assert answer.reason == 0


def test_will_in_the_name_of_another_is_refused(served: Instance, victim: Owner, attacker: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        will = (f"iotflow/devices/{victim.id}/status", b'{"status": "offline"}')
        assert peer.connect(str(attacker.id), attacker.key, will=will).reason == Reason.NOT_AUTHORIZED


@pytest.mark.parametrize("user", ["#", "+", "admin", "bridge", "{victim}", "{victim}/", "0{victim}", "-1"])
def test_names_of_others_are_refused_with_ones_own_key(
    served: Instance, victim: Owner, attacker: Owner, user: str
) -> None:
    for password in (attacker.key, "", "admin"):
        with Peer(served.mqtt_ports["mqtt"]) as peer:
            assert peer.connect(user.format(victim=victim.id), password).reason != 0


def test_payload_of_another_is_refused(served: Instance, victim: Owner, attacker: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(attacker.id), attacker.key)
        answer = peer.publish(
            f"iotflow/devices/{attacker.id}/telemetry", b'{"device_id": %d, "data": {"n": 1}}' % victim.id
        )
        assert answer is not None
        assert answer.reason == Reason.NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x30\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        (b"\x32\x05\x00\x01a\x00\x00", Reason.MALFORMED),
        (b"\x36\x05\x00\x01a\x00\x01", Reason.MALFORMED),
        (b"\x80\x05\x00\x01\x00\x00\x00", Reason.MALFORMED),
        (b"\x82\x09\x00\x01\x02\x0b\x01\x00\x01a\x01", Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED),
        (b"\x10\x00", Reason.PROTOCOL_ERROR),
        (b"\xf0\x00", Reason.PROTOCOL_ERROR),
        (b"\x20\x02\x00\x00", Reason.PROTOCOL_ERROR),
        (packets.packet(0x30, wire.text(""), wire.properties({Property.TOPIC_ALIAS: 1})), Reason.TOPIC_ALIAS_INVALID),
    ],
    ids=["too large", "packet id 0", "qos 3", "flags", "subscription id", "second connect", "auth", "connack", "alias"],
)
def test_broken_packets_end_the_connection_with_their_reason(
    served: Instance, attacker: Owner, raw: bytes, reason: Reason
) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(attacker.id), attacker.key)
        peer.send(raw)
        farewell = peer.receive()
        assert farewell is not None
        assert (farewell.kind, farewell.reason) == (packets.DISCONNECT, reason)
        assert peer.receive() is None


def test_receive_maximum_is_enforced(served: Instance, attacker: Owner) -> None:
    """Messages of QoS 2 that are never released."""
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        connack = peer.connect(str(attacker.id), attacker.key)
        announced = wire.Reader(connack.body, 2).properties()[Property.RECEIVE_MAXIMUM]
        topic = f"iotflow/devices/{attacker.id}/telemetry"
        for number in range(announced + 2):
            peer.send(packets.publish(Publish(topic, b'{"n": 1}', 2, number + 1), V5))
        reasons = []
        while (packet := peer.receive()) is not None:
            reasons.append((packet.kind, packet.reason))
        assert reasons[-1] == (packets.DISCONNECT, Reason.RECEIVE_MAXIMUM_EXCEEDED)


def test_silence_ends_a_connection(served: Instance, attacker: Owner) -> None:
    """After one and a half times the keep-alive; a PINGREQ in time keeps it."""
    with Peer(served.mqtt_ports["mqtt"]) as silent, Peer(served.mqtt_ports["mqtt"]) as lively:
        silent.connect(str(attacker.id), attacker.key, keep_alive_s=1)
        lively.connect(str(attacker.id), attacker.key, client_id="lively", keep_alive_s=1)
        for _ in range(3):
            assert lively.is_silent(0.8)
            lively.send(b"\xc0\x00")
            pong = lively.receive()
            assert pong is not None
            assert pong.kind == packets.PINGRESP
        farewell = silent.receive()
        assert farewell is not None
        assert farewell.reason == Reason.KEEP_ALIVE_TIMEOUT


def test_connection_without_a_connect_is_closed(served: Instance) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        started_s = time.monotonic()
        assert peer.receive(15) is None
        assert 5 < time.monotonic() - started_s < 14


def test_guessing_keys_is_limited(tmp_path: Path) -> None:
    with Instance(tmp_path / "var", {"IOTFLOW_FAILED_AUTH_PER_MINUTE": "5"}) as served:
        reasons = []
        for _ in range(8):
            with Peer(served.mqtt_ports["mqtt"]) as peer:
                reasons.append(peer.connect("1", "guess").reason)
        assert reasons[:5] == [Reason.BAD_USER_OR_PASSWORD] * 5
        assert reasons[-1] == Reason.CONNECTION_RATE_EXCEEDED


def mutated(chance: random.Random, owner: Owner) -> bytes:
    """A session with some of its bytes changed, left out, repeated or made up."""
    topic = f"iotflow/devices/{owner.id}/telemetry"
    level = chance.choice([V311, V5])
    session = [
        connect_packet(str(owner.id), owner.key, level=level, client_id=f"m{chance.random()}"),
        packets.publish(Publish(topic, b'{"n": 1}', chance.choice([0, 1, 2]) or 0, 1), level),
        packets.packet(0x82, b"\x00\x02", b"\x00" if level == V5 else b"", wire.text(f"{topic}/#"), b"\x01"),
        packets.ack(packets.PUBREL, 1, level),
        packets.packet(0xA2, b"\x00\x03", b"\x00" if level == V5 else b"", wire.text("a")),
        b"\xc0\x00",
    ]
    chance.shuffle(session) if chance.random() < 0.1 else None
    raw = bytearray(b"".join(session))
    first = 0 if chance.random() < 0.3 else len(session[0])
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(min(first, len(raw) - 1), len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randint(1, 5)]
            case 2:
                raw[at:at] = chance.randbytes(chance.randint(1, 9))
            case _:
                raw[at:at] = raw[at : at + chance.randint(1, 30)]
        if not raw:
            break
    return bytes(raw)


def memory_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.slow
def test_mutated_sessions_leave_no_trace(served: Instance, attacker: Owner) -> None:
    """No traceback, no leak, and the next one is served as if nothing had been."""
    chance = random.Random(SEED)
    pid = served.pid("mqtt")
    assert pid is not None
    before_mb = 0.0
    for number in range(MUTATED_SESSIONS):
        if number == MUTATED_SESSIONS // 5:
            before_mb = memory_mb(pid)
        with socket.create_connection(("127.0.0.1", served.mqtt_ports["mqtt"]), timeout=5) as client:
            client.settimeout(0.002)
            try:
                client.sendall(mutated(chance, attacker))
                client.recv(4096)
            except (TimeoutError, ConnectionError):
                pass
    log = (served.data / "logs" / "mqtt.log").read_text(encoding="utf-8")
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:2000]
    assert served.pid("mqtt") == pid
    assert memory_mb(pid) - before_mb < 20
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(attacker.id), attacker.key).reason == 0
        answer = peer.publish(f"iotflow/devices/{attacker.id}/telemetry", b'{"n": 1}')
        assert answer is not None
        assert answer.reason == 0
    assert eventually(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) < 100, 10), "descriptors leak"
