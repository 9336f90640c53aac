"""A service as its clients meet it: the real front and the real consumer, as processes, on a free loopback port."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chalicelib import devices, settings, tokens
from chalicelib.model import DEFAULT_TENANT, DeviceDraft, Scope
from chalicelib.wiring import Services
from infra.commands.test import without_settings
from infra.local.server import listen
from tests.api.client import Answer, Client
from tests.contract.eventually import eventually

ROOT = Path(__file__).parents[2]
GENEROUS = {
    "IOTFLOW_REGISTRATIONS_PER_MINUTE": "1000000",
    "IOTFLOW_FAILED_AUTH_PER_MINUTE": "1000000",
    "IOTFLOW_DEVICE_BURST": "1000000",
    "RATE_LIMIT_PER_MINUTE": "10000000",
}
"""Limits that no test reaches by accident."""


@dataclass(frozen=True)
class RegisteredDevice:
    """A device and its key."""

    id: int
    name: str
    key: str
    client: Client


class Service:
    """A running service.

    Attributes:
        url: Where it listens.
        data: Its data folder, with the log of its front.
        records: Its stores, opened by the test beside the service.
        pid: Of the front.
    """

    def __init__(self, data: Path, variables: Mapping[str, str]) -> None:
        self.data = data
        self._variables = {**variables, "IOTFLOW_DATA": str(data), "HOST": "127.0.0.1"}
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""

    @property
    def pid(self) -> int:
        """The front's."""
        return self._processes[0].pid

    @property
    def log(self) -> str:
        """What the front wrote so far."""
        return (self.data / "front.log").read_text(encoding="utf-8")

    @cached_property
    def records(self) -> Services:
        """The service's own stores."""
        return Services(settings.from_environment(self._variables))

    @property
    def nobody(self) -> Client:
        """A client without credentials."""
        return Client(self.url)

    @cached_property
    def admin(self) -> Client:
        """An administrator."""
        return self.nobody.with_token(self.token(Scope.ADMIN))

    def token(self, *scopes: Scope, expires_ms: int | None = None) -> str:
        """A new token with these scopes."""
        return tokens.issue_token(
            f"test {uuid.uuid4().hex}",
            frozenset(scopes),
            tenant=DEFAULT_TENANT,
            credentials=self.records.credentials,
            pepper=self.records.pepper,
            now_ms=now_ms(),
            expires_ms=expires_ms,
        ).text

    def device(self, name: str = "", **fields: Any) -> RegisteredDevice:
        """A new device; its name is unique unless given."""
        draft = DeviceDraft(**{"name": name or f"device-{uuid.uuid4().hex}", "device_type": "sensor", **fields})
        made = devices.register(
            draft,
            devices=self.records.devices,
            credentials=self.records.credentials,
            pepper=self.records.pepper,
            now_ms=now_ms(),
        )
        return RegisteredDevice(made.device.id, draft.name, made.key, self.nobody.with_key(made.key))

    def send(self, device: RegisteredDevice, document: Any, **headers: str) -> Answer:
        """Send telemetry and wait until it is stored."""
        answer = device.client.post("/api/v1/devices/telemetry", document, Prefer="wait=15", **headers)
        assert answer.status == 201, answer.body
        assert answer.json["stored"] is True, answer.body
        return answer

    def start(self, *, consume: bool = True) -> None:
        """Start the processes and wait until they serve."""
        self.data.mkdir(parents=True, exist_ok=True)
        with listen("127.0.0.1", 0) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._spawn("front", "--fd", str(listener.fileno()), descriptor=listener.fileno())
            if consume:
                self._spawn("consumer")
        assert eventually(self._healthy, deadline_s=30), self.log

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> None:
        """End the processes; the last to start is the first to go."""
        for process in reversed(self._processes):
            process.send_signal(signal_number)
        for process in self._processes:
            process.wait(15)
        self._processes.clear()

    def _spawn(self, name: str, *arguments: str, descriptor: int | None = None) -> None:
        with (self.data / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"infra.local.{name}", *arguments],
                cwd=ROOT,
                env={**without_settings(os.environ), **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=() if descriptor is None else (descriptor,),
            )
        self._processes.append(process)

    def _healthy(self) -> bool:
        try:
            return self.nobody.get("/health").status == 200
        except OSError:
            return False


def now_ms() -> int:
    """The present, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@contextmanager
def running(data: Path, *, consume: bool = True, **variables: str) -> Iterator[Service]:
    """A service until the block ends, with generous limits unless *variables* say otherwise; empty: the default."""
    chosen = {name: value for name, value in {**GENEROUS, **variables}.items() if value}
    service = Service(data, chosen)
    service.start(consume=consume)
    try:
        yield service
    finally:
        service.stop()
