"""What an export says of itself: what was asked for, how far it is, and the checksum of every part.

It is written after each part, so that the same command goes on after a kill. In a directory it is ``manifest.json``,
beside a single file it is ``FILE.manifest.json``.
"""

import hashlib
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.failure import Failure

NAME = "manifest.json"
_BLOCK_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Model):
    """The options, as they were given."""

    devices: tuple[str, ...]
    types: tuple[str, ...]
    start: str | None
    end: str
    measurements: tuple[str, ...] | None
    format: Literal["jsonl", "csv", "parquet", "tsfile"]
    wide: bool
    gzip: bool


class DeviceEntry(_Model):
    """A device as it was; an import makes it again from this."""

    id: int
    name: str
    device_type: str
    description: str = ""
    location: str = ""
    firmware_version: str = ""
    hardware_version: str = ""
    tags: tuple[str, ...] = ()


class Part(_Model):
    """A file, or a piece of one, that is complete.

    Attributes:
        offset: Where in the file it begins.
        readings: By device id.
        go_on: Index of the device and the millisecond from which the next part goes on.
    """

    file: str
    offset: int
    size_bytes: int
    sha256: str
    readings: dict[int, int]
    go_on: tuple[int, int]


class Manifest(_Model):
    """One export. `columns` are those of a table with a column a measurement."""

    iotflow_export: Literal[1] = 1
    release: str
    created_at: str
    request: Request
    start_ms: int
    end_ms: int
    devices: tuple[DeviceEntry, ...]
    columns: tuple[str, ...] | None
    parts: tuple[Part, ...] = ()
    complete: bool = False

    @property
    def go_on(self) -> tuple[int, int]:
        """Index of the device and the millisecond of the first reading that is not in a part."""
        return self.parts[-1].go_on if self.parts else (0, self.start_ms)

    @property
    def readings(self) -> dict[int, int]:
        """Of every device, how many readings the parts hold."""
        counts = {device.id: 0 for device in self.devices}
        for part in self.parts:
            for device_id, count in part.readings.items():
                counts[device_id] += count
        return counts


def read(path: Path) -> Manifest | None:
    """The manifest in a file; None when there is none.

    Raises:
        Failure: The file is something else, or of a newer release.
    """
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = f"{path} is not the manifest of an export that this release reads: {first['msg']}"
        raise Failure(message) from None


def write(path: Path, manifest: Manifest) -> None:
    """Replace the file, durably and at once."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(manifest.model_dump_json(indent=1).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def checksum(path: Path, offset: int = 0) -> str:
    """SHA-256 of a file from *offset* on, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
