"""Installations at rest, backups of them, and what a command says that refuses."""

import io
import json
import os
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from chalicelib import codec, devices, ingest
from chalicelib.model import DEFAULT_TENANT, Batch, DeviceDraft, DeviceRef, Reading
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.failure import Exit
from infra.installation import clock_ms
from tests.e2e.instance import infra
from tests.e2e.posting import FIRST_MS, Owner, ledger

DEVICE_NAMES = """
import json
print(json.dumps([d.name for d in services.devices.page("default", ports.DeviceFilter())]))
"""
"""What `shell -c` is to run."""


def data_of(path: Path) -> list[str]:
    return ["--data", str(path), "--env", os.devnull]


def backup(file: Path, data: Path, *options: str) -> dict[str, Any]:
    made = infra("backup", str(file), "--json", *options, *data_of(data))
    assert made.returncode == 0, made.stderr
    report: dict[str, Any] = json.loads(made.stdout)
    return report


def restore(file: Path, data: Path) -> dict[str, Any]:
    done = infra("restore", str(file), "--json", *data_of(data))
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def refusal(process: subprocess.CompletedProcess[str], code: Exit = Exit.FAILED) -> str:
    """What a command said that could not do it: one sentence."""
    assert process.returncode == code, process.stdout + process.stderr
    assert process.stdout == ""
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    return lines[0].removeprefix("iotflow: ")


def content(folder: Path) -> dict[str, str]:
    """Every file below *folder* but those of its supervisor, by checksum."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.parent.name not in {"run", "logs"})
    return {str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest() for file in files}


def is_settled(url: str) -> bool:
    book = ledger(url)
    return not book["queued"] + book["in_flight"]


class AtRest:
    """A data directory whose service is this test: it accepts and stores when it is told to.

    Args:
        data: The data directory, to be made.
        owner: Its device; a new one when omitted.
    """

    def __init__(self, data: Path, owner: Owner | None = None) -> None:
        data.mkdir(mode=0o700, exist_ok=True)
        self.settings = Settings(data=data)
        self.ports = Services(self.settings)
        self.owner = owner or self.register("d")

    def register(self, name: str) -> Owner:
        """Register one more device."""
        ports = self.ports
        made = devices.register(
            DeviceDraft(name=name, device_type="t"),
            devices=ports.devices,
            credentials=ports.credentials,
            pepper=ports.pepper,
            now_ms=clock_ms(),
        )
        return Owner(made.device.id, made.key)

    def accept(self, *numbers: int, of: Owner | None = None) -> None:
        """Queue a reading for each number, as `Load` posts it, of the first device when no other is named."""
        device = DeviceRef(DEFAULT_TENANT, (of or self.owner).id)
        for number in numbers:
            reading = Reading(device, FIRST_MS + 1000 * number, {"n": number})
            body = codec.batch_to_json(Batch(device, clock_ms(), (reading,)))
            self.ports.queue.send(body, readings=1, now_ms=clock_ms())

    def store(self) -> None:
        """Store what is queued."""
        queue = self.ports.queue
        sinks = ingest.Sinks(queue, self.ports.readings, self.ports.devices, self.ports.presence)
        while taken := queue.receive(limit=10, visibility_s=30, now_ms=clock_ms()):
            ingest.store(taken, sinks, now_ms=clock_ms())
            queue.delete([message.receipt for message in taken], now_ms=clock_ms())

    def stored(self, of: Owner | None = None) -> list[object]:
        """The numbers of the readings that are stored of a device."""
        device = DeviceRef(DEFAULT_TENANT, (of or self.owner).id)
        rows = self.ports.readings.read(device, start_ms=0, end_ms=2 * FIRST_MS, limit=1000)
        return [row.values["n"] for row in rows]


class Installation:
    """A data directory with five readings accepted of which three wait, and a backup of it.

    Attributes:
        members: The archive's, by name, in their order.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "var"
        self.archive = folder / "backup.tar.gz"
        service = AtRest(self.data)
        service.accept(0, 1)
        service.store()
        service.accept(1, 2, 3)
        self.owner = service.owner
        backup(self.archive, self.data)
        with tarfile.open(self.archive) as tar:
            self.members = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}
