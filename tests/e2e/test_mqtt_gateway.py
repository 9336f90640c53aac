"""Devices over MQTT, from the socket to the store and back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mqtt_bridge import packets
from mqtt_bridge.packets import V5, V311
from mqtt_bridge.reasons import Reason
from mqtt_bridge.wire import Property
from tests.e2e.instance import Instance, eventually
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import NO_LIMITS, Owner, call, ledger, register


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One instance for the tests that disturb nobody."""
    with Instance(tmp_path_factory.mktemp("mqtt") / "var", NO_LIMITS) as running:
        yield running


@pytest.fixture
def owner(served: Instance, request: pytest.FixtureRequest) -> Owner:
    """A device of the test's own."""
    return register(served.url, f"{request.node.name[:60]}-{time.monotonic_ns()}")


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5.0"])
def level(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def telemetry(owner: Owner) -> str:
    return f"iotflow/devices/{owner.id}/telemetry"


def rows(served: Instance, owner: Owner) -> list[dict[str, Any]]:
    """Everything that is stored of the device."""
    found: list[dict[str, Any]] = call(
        served.url, f"/api/v1/telemetry/{owner.id}?start_time=2020-01-01&limit=10000", headers={"X-API-Key": owner.key}
    )[1]["data"]
    return found


def is_online(served: Instance, owner: Owner) -> bool:
    found = call(served.url, "/api/v1/devices/status", headers={"X-API-Key": owner.key})[1]
    return bool(found["device"]["is_online"])


def token(served: Instance) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.token}"}


def order(served: Instance, owner: Owner, **more: object) -> str:
    """Send the device a command; returns its id."""
    status, body = call(
        served.url,
        f"/api/v1/mqtt/device/{owner.id}/command",
        body={"command": {"delay_s": 1}, "command_type": "reboot", **more},
        headers=token(served),
    )
    assert status in (200, 201), body
    return str(body["command_id"])


def command_status(served: Instance, owner: Owner, command_id: str) -> str:
    found = call(served.url, f"/api/v1/admin/devices/{owner.id}/commands", headers=token(served))[1]
    return next(str(each["status"]) for each in found["commands"] if each["id"] == command_id)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_reading_of_every_quality_is_stored(served: Instance, owner: Owner, level: int, qos: int) -> None:
    with Peer(served.mqtt_ports["mqtt"], level=level) as peer:
        assert peer.connect(str(owner.id), owner.key).reason == 0
        answer = peer.publish(telemetry(owner), b'{"data": {"temperature": 23.5}, "api_key": "not stored"}', qos)
        if qos == 1:
            assert answer is not None
            assert answer.kind == packets.PUBACK
        if qos == 2:
            assert answer is not None
            assert answer.kind == packets.PUBREC
            peer.send(packets.ack(packets.PUBREL, 1, level))
            completed = peer.receive()
            assert completed is not None
            assert completed.kind == packets.PUBCOMP
        assert eventually(lambda: bool(rows(served, owner)))
    (row,) = rows(served, owner)
    assert row["temperature"] == 23.5
    assert "api_key" not in row


def test_repeated_message_of_quality_two_is_one_reading(served: Instance, owner: Owner) -> None:
    """Also over a broken connection, as long as the session lives."""
    session = {"client_id": "careful", "clean": False, "properties": {Property.SESSION_EXPIRY: 60}}
    accepted = ledger(served.url)["accepted"]
    for attempt in range(3):
        with Peer(served.mqtt_ports["mqtt"]) as peer:
            peer.connect(str(owner.id), owner.key, **session)
            answer = peer.publish(telemetry(owner), b'{"n": 1}', 2, packet_id=7, dup=attempt > 0)
            assert answer is not None
            assert answer.kind == packets.PUBREC
            if attempt == 2:
                peer.send(packets.ack(packets.PUBREL, 7, V5))
                completed = peer.receive()
                assert completed is not None
                assert (completed.kind, completed.reason) == (packets.PUBCOMP, 0)
    assert ledger(served.url)["accepted"] == accepted + 1


@pytest.mark.parametrize(
    ("username", "password"),
    [("id", "key"), ("name", "key"), ("", "key"), ("key", ""), ("key", "key")],
)
def test_key_is_taken_where_clients_put_it(served: Instance, owner: Owner, username: str, password: str) -> None:
    """ThingsBoard's firmware has it as the user name."""
    given = {"id": str(owner.id), "key": owner.key, "": ""}
    given["name"] = call(served.url, "/api/v1/devices/status", headers={"X-API-Key": owner.key})[1]["device"]["name"]
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(given[username], given[password]).reason == 0
        answer = peer.publish("v1/devices/me/telemetry", b'{"ts": 1767225600000, "values": {"t": 1}}')
        assert answer is not None
        assert answer.reason == 0


@pytest.mark.parametrize(
    ("username", "password", "reason"),
    [
        ("1", "wrong", Reason.BAD_USER_OR_PASSWORD),
        ("", "wrong", Reason.BAD_USER_OR_PASSWORD),
        ("999999", "KEY", Reason.BAD_USER_OR_PASSWORD),
    ],
)
def test_wrong_credential_is_refused(
    served: Instance, owner: Owner, username: str, password: str, reason: Reason
) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(username, password.replace("KEY", owner.key)).reason == reason
        assert peer.receive() is None


def test_poison_is_acknowledged_with_its_reason_and_its_neighbours_are_stored(served: Instance, owner: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        answers = [peer.publish(telemetry(owner), each) for each in (b'{"n": 1}', b"{broken", b'{"n": 2}')]
        assert [each.reason if each else None for each in answers] == [0, Reason.PAYLOAD_FORMAT_INVALID, 0]
    assert eventually(lambda: len(rows(served, owner)) == 2)


def test_presence_follows_the_connection(served: Instance, owner: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        assert eventually(lambda: is_online(served, owner), 2)
        peer.disconnect()
    assert eventually(lambda: not is_online(served, owner), 2)


def test_last_will_and_status_messages_change_presence(served: Instance, owner: Owner) -> None:
    status = f"iotflow/devices/{owner.id}/status"
    with Peer(served.mqtt_ports["mqtt"]) as watcher, Peer(served.mqtt_ports["mqtt"]) as peer:
        watcher.connect(str(owner.id), owner.key, client_id="second")
        peer.connect(str(owner.id), owner.key, will=(f"{status}/offline", b"{}"))
        assert eventually(lambda: is_online(served, owner), 2)
        watcher.publish(status, b'{"status": "offline"}')
        assert eventually(lambda: not is_online(served, owner), 2)
        watcher.publish(f"iotflow/devices/{owner.id}/heartbeat", b"")
        assert eventually(lambda: is_online(served, owner), 2)
    assert eventually(lambda: not is_online(served, owner), 2)


@pytest.mark.parametrize("form", ["commands", "commands/reboot", "commands/+", "commands/#"])
def test_every_form_of_subscription_hears_a_command_once(served: Instance, owner: Owner, level: int, form: str) -> None:
    with Peer(served.mqtt_ports["mqtt"], level=level) as peer:
        peer.connect(str(owner.id), owner.key)
        assert peer.subscribe(f"iotflow/devices/{owner.id}/{form}") == [1]
        command_id = order(served, owner)
        message = peer.message()
        assert json.loads(message.payload)["command_id"] == command_id
        assert not message.retain
        assert peer.is_silent()
        assert eventually(lambda: command_status(served, owner, command_id) == "delivered", 3)
        result = json.dumps({"status": "succeeded", "result": {"ok": True}}).encode()
        peer.publish(f"iotflow/devices/{owner.id}/commands/{command_id}/ack", result)
        assert command_status(served, owner, command_id) == "succeeded"


def test_command_waits_for_a_device_that_is_away_and_comes_once(served: Instance, owner: Owner) -> None:
    command_id = order(served, owner)
    for expected in (True, False):
        with Peer(served.mqtt_ports["mqtt"]) as peer:
            peer.connect(str(owner.id), owner.key)
            peer.subscribe(f"iotflow/devices/{owner.id}/commands")
            if expected:
                assert json.loads(peer.message().payload)["command_id"] == command_id
            else:
                assert peer.is_silent()
            assert eventually(lambda: command_status(served, owner, command_id) == "delivered", 3)


def test_unconfirmed_command_is_repeated_to_the_next_connection(served: Instance, owner: Owner) -> None:
    session = {"client_id": "kept", "clean": False, "properties": {Property.SESSION_EXPIRY: 60}}
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key, **session)
        peer.subscribe(f"iotflow/devices/{owner.id}/commands/#")
        command_id = order(served, owner)
        assert not peer.is_silent(2)
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(owner.id), owner.key, **session).body[0] == 1, "the session is present"
        message = peer.message()
        assert message.dup
        assert json.loads(message.payload)["command_id"] == command_id
        assert peer.is_silent()


def test_desired_state_is_told_at_once_and_retained(served: Instance, owner: Owner) -> None:
    topic = f"iotflow/devices/{owner.id}/config"
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        peer.subscribe(topic)
        status, body = call(
            served.url,
            f"/api/v1/admin/devices/{owner.id}/twin",
            body={"desired": {"interval_s": 30}},
            headers=token(served),
            method="PUT",
        )
        assert status == 200, body
        assert json.loads(peer.message().payload)["config"] == {"interval_s": 30}
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        peer.subscribe(topic)
        message = peer.message()
        assert message.retain
        assert json.loads(message.payload)["delta"] == {"interval_s": 30}


@pytest.mark.parametrize("how", ["key", "status", "device"])
def test_revoked_device_is_disconnected_within_two_seconds(served: Instance, owner: Owner, how: str) -> None:
    """Whoever does it, in whichever process."""
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(str(owner.id), owner.key)
        revoke(served, owner, how)
        started_s = time.monotonic()
        farewell = peer.receive(5)
        assert farewell is not None
        assert farewell.reason in (Reason.NOT_AUTHORIZED, Reason.ADMINISTRATIVE_ACTION)
        assert time.monotonic() - started_s < 2
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(owner.id), owner.key).reason in (Reason.BAD_USER_OR_PASSWORD, Reason.NOT_AUTHORIZED)


def revoke(served: Instance, owner: Owner, how: str) -> None:
    path = f"/api/v1/admin/devices/{owner.id}"
    if how == "key":
        status, body = call(
            served.url, f"{path}/keys/{owner.key.split('_')[2]}", method="DELETE", headers=token(served)
        )
    elif how == "status":
        status, body = call(
            served.url, f"{path}/status", method="PUT", body={"status": "inactive"}, headers=token(served)
        )
    else:
        status, body = call(served.url, path, method="DELETE", headers=token(served))
    assert status == 200, body


def test_reader_taps_telemetry_without_keys(served: Instance, owner: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as reader, Peer(served.mqtt_ports["mqtt"]) as peer:
        assert reader.connect("dashboard", served.token).reason == 0
        assert reader.subscribe("iotflow/devices/+/telemetry", qos=1) == [0]
        peer.connect(str(owner.id), owner.key)
        peer.publish(telemetry(owner), json.dumps({"data": {"n": 1}, "api_key": owner.key}).encode())
        message = reader.message()
        assert (message.topic, json.loads(message.payload)) == (telemetry(owner), {"data": {"n": 1}})
        answer = reader.publish(telemetry(owner), b'{"n": 1}')
        assert answer is not None
        assert answer.reason == Reason.NOT_AUTHORIZED


def test_device_registers_itself_over_mqtt(served: Instance) -> None:
    name = f"found-{time.monotonic_ns()}"
    with Peer(served.mqtt_ports["mqtt"]) as peer, Peer(served.mqtt_ports["mqtt"]) as listener:
        listener.connect("", "", client_id="curious")
        listener.subscribe("iotflow/discovery/response/+")
        assert peer.connect("", "").reason == 0
        peer.subscribe(f"iotflow/discovery/response/{name}")
        peer.send(
            packets.publish(
                packets.Publish(f"iotflow/discovery/register/{name}", b'{"device_type": "sensor"}', 1, 9), V5
            )
        )
        kinds = {}
        for _ in range(2):
            packet = peer.receive()
            assert packet is not None
            kinds[packet.kind] = packet
        answer = packets.read_publish(kinds[packets.PUBLISH].first_byte, kinds[packets.PUBLISH].body, V5)
        made = json.loads(answer.payload)["device"]
        assert listener.is_silent(), "the key is for who registered alone"
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(made["id"]), made["api_key"]).reason == 0


def test_thingsboard_attributes_are_the_twin(served: Instance, owner: Owner) -> None:
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        peer.connect(owner.key, "")
        answer = peer.publish("v1/devices/me/attributes", b'{"firmware": "1.2"}')
        assert answer is not None
        assert answer.reason == 0
        peer.subscribe("v1/devices/me/attributes/response/+")
        peer.publish("v1/devices/me/attributes/request/1", b"{}", 0)
        message = peer.message()
        assert json.loads(message.payload)["client"] == {"firmware": "1.2"}


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("iotflow/devices/{id}/commands/no-such-command/ack", b'{"status": "succeeded"}', 0x83),
        ("iotflow/devices/{id}/commands/no-such-command/ack", b'{"status": "perhaps"}', Reason.PAYLOAD_FORMAT_INVALID),
        ("iotflow/devices/{id}/commands/no-such-command/ack", b"{broken", Reason.PAYLOAD_FORMAT_INVALID),
        ("v1/devices/me/attributes", b"[]", Reason.PAYLOAD_FORMAT_INVALID),
        ("v1/devices/me/rpc/response/7", b"{}", 0x83),
    ],
)
@pytest.mark.parametrize("qos", [1, 2])
def test_refused_work_is_acknowledged_with_its_reason_in_its_place(
    served: Instance, owner: Owner, level: int, qos: int, name: str, payload: bytes, reason: int
) -> None:
    """What takes a thread is refused later than what is sent behind it is accepted; 3.1.1 knows only success."""
    topic, kind = name.format(id=owner.id), packets.PUBACK if qos == 1 else packets.PUBREC
    sent = [(telemetry(owner), b'{"n": 1}'), (topic, payload), (telemetry(owner), b'{"n": 2}')]
    with Peer(served.mqtt_ports["mqtt"], level=level) as peer:
        peer.connect(str(owner.id), owner.key)
        for _ in range(2):  # a refused message of quality 2 is forgotten: its id may be used again at once
            peer.send(
                b"".join(
                    packets.publish(packets.Publish(to, body, qos, number), level)
                    for number, (to, body) in enumerate(sent, 1)
                )
            )
            answers = list(map_packets(peer, 3))
            assert [answer.kind for answer in answers] == [kind] * 3
            assert [packets.read_ack(answer.body, level).packet_id for answer in answers] == [1, 2, 3]
            assert [answer.reason for answer in answers] == [0, reason if level == V5 else 0, 0]
            if qos == 2:
                peer.send(b"".join(packets.ack(packets.PUBREL, number, level) for number in (1, 3)))
                list(map_packets(peer, 2))


def test_burst_of_two_thousand_is_acknowledged_in_order_and_stored(served: Instance, owner: Owner, level: int) -> None:
    count = 2000 if level == V311 else 1000  # MQTT 5 is told a receive maximum of 1000, and keeps to it
    with Peer(served.mqtt_ports["mqtt"], level=level) as peer:
        peer.connect(str(owner.id), owner.key)
        first_ms = 1_767_225_600_000
        burst = b"".join(
            packets.publish(
                packets.Publish(
                    telemetry(owner), b'{"n": %d, "ts": %d}' % (number, first_ms + number * 1000), 1, number + 1
                ),
                level,
            )
            for number in range(count)
        )
        peer.send(burst)
        acknowledged = [packets.read_ack(packet.body, level).packet_id for packet in map_packets(peer, count)]
    assert acknowledged == list(range(1, count + 1))
    assert eventually(lambda: len(rows(served, owner)) == count, 30)


def map_packets(peer: Peer, count: int) -> Iterator[Any]:
    for _ in range(count):
        packet = peer.receive()
        assert packet is not None
        yield packet


def test_throttled_device_loses_nothing(tmp_path: Path) -> None:
    """Over its rate it is not read from, rather than refused."""
    with Instance(tmp_path / "var", {"RATE_LIMIT_PER_MINUTE": "1200", "IOTFLOW_DEVICE_BURST": "20"}) as served:
        owner = register(served.url, "eager")
        with Peer(served.mqtt_ports["mqtt"]) as peer:
            peer.connect(str(owner.id), owner.key)
            started_s = time.monotonic()
            for number in range(60):
                peer.send(packets.publish(packets.Publish(telemetry(owner), b'{"n": 1}', 1, number + 1), V5))
            assert [packet.reason for packet in map_packets(peer, 60)] == [0] * 60
            assert time.monotonic() - started_s > 1.5


@pytest.mark.parametrize("form", ["v5", "v3"])
def test_other_device_cannot_take_a_session_over(served: Instance, form: str) -> None:
    level = V5 if form == "v5" else V311
    one, other = (register(served.url, f"twin-{each}-{time.monotonic_ns()}") for each in "ab")
    with Peer(served.mqtt_ports["mqtt"], level=level) as first, Peer(served.mqtt_ports["mqtt"], level=level) as second:
        first.connect(str(one.id), one.key, client_id="same")
        second.connect(str(other.id), other.key, client_id="same")
        assert first.publish(telemetry(one), b'{"n": 1}') is not None
        with Peer(served.mqtt_ports["mqtt"], level=level) as third:
            third.connect(str(one.id), one.key, client_id="same")
            farewell = first.receive()
            assert farewell is None or farewell.reason == Reason.SESSION_TAKEN_OVER
            assert second.publish(telemetry(other), b'{"n": 1}') is not None
