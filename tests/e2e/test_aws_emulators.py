"""`up --aws`: the API, the gateway, the consumer and the scheduler on emulators of AWS's services."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.emulators import stacks
from infra.emulators.recipes import DYNAMODB, ELASTICMQ
from infra.emulators.server import answers
from infra.failure import Failure
from tests.api.client import Client
from tests.backends import absent
from tests.contract.eventually import eventually
from tests.e2e.instance import ROOT, Instance, infra

PATIENCE_S = 60.0


@pytest.fixture(params=["elasticmq", "moto"])
def on_emulators(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    """A running instance."""
    if request.param == "elasticmq":
        try:
            ELASTICMQ.jars.resolve()
            DYNAMODB.jars.resolve()
        except Failure as missing:
            absent("elasticmq", str(missing))
    instance = Instance(tmp_path)
    try:
        instance.up("--aws", request.param)
        yield instance
        instance.down()
    finally:
        infra("emulators", "stop", "--data", str(tmp_path))


def test_a_reading_goes_through_sqs_and_the_ledger_of_dynamodb_knows_it(on_emulators: Instance) -> None:
    nobody = Client(on_emulators.url)
    made = nobody.post("/api/v1/devices/register", {"name": "pump", "device_type": "sensor"})
    client = nobody.with_key(made.json["device"]["api_key"])
    accepted = client.post("/api/v1/devices/telemetry", {"data": {"pressure": 3.25}})
    assert accepted.status == 201, accepted.body

    def ledger() -> dict[str, int]:
        status = nobody.with_token(on_emulators.token).get("/api/v1/telemetry/status")
        found: dict[str, int] = status.json["ledger"] if status.status == 200 else {}
        return found

    assert eventually(lambda: ledger().get("stored") == 1, PATIENCE_S), ledger()
    assert ledger() == {
        "accepted": 1,
        "stored": 1,
        "queued": 0,
        "in_flight": 0,
        "dead_lettered": 0,
        "discarded": 0,
        "balanced": True,
    }
    assert [row["pressure"] for row in client.get("/api/v1/devices/telemetry").json["telemetry"]] == [3.25]


def test_chalice_local_works_on_emulators(tmp_path: Path) -> None:
    """As a developer of an endpoint runs it; `infra.local.consumer` is what Lambda's poller and the consumer are."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with stacks.moto(tmp_path) as emulated, ExitStack() as stack:
        variables = {**os.environ, **emulated, "IOTFLOW_DATA": str(tmp_path), "IOTFLOW_STORE": "sqlite"}
        cli = ["-c", "from chalice.cli import main; main()", "local", "--stage", "local", "--no-autoreload"]
        for arguments in ([*cli, "--port", str(port)], ["-m", "infra.local.consumer"]):
            process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=variables)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        nobody = Client(f"http://127.0.0.1:{port}")
        assert eventually(lambda: answers(port), PATIENCE_S)
        made = nobody.post("/api/v1/devices/register", {"name": "pump", "device_type": "sensor"})
        client = nobody.with_key(made.json["device"]["api_key"])
        assert client.post("/api/v1/devices/telemetry", {"data": {"pressure": 3.25}}).status == 201

        def found() -> list[float]:
            return [row["pressure"] for row in client.get("/api/v1/devices/telemetry").json["telemetry"]]

        assert eventually(lambda: found() == [3.25], PATIENCE_S)
