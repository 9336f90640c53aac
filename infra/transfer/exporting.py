"""An export: readings of many devices, written in parts, each of which is complete before the manifest names it.

Where a part ends follows from the readings alone, so an export that was killed and goes on has the same bytes as one
that was not. Only the part that was being written is written again.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from chalicelib import exports
from chalicelib.exports import Wanted
from chalicelib.model import DEFAULT_TENANT, DeviceRef, Reading
from chalicelib.ports import ReadingStore
from infra.failure import Exit, Failure
from infra.transfer import manifest as manifests
from infra.transfer import writers
from infra.transfer.manifest import Manifest, Part

PART_READINGS = 250_000

Progress = Callable[[int, Reading], None]
"""Told the index of the device and a reading of it, now and then."""
TELL_EVERY = 1_000


class Target(NamedTuple):
    """Where an export goes: a directory of parts, or one file.

    Attributes:
        path: The directory, or the file when it is complete.
        single: Whether it is one file.
    """

    path: Path
    single: bool

    @property
    def manifest(self) -> Path:
        """The manifest's path."""
        return self.path.with_name(f"{self.path.name}.{manifests.NAME}") if self.single else self.path / manifests.NAME

    @property
    def unfinished(self) -> Path:
        """Where the single file grows."""
        return self.path.with_name(f"{self.path.name}.unfinished")

    def part(self, manifest: Manifest) -> tuple[Path, int]:
        """Path and offset of the next part."""
        if self.single:
            last = manifest.parts[-1] if manifest.parts else None
            return self.unfinished, last.offset + last.size_bytes if last else 0
        return self.path / f"part-{len(manifest.parts) + 1:05d}{writers.suffix(manifest.request)}", 0


def run(
    manifest: Manifest, target: Target, store: ReadingStore, tell: Progress, *, part_readings: int = PART_READINGS
) -> Manifest:
    """Write all parts that the manifest does not name yet; returns the complete manifest.

    Raises:
        Unavailable: The store does not answer; the same call goes on later.
        OSError: The disk is full, for one; likewise.
        Failure: A package that the format needs is not installed.
    """
    _require_parts(manifest, target)
    while not manifest.complete:
        part, last = _write_part(manifest, target, store, tell, part_readings)
        manifest = manifest.model_copy(update={"parts": (*manifest.parts, part), "complete": last})
        manifests.write(target.manifest, manifest)
    if target.single and target.unfinished.exists():
        target.unfinished.replace(target.path)
    return manifest


def _require_parts(manifest: Manifest, target: Target) -> None:
    """Refuse to go on from what is not there any more."""
    for part in manifest.parts:
        path = target.unfinished if target.single else target.path / part.file
        if not path.exists() or path.stat().st_size < part.offset + part.size_bytes:
            message = f"{path} is not as the export left it, so it cannot go on; --replace begins again"
            raise Failure(message, Exit.BAD_OPTION)


def _write_part(
    manifest: Manifest, target: Target, store: ReadingStore, tell: Progress, part_readings: int
) -> tuple[Part, bool]:
    path, offset = target.part(manifest)
    go_on, counts, written = manifest.go_on, dict[int, int](), 0
    with closing(writers.open_writer(manifest.request, manifest.columns, path, offset)) as writer:
        for index, reading in islice(_readings(manifest, store), part_readings):
            device = manifest.devices[index]
            writer.write(device.name, reading)
            counts[device.id] = counts.get(device.id, 0) + 1
            go_on = (index, reading.timestamp_ms + 1)
            written += 1
            if written % TELL_EVERY == 0:
                tell(index, reading)
    writers.sync(path)
    part = Part(
        file=target.path.name if target.single else path.name,
        offset=offset,
        size_bytes=path.stat().st_size - offset,
        sha256=manifests.checksum(path, offset),
        readings=counts,
        go_on=go_on,
    )
    return part, written < part_readings


def _readings(manifest: Manifest, store: ReadingStore) -> Iterator[tuple[int, Reading]]:
    """What no part holds yet, with the index of its device."""
    first, start_ms = manifest.go_on
    names = manifest.columns if manifest.request.wide else manifest.request.measurements
    for index in range(first, len(manifest.devices)):
        wanted = Wanted(start_ms if index == first else manifest.start_ms, manifest.end_ms, names)
        device = DeviceRef(DEFAULT_TENANT, manifest.devices[index].id)
        for reading in exports.stream(store, device, wanted):
            yield index, reading
