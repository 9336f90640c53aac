"""A backup of an installation that may be running.

Each database is copied as of one commit, with SQLite's online backup; nobody who writes has to wait. The copies are of
different instants, so their order decides what a restored installation knows. A file is copied before those that its
rows rely on:

* ``idempotency``, then ``queue``: a repeated request gets a first answer only if what it promised is in the backup.
* ``queue``, then ``telemetry``: a reading leaves the queue after it is stored, so what is not in the copy of the queue
  any more is in the later copy of the telemetry. What is in both is stored a second time after a restore, and changes
  nothing: (device, measurement, timestamp) is its identity. The ledger lies in the queue's file, and balances there.
* ``queue``, ``telemetry``, ``presence`` and ``commands``, then ``devices``: every device that they mention is known, so
  its readings are not taken for those of a removed device, and its id is not given to another one.
* ``devices``, then ``audit`` and the pepper: whatever was done is recorded, and every key can be checked.
"""

import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from chalicelib import times
from chalicelib.settings import Settings
from chalicelib.version import VERSION
from infra.backup.manifest import FORMAT, NAME, PEPPER, FileEntry, Manifest, describe, pepper_check
from infra.databases import DatabaseFile
from infra.failure import Exit, Failure

COMPRESSION = 3
"""Of 9. More takes three times as long, on the processors of the running service, for a few per cent."""


def write(target: Path, settings: Settings, sources: Iterable[DatabaseFile], *, now_ms: int) -> Manifest:
    """Make the archive *target*, readable by its owner only; it appears when it is complete, or not at all.

    Args:
        target: Replaced if it exists. Its folder needs room for uncompressed copies of the databases.
        settings: Of the installation.
        sources: Its databases, in the order in which `databases` has them.
        now_ms: When the backup begins.

    Raises:
        Failure: There is nothing to back up, a database is damaged, or one is of a newer release.
        OSError: The folder cannot be written, or is full.
    """
    with tempfile.TemporaryDirectory(prefix=".iotflow-backup-", dir=target.parent) as name:
        folder = Path(name)
        entries = [_copy(source, folder / source.name) for source in sources]
        if not entries:
            message = f"there is nothing to back up in {settings.data}"
            raise Failure(message, Exit.DATA_FOLDER)
        pepper = _copy_pepper(settings, folder, entries)
        manifest = Manifest(
            format=FORMAT,
            release=VERSION,
            created_at=times.to_iso(now_ms),
            pepper_check=pepper_check(pepper) if pepper else None,
            files=tuple(entries),
        )
        archive = folder / "archive"
        _pack(archive, manifest, folder, now_ms)
        archive.replace(target)
    _sync_folder(target.parent)
    return manifest


def _copy(source: DatabaseFile, path: Path) -> FileEntry:
    source.refuse_newer()
    with closing(source.connect()) as live, closing(sqlite3.connect(path)) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # a copy that a power cut spoils is never looked at again
        live.backup(copy)  # in one step: in several, each commit of another process would begin it anew
        copy.execute("PRAGMA journal_mode = DELETE")
    copied = source._replace(path=path)
    damage = copied.damage("quick_check")
    if damage:
        message = f"{source.path} is damaged ({damage}): there is no use in a backup of it; keep the last good one"
        raise Failure(message)
    return describe(path, schema_version=copied.version())


def _copy_pepper(settings: Settings, folder: Path, entries: list[FileEntry]) -> bytes:
    """Copy the pepper's file unless the environment holds the pepper; returns the pepper, empty when there is none."""
    if settings.pepper:
        return settings.pepper.encode()
    source = settings.data / PEPPER
    if not source.exists():
        return b""
    shutil.copyfile(source, folder / PEPPER)
    entries.append(describe(folder / PEPPER, schema_version=None))
    return bytes.fromhex(source.read_text(encoding="ascii").strip())


def _pack(archive: Path, manifest: Manifest, folder: Path, now_ms: int) -> None:
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as tar:
            text = manifest.model_dump_json(indent=2).encode() + b"\n"
            tar.addfile(_member(NAME, len(text), now_ms), io.BytesIO(text))
            _add_files(tar, manifest.files, folder, now_ms)
        file.flush()
        os.fsync(file.fileno())


def _add_files(tar: tarfile.TarFile, entries: Sequence[FileEntry], folder: Path, now_ms: int) -> None:
    for entry in entries:
        with (folder / entry.name).open("rb") as content:
            tar.addfile(_member(entry.name, entry.size_bytes, now_ms), content)


def _member(name: str, size_bytes: int, now_ms: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, 0o600, now_ms // 1000
    return member


def _sync_folder(folder: Path) -> None:
    """Make the archive's name as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
