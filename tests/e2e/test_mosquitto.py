"""`python3 -m infra mosquitto` and `up --broker mosquitto`, as an operator uses them."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.mosquitto import programs
from infra.mosquitto.server import Server
from tests.backends import absent
from tests.e2e.instance import Instance, eventually, infra
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import NO_LIMITS, Owner, call, register

KICK_S = 2.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    for missing in programs.missing():
        absent("mosquitto", missing)
    instance = Instance(tmp_path_factory.mktemp("mosquitto") / "var", NO_LIMITS)
    try:
        instance.up("--broker", "mosquitto")
        yield instance
    finally:
        instance.down()
        infra("mosquitto", "stop", "--data", str(instance.data))


def port_of(served: Instance) -> int:
    return int(Server(served.data / "mosquitto").choices["port"])


def connected(served: Instance, owner: Owner) -> Peer:
    """The device, connected as soon as the broker knows it."""
    assert eventually(lambda: _is_let_in(served, owner))
    peer = Peer(port_of(served))
    peer.connect(str(owner.id), owner.key)
    return peer


def _is_let_in(served: Instance, owner: Owner) -> bool:
    with Peer(port_of(served)) as peer:
        return peer.connect(str(owner.id), owner.key).reason == 0


def is_stored(served: Instance, owner: Owner, value: int) -> bool:
    """Whether the device's newest reading becomes *value*."""

    def newest() -> object:
        found = call(served.url, f"/api/v1/telemetry/{owner.id}/latest")[1]
        return found.get("latest_data", {}).get("n")

    return eventually(lambda: newest() == value)


def test_registered_device_sends_through_mosquitto_into_the_store(served: Instance) -> None:
    owner = register(served.url, "pump")
    with connected(served, owner) as peer:
        peer.publish(f"iotflow/devices/{owner.id}/telemetry", b'{"n": 1}')
    assert is_stored(served, owner, 1)


def test_device_that_an_administrator_deletes_is_cut_off(served: Instance) -> None:
    owner = register(served.url, "thief")
    with connected(served, owner) as peer:
        admin = {"Authorization": f"Bearer {served.token}"}
        path = f"/api/v1/admin/devices/{owner.id}"
        assert call(served.url, path, headers=admin, method="DELETE")[0] == 200
        packet = peer.receive(KICK_S)
        assert packet is None or packet.kind == 14


def test_rebuild_while_everything_runs_loses_nothing(served: Instance) -> None:
    owner, data = register(served.url, "fan"), str(served.data)
    connected(served, owner).disconnect()
    rebuilt = infra("mosquitto", "rebuild", "--data", data)
    assert (rebuilt.returncode, "started again" in rebuilt.stdout) == (0, True), rebuilt.stderr
    with connected(served, owner) as peer:
        peer.publish(f"iotflow/devices/{owner.id}/telemetry", b'{"n": 7}')
    assert is_stored(served, owner, 7)


def test_operator_sees_what_runs_and_what_differs(served: Instance) -> None:
    owner, data = register(served.url, "lamp"), str(served.data)
    connected(served, owner).disconnect()
    status = infra("mosquitto", "status", "--data", data)
    assert (status.returncode, str(port_of(served)) in status.stdout) == (0, True)
    control = Server(served.data / "mosquitto").control()
    control.ask([{"command": "disableClient", "username": str(owner.id)}])
    control.close()
    found = json.loads(infra("mosquitto", "reconcile", "--json", "--data", data).stdout)
    assert found["changed"] == [owner.id]
    again = infra("mosquitto", "reconcile", "--data", data)
    assert (again.returncode, "0      accounts mended" in again.stdout) == (0, True), again.stdout
    connected(served, owner).disconnect()


def test_doctor_finds_the_broker_in_order(served: Instance) -> None:
    examined = infra("doctor", "--json", "--data", str(served.data), "--env", os.devnull)
    said = {found["sentence"]: found["level"] for found in json.loads(examined.stdout)["findings"]}
    assert said["the broker of this data directory runs"] == "ok"
    assert said["it can be told of devices"] == "ok"


def test_device_of_the_operators_command_is_let_in(served: Instance) -> None:
    """The command learns from the running broker that it is to be told."""
    made = json.loads(infra("create-device", "cli", "--json", "--data", str(served.data), "--env", os.devnull).stdout)
    connected(served, Owner(made["id"], made["api_key"])).disconnect()


@pytest.mark.slow
def test_devices_of_the_gateway_are_let_in_when_a_broker_takes_over(tmp_path: Path) -> None:
    """Also those that came while the broker ran and the gateway served: their keys are known by their hashes."""
    for missing in programs.missing():
        absent("mosquitto", missing)
    instance, owners = Instance(tmp_path / "var", NO_LIMITS), list[Owner]()
    try:
        for options in ((), ("--broker", "mosquitto"), (), ("--broker", "mosquitto")):
            instance.up(*options)
            owners.append(register(instance.url, f"d{len(owners)}"))
            if options:
                for owner in owners:
                    connected(instance, owner).disconnect()
            instance.down()
    finally:
        instance.down()
        infra("mosquitto", "stop", "--data", str(instance.data))


def test_commands_on_a_broker_that_is_not_there_say_so(tmp_path: Path) -> None:
    data = str(tmp_path)
    assert infra("mosquitto", "status", "--data", data).returncode == 3
    assert infra("mosquitto", "stop", "--data", data).returncode == 3
    compared = infra("mosquitto", "reconcile", "--data", data)
    assert (compared.returncode, "no broker to compare with" in compared.stderr) == (3, True)
    refused = infra("mosquitto", "rebuild", "--data", data)
    assert (refused.returncode, "mosquitto start makes one" in refused.stderr) == (3, True)


def test_config_writes_files_for_a_container_and_keeps_its_accounts(tmp_path: Path) -> None:
    data, folder = str(tmp_path / "var"), tmp_path / "files"
    device = json.loads(infra("create-device", "pump", "--json", "--data", data).stdout)
    inside = ["--inside", "/mosquitto/config", "--plugin", "/usr/lib/mosquitto_dynamic_security.so"]
    inside += ["--internal-host", "::", "--certificate", "/certs/crt", "--private-key", "/certs/key"]
    arguments = ["mosquitto", "config", str(folder), "--data", data, *inside, "--tls-port", "8883"]
    assert infra(*arguments).returncode == 0
    files = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    assert infra(*arguments, "--port", "1999").returncode == 0
    for name, text in files.items():
        assert ((folder / name).read_text(encoding="utf-8") == text) == (name != "mosquitto.conf")
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    text = files["mosquitto.conf"]
    lines = {"plugin_opt_config_file /mosquitto/config/dynsec.json", "listener 1884 ::", "certfile /certs/crt"}
    assert lines <= set(text.splitlines())
    assert str(tmp_path) not in text
    clients = {client["username"] for client in json.loads(files["dynsec.json"])["clients"]}
    assert clients == {"admin", "bridge", str(device["id"])}
    assert device["api_key"] not in "".join(files.values())


def test_config_refuses_tls_without_a_certificate(tmp_path: Path) -> None:
    refused = infra("mosquitto", "config", str(tmp_path), "--tls-port", "8883", "--data", str(tmp_path / "var"))
    assert (refused.returncode, "--tls-port needs --certificate" in refused.stderr) == (2, True)


def test_start_leaves_settings_that_work(tmp_path: Path) -> None:
    for missing in programs.missing():
        absent("mosquitto", missing)
    data, file = ["--data", str(tmp_path)], tmp_path / "mosquitto" / "iotflow.env"
    environment = {"MQTT_PORT": "0", "MQTT_WEBSOCKET_PORT": "0"}
    started = infra("mosquitto", "start", *data, "--env", os.devnull, environment=environment)
    try:
        assert (started.returncode, str(file) in started.stdout) == (0, True), started.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert infra("create-device", "pump", "--json", *data, "--env", str(file)).returncode == 0
        found = json.loads(infra("mosquitto", "reconcile", "--json", *data, "--env", str(file)).stdout)
        assert (found["compared"], found["stranded"]) == (1, []), "it waits for the worker of the bridge"
        assert infra("mosquitto", "start", *data, environment=environment).returncode == 4
    finally:
        infra("mosquitto", "stop", *data)


def test_port_that_is_taken_is_told_in_the_brokers_words(tmp_path: Path, served: Instance) -> None:
    where = ["--data", str(tmp_path), "--env", os.devnull]
    taken = {"MQTT_PORT": str(port_of(served)), "MQTT_WEBSOCKET_PORT": "0"}
    refused = infra("mosquitto", "start", *where, environment=taken)
    assert refused.returncode == 8
    assert "Address already in use" in refused.stderr
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], check=False, capture_output=True).stdout == b""
