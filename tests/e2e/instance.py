"""An instance of the product, started as its users start it, on a free port and a data directory of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
COMMAND_S = 60.0
"""No command of the operator takes this long, an installation aside."""


def infra(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python3 -m infra ...`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def eventually(condition: Callable[[], bool], deadline_s: float = 15.0) -> bool:
    """Whether *condition* comes true before the deadline."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits to be reaped does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


class Instance:
    """A running instance; use it in a with statement, which starts and stops it.

    Args:
        data: Its data directory.
        environment: Settings beside those of the test run.

    Attributes:
        url: Where it listens.
        mqtt_ports: Its ports by name: ``mqtt``, ``mqtt_websocket`` and, with a certificate, ``mqtt_tls``.
        token: The administrator's, from the first start.
        pids: Process ids by name, ``supervisor`` included, at the last start; `pid` asks anew.
    """

    def __init__(self, data: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.environment = dict(environment or {})
        self.url = ""
        self.token = ""
        self.pids: dict[str, int] = {}
        self.mqtt_ports: dict[str, int] = {}

    def up(self, *options: str) -> None:
        """Start it in the background and wait until it is ready."""
        where = ["--data", str(self.data), "--port", self.url.rpartition(":")[2] or "0", "--env", os.devnull]
        where += ["--mqtt-port", str(self.mqtt_ports.get("mqtt", 0))]
        started = infra("up", "-d", "--json", *where, *options, environment=self.environment)
        assert started.returncode == 0, started.stderr
        report = json.loads(started.stdout)
        self.url = report["url"]
        self.token = report["token"] or self.token
        self.pids = report["pids"]
        self.mqtt_ports = {name: port for name, port in report["ports"].items() if name != "http"}

    def down(self) -> None:
        """Stop it; nothing happens when it does not run."""
        stopped = infra("down", "--data", str(self.data))
        assert stopped.returncode in (0, 3), stopped.stderr

    def status(self) -> dict[str, Any]:
        """What ``status --json`` says."""
        found: dict[str, Any] = json.loads(infra("status", "--data", str(self.data), "--json").stdout)
        return found

    def process(self, name: str) -> dict[str, Any]:
        """What it says of one process: name, state, pid, restarts, uptime_s, last_exit."""
        return next(process for process in self.status()["processes"] if process["name"] == name)

    def pid(self, name: str) -> int | None:
        """The pid of a process now; None while it is not running."""
        found = self.status()["supervisor"] if name == "supervisor" else self.process(name)
        pid: int | None = found["pid"]
        return pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a process a signal, by default one that it cannot see coming; returns its pid."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)
        return pid

    def runs_again(self, name: str, old_pid: int) -> bool:
        """Whether the process was replaced and its successor serves, before a deadline."""

        def replaced() -> bool:
            found = self.process(name)
            return bool(found["state"] == "running" and found["pid"] != old_pid)

        return eventually(replaced)

    def has_ended(self) -> bool:
        """Whether every process of the last start ends before a deadline."""
        return eventually(lambda: not any(map(is_alive, self.pids.values())))

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
