"""Devices behind Mosquitto, from the broker to the store and back, in an instance whose bridge carries for them."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.commands import certs
from infra.mosquitto.server import Server
from mqtt_bridge import packets
from tests.backends import require_program
from tests.contract.mosquitto_broker import bridge_port, device_port, is_let_in, running
from tests.e2e.instance import Instance, eventually
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import NO_LIMITS, Owner, call, ledger, register

FORMS = ("commands", "commands/+", "commands/#", "commands/reboot")


class Site:
    """An instance, and the broker that its devices connect to."""

    def __init__(self, instance: Instance, server: Server) -> None:
        self.instance = instance
        self.server = server
        self.admin = {"Authorization": f"Bearer {instance.token}"}

    @property
    def url(self) -> str:
        return self.instance.url

    def register(self) -> Owner:
        """A device that the broker lets in."""
        owner = register(self.url, f"device-{time.monotonic_ns()}")
        assert eventually(lambda: is_let_in(self.server, owner.id, owner.key))
        return owner

    def connect(self, owner: Owner, **more: Any) -> Peer:
        peer = Peer(device_port(self.server))
        assert peer.connect(str(owner.id), owner.key, **more).reason == 0
        return peer

    def order(self, owner: Owner, **more: object) -> str:
        """Send the device a command; returns its id."""
        path = f"/api/v1/mqtt/device/{owner.id}/command"
        body = {"command": {"delay_s": 1}, "command_type": "reboot", **more}
        status, answer = call(self.url, path, body=body, headers=self.admin)
        assert status in (200, 201), answer
        return str(answer["command_id"])

    def command_status(self, owner: Owner, command_id: str) -> str:
        found = call(self.url, f"/api/v1/admin/devices/{owner.id}/commands", headers=self.admin)[1]
        return next(str(each["status"]) for each in found["commands"] if each["id"] == command_id)

    def desire(self, owner: Owner, **desired: object) -> None:
        path = f"/api/v1/admin/devices/{owner.id}/twin"
        status, answer = call(self.url, path, body={"desired": desired}, headers=self.admin, method="PUT")
        assert status == 200, answer

    def values(self, owner: Owner) -> list[object]:
        path = f"/api/v1/telemetry/{owner.id}?start_time=2020-01-01&limit=1000&order=asc"
        return [row["n"] for row in call(self.url, path, headers={"X-API-Key": owner.key})[1]["data"]]

    def is_online(self, owner: Owner) -> bool:
        found = call(self.url, "/api/v1/devices/status", headers={"X-API-Key": owner.key})[1]
        return bool(found["device"]["is_online"])

    def check(self) -> dict[str, Any]:
        """What /status says of the bridge."""
        found: dict[str, Any] = call(self.url, "/status", headers=self.admin)[1]["checks"]["mqtt"]
        return found

    def is_connected(self) -> bool:
        """Whether the bridge is, before a deadline."""
        return eventually(
            lambda: bool(call(self.url, "/api/v1/mqtt/status")[1]["broker_info"]["connected"]), deadline_s=40
        )

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:  # noqa: S310 - on loopback
            text: str = answer.read().decode()
        return text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bridge")
    with (
        running(folder / "broker") as server,
        Instance(folder / "var", {**NO_LIMITS, **server.environment()}) as instance,
    ):
        found = Site(instance, server)
        assert found.is_connected()
        yield found


def somebody_hears(peer: Peer, topic: str, payload: bytes) -> bool:
    """Whether the broker has a subscriber for a message."""
    answer = peer.publish(topic, payload)
    return answer is not None and answer.reason == 0


def telemetry(owner: Owner, part: str = "") -> str:
    return f"iotflow/devices/{owner.id}/telemetry{part}"


def test_readings_of_every_topic_and_quality_are_stored_once(site: Site) -> None:
    owner = site.register()
    with site.connect(owner) as peer:
        for number, (part, qos) in enumerate([("", 0), ("", 1), ("/sensors", 1), ("/metrics", 2)]):
            peer.publish(telemetry(owner, part), b'{"n": %d}' % number, qos, packet_id=number + 1 if qos else 0)
        peer.send(packets.ack(packets.PUBREL, 4, packets.V5))
        assert eventually(lambda: len(site.values(owner)) == 4)
    assert site.values(owner) == [0, 1, 2, 3]


def test_status_says_that_the_bridge_is_connected(site: Site) -> None:
    assert site.check()["healthy"] is True
    with Peer(bridge_port(site.server)) as peer:
        peer.connect("bridge", site.server.accounts().bridge, client_id="onlooker")
        peer.subscribe("iotflow/system/bridge/+")
        message = peer.message()
    assert (message.topic, json.loads(message.payload)["status"]) == ("iotflow/system/bridge/iotflow-bridge", "online")
    assert message.retain


def test_metrics_count_what_the_broker_delivered(site: Site) -> None:
    owner = site.register()
    with site.connect(owner) as peer:
        peer.publish(telemetry(owner), b'{"n": 1}')
    assert eventually(lambda: 'iotflow_bridge_messages_total{result="accepted"}' in site.metrics())
    assert "iotflow_bridge_connects_total{session=" in site.metrics()


def test_poison_is_a_dead_letter_and_an_inactive_device_is_refused(site: Site) -> None:
    owner, before = site.register(), ledger(site.url)["dead_lettered"]
    with site.connect(owner) as peer:
        peer.publish(telemetry(owner), b"{not json")
        peer.publish(telemetry(owner), b'{"n": 2}')
        assert eventually(lambda: site.values(owner) == [2])
    assert ledger(site.url)["dead_lettered"] == before + 1
    with Peer(bridge_port(site.server)) as peer:  # for a device of which the records know nothing
        peer.connect("bridge", site.server.accounts().bridge, client_id="stranger")
        peer.publish("iotflow/devices/999999/telemetry", b'{"n": 1}')
        assert eventually(lambda: 'code="unknown_device"' in site.metrics())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_subscription_hears_a_command_exactly_once(site: Site, form: str) -> None:
    program = require_program("mosquitto_sub", backend="mosquitto", package="mosquitto-clients")
    owner = site.register()
    command = [
        *("stdbuf", "-oL", program, "-p", str(device_port(site.server)), "-u", str(owner.id), "-P", owner.key),
        *("-V", "5", "-q", "1", "-t", f"iotflow/devices/{owner.id}/{form}", "-v", "-d", "-W", "3"),
    ]
    heard: list[str] = []
    command_id = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as listening:
        for line in listening.stdout or ():
            if line.startswith("Subscribed"):
                command_id = site.order(owner)
            if line.startswith("iotflow/"):
                heard.append(line)
    assert site.command_status(owner, command_id) == "sent"
    assert len(heard) == 1, heard
    topic, _, payload = heard[0].partition(" ")
    assert topic in {f"iotflow/devices/{owner.id}/commands", f"iotflow/devices/{owner.id}/commands/reboot"}
    assert json.loads(payload)["type"] == "reboot"


def test_command_waits_for_a_device_that_never_subscribed_and_its_answer_settles_it(site: Site) -> None:
    owner = site.register()
    command_id = site.order(owner)
    assert site.command_status(owner, command_id) == "queued"
    with site.connect(owner) as peer:
        peer.subscribe(f"iotflow/devices/{owner.id}/commands")
        peer.publish(f"iotflow/devices/{owner.id}/status", b'{"status": "online"}')
        message = peer.message()
        assert json.loads(message.payload)["command_id"] == command_id
        assert not message.retain
        assert eventually(lambda: site.command_status(owner, command_id) == "sent")
        peer.publish(f"iotflow/devices/{owner.id}/commands/{command_id}/ack", b'{"status": "succeeded"}')
        assert eventually(lambda: site.command_status(owner, command_id) == "succeeded")
        assert peer.is_silent()


def test_configuration_is_retained_and_told_once_for_each_change_also_over_a_restart(site: Site) -> None:
    owner = site.register()
    site.desire(owner, interval_s=5)
    with site.connect(owner) as peer:
        peer.subscribe(f"iotflow/devices/{owner.id}/config")
        assert json.loads(peer.message().payload)["config"] == {"interval_s": 5}
        old_pid = site.instance.kill("bridge")
        assert site.instance.runs_again("bridge", old_pid)
        assert site.is_connected()
        site.desire(owner, interval_s=6)
        second = json.loads(peer.message().payload)
        assert (second["config"], second["version"]) == ({"interval_s": 6}, 2)
        assert peer.is_silent()
    with site.connect(owner) as peer:
        peer.subscribe(f"iotflow/devices/{owner.id}/config")
        last = peer.message()
    assert (last.retain, json.loads(last.payload)["version"]) == (True, 2)


def test_presence_follows_words_and_last_wills(site: Site) -> None:
    owner = site.register()
    status = f"iotflow/devices/{owner.id}/status"
    peer = site.connect(owner, will=(status, b'{"status": "offline"}'))
    peer.publish(f"{status}/online", b"")
    assert eventually(lambda: site.is_online(owner))
    with peer:
        pass  # without a goodbye: the broker publishes the will
    assert eventually(lambda: not site.is_online(owner))


def test_retained_telemetry_is_taken_once_and_not_again_by_a_new_session(site: Site) -> None:
    owner = site.register()
    with site.connect(owner) as peer:
        peer.publish(telemetry(owner), b'{"n": 1}', retain=True)
        assert eventually(lambda: site.values(owner) == [1])
        old_pid = site.instance.kill("bridge")
        with Peer(bridge_port(site.server)) as thief:  # makes the broker forget the bridge's session
            thief.connect("bridge", site.server.accounts().bridge, client_id="iotflow-bridge", clean=True)
        assert site.instance.runs_again("bridge", old_pid)
        assert site.is_connected()
        assert eventually(lambda: 'session="new"' in site.metrics())
        assert eventually(lambda: somebody_hears(peer, telemetry(owner), b'{"n": 2}'))
        assert eventually(lambda: 2 in site.values(owner))
    assert site.values(owner) == [1, 2]


def test_registration_is_answered_to_who_listens(site: Site) -> None:
    with Peer(bridge_port(site.server)) as peer:
        peer.connect("bridge", site.server.accounts().bridge, client_id="installer")
        peer.subscribe("iotflow/discovery/response/lamp-7")
        peer.publish("iotflow/discovery/register/lamp-7", b'{"device_type": "lamp"}')
        answer = json.loads(peer.message().payload)
    assert answer["status"] == "success"
    owner = Owner(answer["device"]["id"], answer["device"]["api_key"])
    assert eventually(lambda: is_let_in(site.server, owner.id, owner.key))


def test_bridge_speaks_tls_and_trusts_only_the_authority_that_it_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    certs.make(folder, [])
    with running(tmp_path / "broker", certificates=folder) as server:
        url = f"mqtts://localhost:{server.choices['tls_port']}"
        trusting = {**server.environment(), "IOTFLOW_BROKER_URL": url, "IOTFLOW_BRIDGE_CLIENT_ID": "bridge"}
        with Instance(tmp_path / "var", trusting) as instance:
            found = Site(instance, server)
            assert eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in (found.check()["error"] or ""))
        trusting["IOTFLOW_BROKER_CA_FILE"] = str(folder / "ca.crt")
        with Instance(tmp_path / "var", trusting) as instance:
            found = Site(instance, server)
            assert found.is_connected()
            owner = found.register()
            with found.connect(owner) as peer:
                peer.publish(telemetry(owner), b'{"n": 1}')
                assert eventually(lambda: found.values(owner) == [1])
