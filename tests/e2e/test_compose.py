"""The services of docker-compose.yml, and `chalice local` with the consumer against them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.bootstrap import ROOT
from infra.commands.compose import settings
from tests.api.client import Client
from tests.contract.eventually import eventually
from tests.e2e.docker_engine import engine

PORTS = ("LOCALSTACK_PORT", "IOTDB_PORT", "REDIS_PORT", "MQTT_PORT", "MQTT_WEBSOCKET_PORT", "BRIDGE_PORT")
PATIENCE_S = 300


class Project(NamedTuple):
    """A running project of compose, with the ports that it listens on."""

    name: str
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docker compose ...`."""
        command = ["docker", "compose", "-p", self.name, *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)


def free_ports(names: tuple[str, ...]) -> dict[str, str]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(each.getsockname()[1]) for name, each in zip(names, sockets, strict=True)}


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """All services, healthy; gone with their data afterwards."""
    with engine():
        made = Project(f"iotflow-test-{os.getpid()}", {**os.environ, **free_ports(PORTS)})
        try:
            started = made.run("up", "-d", "--wait", "--wait-timeout", str(PATIENCE_S))
            assert started.returncode == 0, started.stderr + made.run("logs", "--tail", "20").stdout
            yield made
        finally:
            made.run("down", "-v", "--timeout", "5")


@contextmanager
def running(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=written, stderr=written, text=True
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def test_chalice_local_works_against_the_services(project: Project, tmp_path: Path) -> None:
    """A reading goes through LocalStack's queue into IoTDB; device, key and ledger are in its DynamoDB."""
    environment = {**project.environment, **settings(project.environment), "IOTFLOW_DATA": str(tmp_path / "data")}
    port = free_ports(("PORT",))["PORT"]
    local = [
        "-c",
        "from chalice.cli import main; main()",
        "local",
        "--stage",
        "local",
        "--no-autoreload",
        "--port",
        port,
    ]
    with (
        running(local, environment, tmp_path / "local.log"),
        running(["-m", "infra.local.consumer"], environment, tmp_path / "consumer.log"),
    ):
        client = Client(f"http://127.0.0.1:{port}")
        assert eventually(lambda: answers(int(port)), deadline_s=60), (tmp_path / "local.log").read_text()
        made = client.post("/api/v1/devices/register", {"name": "kitchen", "device_type": "sensor"})
        assert made.status == 201, made.body
        device = client.with_key(made.json["device"]["api_key"])
        sent = device.post("/api/v1/devices/telemetry", {"data": {"temperature": 21.5}}, Prefer="wait=20")
        assert sent.status == 201, sent.body
        path = f"/api/v1/telemetry/{made.json['device']['id']}/latest"
        assert eventually(lambda: client.get(path).status == 200, deadline_s=60), (
            tmp_path / "consumer.log"
        ).read_text()
        assert client.get(path).json["latest_data"]["temperature"] == 21.5
        ledger = client.get("/api/v1/telemetry/status").json["ledger"]
        assert ledger["accepted"] == ledger["stored"] == 1


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_broker_lets_the_bridge_in_and_nobody_without_a_password(project: Project) -> None:
    """Its passwords are made at its first start."""
    said = project.run("exec", "-T", "mosquitto", "cat", "/mosquitto/data/accounts.json")
    accounts = json.loads(said.stdout)
    assert set(accounts) == {"admin", "bridge"}
    assert published(project, "bridge", accounts["bridge"]) == 0
    assert published(project, "bridge", accounts["admin"]) != 0
    assert published(project, "", "") != 0


def published(project: Project, user: str, password: str) -> int:
    who = ["-u", user, "-P", password] if user else []
    where = ["-p", project.environment["BRIDGE_PORT"], "-t", "iotflow/system/bridge/test", "-m", "here", "-q", "1"]
    return subprocess.run(["mosquitto_pub", *where, *who], capture_output=True, check=False, timeout=20).returncode
