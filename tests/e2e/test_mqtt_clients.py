"""Clients of other makers, over TCP, TLS and WebSocket; and kills in mid-stream."""

import asyncio
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
import gmqtt  # type: ignore[import-untyped]
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from infra.commands.certs import make
from mqtt_bridge import packets
from mqtt_bridge.packets import V5, Publish
from tests.backends import absent, require_program
from tests.e2e.instance import ROOT, Instance, eventually
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import FIRST_MS, NO_LIMITS, Owner, call, register, stored_numbers

NODE_MODULES = ROOT / "var" / "node" / "node_modules"
HOW_TO_NODE = "npm install --prefix var/node mqtt@5.16.0"


class Served(Instance):
    """An instance with TLS."""

    def __init__(self, folder: Path) -> None:
        self.certificates = folder / "certs"
        make(self.certificates, [])
        super().__init__(
            folder / "var",
            NO_LIMITS
            | {
                "MQTT_TLS_CERTIFICATE": str(self.certificates / "server.crt"),
                "MQTT_TLS_PRIVATE_KEY": str(self.certificates / "server.key"),
            },
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("mqtt")) as running:
        yield running


@pytest.fixture
def owner(served: Served) -> Owner:
    return register(served.url, f"client-{time.monotonic_ns()}")


def latest(served: Served, owner: Owner) -> dict[str, Any]:
    status, body = call(served.url, f"/api/v1/telemetry/{owner.id}/latest", headers={"X-API-Key": owner.key})
    return dict(body["latest_data"]) if status == 200 else {}


def order(served: Served, owner: Owner) -> str:
    body = {"command": {"delay_s": 1}, "command_type": "reboot"}
    headers = {"Authorization": f"Bearer {served.token}"}
    return str(call(served.url, f"/api/v1/mqtt/device/{owner.id}/command", body=body, headers=headers)[1]["command_id"])


def stored(served: Served, owner: Owner, value: object) -> bool:
    return eventually(lambda: latest(served, owner).get("temperature") == value)


@pytest.mark.parametrize("transport", ["mqtt", "mqtt_tls", "mqtt_websocket"])
@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
def test_paho_publishes_and_hears_commands(
    served: Served, owner: Owner, transport: str, version: MQTTProtocolVersion
) -> None:
    heard: list[bytes] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id="paho",
        protocol=version,
        transport="websockets" if transport == "mqtt_websocket" else "tcp",
    )
    client.username_pw_set(str(owner.id), owner.key)
    if transport == "mqtt_tls":
        client.tls_set(ca_certs=str(served.certificates / "ca.crt"))
    client.on_message = lambda _client, _data, message: heard.append(bytes(message.payload))
    client.connect("localhost" if transport == "mqtt_tls" else "127.0.0.1", served.mqtt_ports[transport])
    client.loop_start()
    try:
        assert eventually(client.is_connected)
        client.subscribe(f"iotflow/devices/{owner.id}/commands/#", 1)
        for qos in (0, 1, 2):
            client.publish(f"iotflow/devices/{owner.id}/telemetry", b'{"temperature": %d}' % qos, qos).wait_for_publish(
                10
            )
        assert stored(served, owner, 2)
        command_id = order(served, owner)
        assert eventually(lambda: len(heard) == 1)
        assert json.loads(heard[0])["command_id"] == command_id
    finally:
        client.disconnect()
        client.loop_stop()


def test_mosquitto_pub_and_sub_work(served: Served, owner: Owner) -> None:
    require_program("mosquitto_pub", backend="mosquitto", package="mosquitto-clients")
    who = ["-h", "127.0.0.1", "-p", str(served.mqtt_ports["mqtt"]), "-u", str(owner.id), "-P", owner.key]
    hear = ["-C", "1", "-W", "10", "-t", "v1/devices/me/rpc/request/+"]
    for number, version in enumerate(("311", "5")):
        payload = json.dumps({"temperature": number})
        topic = f"iotflow/devices/{owner.id}/telemetry"
        done = subprocess.run(
            ["mosquitto_pub", "-V", version, *who, "-q", "1", "-t", topic, "-m", payload],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert stored(served, owner, number)
        command_id = order(served, owner)
        heard = subprocess.run(
            ["mosquitto_sub", "-V", version, *who, "-q", "1", *hear],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert json.loads(heard.stdout) == {"method": "reboot", "params": {"delay_s": 1}}, heard.stderr
        assert command_id


def test_gmqtt_publishes(served: Served, owner: Owner) -> None:
    async def talk() -> None:
        client = gmqtt.Client("gmqtt", session_expiry_interval=60)
        client.set_auth_credentials(str(owner.id), owner.key)
        await client.connect("127.0.0.1", served.mqtt_ports["mqtt"])
        client.publish(f"iotflow/devices/{owner.id}/telemetry", {"temperature": 3}, qos=1)
        await asyncio.to_thread(stored, served, owner, 3)
        await client.disconnect()

    asyncio.run(talk())
    assert stored(served, owner, 3)


def test_aiomqtt_publishes_over_tls(served: Served, owner: Owner) -> None:
    async def talk() -> None:
        context = ssl.create_default_context(cafile=str(served.certificates / "ca.crt"))
        async with aiomqtt.Client(
            "localhost",
            served.mqtt_ports["mqtt_tls"],
            username=str(owner.id),
            password=owner.key,
            tls_context=context,
        ) as client:
            await client.publish(f"iotflow/devices/{owner.id}/telemetry", b'{"temperature": 4}', qos=2)

    asyncio.run(talk())
    assert stored(served, owner, 4)


NODE = """
const mqtt = require("mqtt");
const [url, username, password] = process.argv.slice(1);
const client = mqtt.connect(url, {username, password, protocolVersion: 5, reconnectPeriod: 0});
client.on("error", error => { console.error(error.message); process.exit(1); });
client.on("connect", () => client.publish(`iotflow/devices/${username}/telemetry`, '{"temperature": 5}', {qos: 2},
  error => { if (error) process.exit(1); client.end(); }));
"""


@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
def test_node_client_publishes(served: Served, owner: Owner, scheme: str) -> None:
    node = require_program("node", backend="node", package="nodejs")
    if not (NODE_MODULES / "mqtt").is_dir():
        absent("node", f"node has no mqtt: {HOW_TO_NODE}")
    port = served.mqtt_ports["mqtt" if scheme == "mqtt" else "mqtt_websocket"]
    command = [node, "-e", NODE, f"{scheme}://127.0.0.1:{port}", str(owner.id), owner.key]
    variables = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert stored(served, owner, 5)


def test_tls_port_speaks_no_old_protocol_and_needs_the_right_name(served: Served) -> None:
    port = served.mqtt_ports["mqtt_tls"]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(served.certificates / "ca.crt")]
    for options, worked in (
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
        (["-verify_return_error", "-verify_hostname", "example.org"], False),
        (["-verify_return_error", "-verify_hostname", "localhost"], True),
    ):
        done = subprocess.run([*command, *options], input=b"", capture_output=True, timeout=20, check=False)
        assert (done.returncode == 0) is worked, options


class Stream:
    """A device that publishes numbers with a window, reconnects, and repeats what was not acknowledged.

    Attributes:
        acknowledged: The numbers whose PUBACK came.
    """

    WINDOW = 20

    def __init__(self, port: int, owner: Owner) -> None:
        self.acknowledged: set[int] = set()
        self._port = port
        self._owner = owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        following = 0
        while not self._stop.is_set():
            try:
                following = self._connection(following)
            except OSError:
                self._stop.wait(0.02)

    def _connection(self, following: int) -> int:
        with Peer(self._port) as peer:
            connack = peer.receive_connack(str(self._owner.id), self._owner.key)
            waiting: list[int] = []
            while connack and not self._stop.is_set():
                while len(waiting) < self.WINDOW:
                    waiting.append(following)
                    peer.send(self._packet(following))
                    following += 1
                answer = peer.receive()
                if answer is None:
                    break
                if answer.kind == packets.PUBACK:
                    self.acknowledged.add(waiting.pop(0))
        return waiting[0] if waiting else following

    def _packet(self, number: int) -> bytes:
        payload = json.dumps({"n": number, "ts": FIRST_MS + number * 1000}).encode()
        topic = f"iotflow/devices/{self._owner.id}/telemetry"
        return packets.publish(Publish(topic, payload, 1, number % 65_535 + 1), V5)


def has_grown(streams: list[Stream], beyond: int) -> bool:
    return sum(len(stream.acknowledged) for stream in streams) > beyond


def all_stored(url: str, owner: Owner, stream: Stream) -> bool:
    return stream.acknowledged <= set(stored_numbers(url, owner))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    """Five kills each of gateway and consumer, in turn; and no reading is stored twice."""
    with Instance(tmp_path / "var", NO_LIMITS) as served:
        owners = [register(served.url, f"stream-{number}") for number in range(3)]
        streams = [Stream(served.mqtt_ports["mqtt"], owner) for owner in owners]
        for stream in streams:
            stream.start()
        try:
            for kill in range(10):
                reached = sum(len(stream.acknowledged) for stream in streams)
                assert eventually(partial(has_grown, streams, reached + 300), 30)
                name = ("mqtt", "consumer")[kill % 2]
                assert served.runs_again(name, served.kill(name))
        finally:
            for stream in streams:
                stream.stop()
        for owner, stream in zip(owners, streams, strict=True):
            assert len(stream.acknowledged) > 500
            assert eventually(partial(all_stored, served.url, owner, stream), 60)
            numbers = stored_numbers(served.url, owner)
            assert len(numbers) == len(set(numbers))


def test_restarted_gateway_refuses_no_connection(served: Served, owner: Owner) -> None:
    """The supervisor holds the listening socket: who connects meanwhile waits for the next gateway."""
    old_pid = served.kill("mqtt")
    with Peer(served.mqtt_ports["mqtt"]) as peer:
        assert peer.connect(str(owner.id), owner.key).reason == 0
    assert served.runs_again("mqtt", old_pid)
