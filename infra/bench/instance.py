"""An instance that belongs to the benchmark alone: a free port, a data folder of its own, no limits in the way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.bench.machine import cpu_seconds, memory_mb
from infra.bootstrap import ROOT
from infra.failure import Failure

NO_LIMITS = {
    "RATE_LIMIT_PER_MINUTE": "10000000",
    "IOTFLOW_DEVICE_BURST": "1000000",
    "IOTFLOW_ADDRESS_RATE_PER_MINUTE": "100000000",
    "IOTFLOW_REGISTRATIONS_PER_MINUTE": "1000000",
}
COMMAND_S = 60.0
STORED_WITHIN_S = 120.0


class Device:
    """A registered device: its id and its key."""

    def __init__(self, device_id: int, key: str) -> None:
        self.id = device_id
        self.key = key


class Instance:
    """Runs within a with statement.

    Args:
        data: Its data folder; must exist.
        settings: Beside the defaults.

    Attributes:
        port: Where it listens, on loopback; `mqtt_port` for MQTT, 0 where devices connect to a broker.
        pids: Of its processes by name, ``supervisor`` included.
    """

    def __init__(self, data: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self._settings = dict(settings or {})
        self.port = 0
        self.mqtt_port = 0
        self.pids: dict[str, int] = {}
        self._connection: HTTPConnection | None = None

    def __enter__(self) -> Self:
        where = ("--port", "0", "--data", str(self.data), "--env", os.devnull)
        started = _infra("up", "-d", "--json", *where, settings=self._settings)
        report = json.loads(started)
        self.port = int(report["url"].rpartition(":")[2])
        self.mqtt_port = report["ports"].get("mqtt", 0)
        self.pids = report["pids"]
        self._connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        _infra("down", "--data", str(self.data), "--env", os.devnull)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer to one request, over a connection that is kept.

        Raises:
            Failure: The answer is not a success.
        """
        content = self.raw(method, path, None if body is None else json.dumps(body).encode())
        return json.loads(content)

    def raw(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """`call` without reading the JSON."""
        if self._connection is None:
            message = "the instance does not run"
            raise RuntimeError(message)
        headers = {"Content-Type": "application/json"} if body else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            message = f"{method} {path} was answered {answer.status}: {content[:200].decode(errors='replace')}"
            raise Failure(message)
        return content

    def register(self, count: int) -> list[Device]:
        """Register *count* devices."""
        answers = [
            self.call("POST", "/api/v1/devices/register", {"name": f"bench-{number}", "device_type": "bench"})["device"]
            for number in range(count)
        ]
        return [Device(answer["id"], answer["api_key"]) for answer in answers]

    def ledger(self) -> dict[str, Any]:
        """Where every accepted reading is."""
        ledger: dict[str, Any] = self.call("GET", "/api/v1/telemetry/status")["ledger"]
        return ledger

    def wait_until_stored(self) -> dict[str, Any]:
        """The ledger once nothing is queued or in flight.

        Raises:
            Failure: Not after two minutes.
        """
        deadline_s = time.monotonic() + STORED_WITHIN_S
        while time.monotonic() < deadline_s:
            ledger = self.ledger()
            if ledger["queued"] == ledger["in_flight"] == 0:
                return ledger
            time.sleep(0.01)
        message = f"not everything was stored within {STORED_WITHIN_S:g} s"
        raise Failure(message)

    def memory_mb(self) -> tuple[float, float]:
        """RSS and PSS of all its processes together."""
        each = [memory_mb(pid) for pid in self.pids.values()]
        return sum(rss for rss, _ in each), sum(pss for _, pss in each)

    def cpu_seconds(self, process: str) -> float:
        """Processor time that one of its processes has used."""
        return cpu_seconds(self.pids[process])


def _infra(*arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """Run another verb, with none of the settings of the instance that may run beside this one."""
    from chalicelib.settings import variables

    ours = {name for variable in variables().values() for name in variable.names}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {**NO_LIMITS, **(settings or {})}
    done = subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    if done.returncode:
        message = f"{arguments[0]} of the benchmark's instance failed: {done.stderr.strip()[-500:]}"
        raise Failure(message)
    return done.stdout
