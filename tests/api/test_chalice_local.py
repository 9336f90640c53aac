"""Plain `chalice local` serves the same app, without its stall of 44 ms a request."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_chalice_local_answers_without_a_stall(port: int) -> None:
    """With Nagle's algorithm each keep-alive request took 44 ms; no run of twenty can then be under 0.5 s."""
    wire = Wire(port)
    try:
        fastest_s = 60.0
        for _ in range(5):
            began_s = time.monotonic()
            for _ in range(20):
                reply = wire.request("GET /health HTTP/1.1\nHost: x")
                assert (reply.status, reply.json["status"]) == (200, "healthy")
            fastest_s = min(fastest_s, time.monotonic() - began_s)
        assert fastest_s < 0.5
    finally:
        wire.close()
