"""Checks of the data directory: rights, room, the pepper, schemas, what an interrupted restore left."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from chalicelib.settings import Settings
from infra.backup.manifest import PEPPER
from infra.backup.marker import ASIDE, UNFINISHED, unfinished
from infra.databases import DatabaseFile
from infra.doctor.configuration import others_may_read
from infra.doctor.finding import Finding, note, ok, warning, wrong
from infra.failure import Failure

TIGHT_BYTES = 1_000_000_000
FULL_BYTES = 200_000_000
"""Less than this is gone within minutes: the write-ahead log alone may take 128 MB."""


def folder(data: Path) -> Finding:
    """Whether the data directory can be used, by nobody else."""
    if not data.exists():
        above = next(parent for parent in data.parents if parent.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return wrong("data", f"{data} cannot be made: {above} is not writable", "choose another with --data")
        return note("data", f"{data} does not exist yet", "python3 -m infra up")
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return wrong("data", f"{data} is not a directory that can be written", f"chown -R $USER {data}")
    if others_may_read(data):
        return warning("data", f"other users can look into {data}", f"chmod 700 {data}")
    return ok("data", f"{data}")


def owners(data: Path, files: list[Path]) -> Iterator[Finding]:
    """Whether all *files* belong to the owner of the directory, who runs the service."""
    owner = data.stat().st_uid
    foreign = [file for file in files if file.stat().st_uid != owner]
    if foreign:
        sentence = f"{foreign[0]} does not belong to the owner of the directory, who runs the service"
        yield wrong("data", sentence, f"chown -R --reference={data} {data}")


def room(data: Path, free_bytes: int) -> Finding:
    """Whether the disk has room. Full, it is answered with 503 and nothing is lost, but nothing is taken either."""
    sentence = f"{free_bytes / 1e9:.1f} GB are free where {data} is"
    remedy = "make room, or let old telemetry go with IOTFLOW_RETENTION_DAYS"
    if free_bytes < FULL_BYTES:
        return wrong("disk", sentence, remedy)
    return warning("disk", sentence, remedy) if free_bytes < TIGHT_BYTES else ok("disk", sentence)


def pepper(settings: Settings, *, has_records: bool) -> Finding:
    """Whether the secret under which keys are hashed is there, whole, and its owner's alone."""
    path = settings.data / PEPPER
    if settings.pepper:
        return ok("pepper", "IOTFLOW_PEPPER")
    if not path.exists():
        if not has_records:
            return ok("pepper", "is made at the first start")
        sentence = f"{path} is gone, so no key works any more"
        return wrong("pepper", sentence, "put it back from a backup: tar -xzf FILE.tar.gz pepper")
    if others_may_read(path):
        return wrong("pepper", f"other users can read {path}", f"chmod 600 {path}")
    try:
        whole = len(bytes.fromhex(path.read_text(encoding="ascii"))) > 0
    except (OSError, ValueError):
        whole = False
    if not whole:
        sentence = f"{path} cannot be read, or does not hold a secret"
        return wrong("pepper", sentence, "put it back from a backup: tar -xzf FILE.tar.gz pepper")
    return ok("pepper", f"{path} is its owner's alone")


def schemas(databases: list[DatabaseFile]) -> Iterator[Finding]:
    """Whether each of *databases*, whose files exist, can be opened by this release."""
    sound = 0
    for database in databases:
        try:
            version = database.refuse_newer()
        except Failure as failure:
            yield wrong("schemas", str(failure), "python3 -m infra restore FILE")
            continue
        if version < database.newest:
            sentence = f"{database.path} has schema {version}, {database.newest} is the newest; a start migrates it"
            yield warning("schemas", sentence, "python3 -m infra migrate")
        sound += 1
    if sound:
        yield ok("schemas", f"{sound} databases can be opened")


def restores(data: Path) -> Iterator[Finding]:
    """Whether a restore was interrupted, and what finished ones left for the operator."""
    for marker in unfinished(data):
        sentence = f"a restore was interrupted: old and new files are mixed; what was there is in {marker.parent}"
        yield wrong("restore", sentence, "python3 -m infra restore FILE")
    for aside in sorted(data.glob(f"{ASIDE}*")):
        if aside.is_dir() and not (aside / UNFINISHED).exists():
            size_bytes = sum(file.stat().st_size for file in aside.iterdir())
            sentence = f"{aside} holds {size_bytes / 1e6:.1f} MB that a restore replaced"
            yield note("restore", sentence, f"rm -r {aside}")


def free_bytes(path: Path) -> int:
    """What is free on the disk where *path* is, or will be."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(existing).free
