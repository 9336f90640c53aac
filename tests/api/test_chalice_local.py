"""Plain `chalice local` serves the same app, without its stall of 44 ms a request."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.client import Client
from tests.api.running_front import Wire
from tests.contract.eventually import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a running `chalice local --no-autoreload`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from chalice.cli import main; main()",
                "local",
                "--stage",
                "local",
                "--no-autoreload",
                "--port",
                str(number),
            ],
            cwd=ROOT,
            env=os.environ | {"IOTFLOW_DATA": str(tmp_path / "data")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        assert eventually(lambda: answers(number), deadline_s=20), (tmp_path / "log").read_text()
        yield number
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def fastest_s(run: Callable[[], None]) -> float:
    """The shortest of five runs."""
    times_s = []
    for _ in range(5):
        began_s = time.monotonic()
        run()
        times_s.append(time.monotonic() - began_s)
    return min(times_s)


def test_chalice_local_answers_without_a_stall(port: int) -> None:
    """With Nagle's algorithm a kept connection took 44 ms a request, twenty times as long as a new one each time."""

    def ask(wire: Wire) -> None:
        reply = wire.request("GET /health HTTP/1.1\nHost: x")
        assert (reply.status, reply.json["status"]) == (200, "healthy")

    def on_new_connections() -> None:
        for _ in range(20):
            with closing(Wire(port)) as wire:
                ask(wire)

    def on_one_connection(wire: Wire) -> None:
        for _ in range(20):
            ask(wire)

    with closing(Wire(port)) as kept:
        assert fastest_s(lambda: on_one_connection(kept)) < 5 * fastest_s(on_new_connections)


def test_chalice_local_serves_the_core_journey(port: int, tmp_path: Path) -> None:
    """Register, send, and read back what the consumer stored: the same API as that of `infra up`."""
    nobody = Client(f"http://127.0.0.1:{port}")
    registered = nobody.post("/api/v1/devices/register", {"name": "journey", "device_type": "sensor"})
    assert registered.status == 201
    device = nobody.with_key(registered.json["device"]["api_key"])
    assert device.post("/api/v1/devices/heartbeat").status == 200
    sent = device.post("/api/v1/devices/telemetry", {"data": {"t": 21.5, "ok": True}})
    assert (sent.status, sent.json["stored_in_iotdb"]) == (201, True)
    path = f"/api/v1/telemetry/{registered.json['device']['id']}/latest"
    assert nobody.get(path).status == 404
    consumer = subprocess.Popen(
        [sys.executable, "-m", "infra.local.consumer"],
        cwd=ROOT,
        env=os.environ | {"IOTFLOW_DATA": str(tmp_path / "data")},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert eventually(lambda: nobody.get(path).status == 200, deadline_s=20)
    finally:
        consumer.terminate()
        consumer.wait(10)
    row = nobody.get(path).json["latest_data"]
    assert (row["t"], row["ok"], row["device_id"]) == (21.5, True, "1")
    assert device.get("/api/v1/devices/status").json["device"]["is_online"] is True
    assert nobody.get("/status").json["status"] == "healthy"


def test_chalice_local_refuses_in_our_words(port: int) -> None:
    nobody = Client(f"http://127.0.0.1:{port}")
    for answer, status in (
        (nobody.get("/api/v1/devices/status"), 401),
        (nobody.get("/api/v1/telemetry/9"), 404),
        (nobody.delete("/api/v1/devices/register"), 405),
        (nobody.post("/api/v1/devices/register", {"name": ""}), 400),
        (nobody.call("POST", "/api/v1/devices/register", b"{", Content_Type="text/plain"), 415),
    ):
        assert answer.status == status, answer.body
        assert answer.json.keys() >= {"error", "message", "code", "request_id"}
        assert answer.headers["x-frame-options"] == "DENY"
    assert nobody.call("HEAD", "/health").status == 200
