"""A backup, unpacked beside the files that it is to replace, and verified there. Nothing is replaced here.

A member's name is only ever compared, never used as a path, so an archive cannot write anywhere else.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from chalicelib.settings import Settings
from infra.backup import manifest as manifests
from infra.backup.manifest import PEPPER, FileEntry, Manifest
from infra.databases import DatabaseFile, databases
from infra.failure import Exit, Failure

STAGED_SUFFIX = ".restoring"
_BLOCK_BYTES = 1_048_576


class Staged(NamedTuple):
    """A verified file that waits to be put in place; `schema_version` is the one it had in the backup."""

    path: Path
    target: Path
    entry: FileEntry


class Archive:
    """An archive that is open for reading. The manifest is read at once.

    Args:
        path: The file, for messages.
        tar: The same, open.

    Raises:
        Failure: It is not a backup, or one that this release cannot read.
    """

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self.path = path
        self._tar = tar
        first = tar.next()
        if first is None or first.name != manifests.NAME or not first.isreg() or first.size > manifests.MAX_BYTES:
            message = f"{path} is not a backup of IoTFlow: it does not begin with {manifests.NAME}"
            raise Failure(message)
        content = tar.extractfile(first)
        self.manifest: Manifest = manifests.parse(content.read() if content else b"", path)

    def stage(self, settings: Settings) -> list[Staged]:
        """Unpack every file beside its target and verify it; on failure everything unpacked is removed again.

        Raises:
            Failure: A member is missing, foreign or damaged, of a newer release, or the disk has no room.
        """
        known = {database.name: database for database in databases(settings)}
        targets = {name: database.path for name, database in known.items()} | {PEPPER: settings.data / PEPPER}
        self._refuse_foreign(targets)
        self._refuse_newer(known)
        self._refuse_without_room(settings.data)
        staged: list[Staged] = []
        try:
            for entry in self.manifest.files:
                target = targets[entry.name]
                staged.append(Staged(target.with_name(target.name + STAGED_SUFFIX), target, entry))
                self._unpack(staged[-1])
                if entry.name in known:
                    self._verify(known[entry.name]._replace(path=staged[-1].path), entry)
            self._refuse_more()
        except BaseException:
            discard(staged)
            raise
        return staged

    def _refuse_foreign(self, targets: Mapping[str, Path]) -> None:
        names = [entry.name for entry in self.manifest.files]
        foreign = next((name for name in names if name not in targets or names.count(name) > 1), None)
        if foreign is not None or not names:
            raise self._damaged(f"{foreign!r} does not belong into a backup" if names else "it is empty")

    def _refuse_newer(self, known: Mapping[str, DatabaseFile]) -> None:
        for entry in self.manifest.files:
            if entry.name in known and (entry.schema_version or 0) > known[entry.name].newest:
                message = (
                    f"{self.path} was made by IoTFlow {self.manifest.release}: its {entry.name} has schema "
                    f"{entry.schema_version}, this release knows up to {known[entry.name].newest}; upgrade first"
                )
                raise Failure(message)

    def _refuse_without_room(self, folder: Path) -> None:
        needed = sum(entry.size_bytes for entry in self.manifest.files)
        free = shutil.disk_usage(folder).free
        if needed > free:
            message = f"{folder} has {free // 1_000_000} MB of room, the backup needs {needed // 1_000_000} MB"
            raise Failure(message, Exit.DATA_FOLDER)

    def _refuse_more(self) -> None:
        if self._tar.next() is not None:
            raise self._damaged("it holds more than its manifest says")

    def _unpack(self, staged: Staged) -> None:
        entry = staged.entry
        member = self._tar.next()
        if member is None or member.name != entry.name or not member.isreg() or member.size != entry.size_bytes:
            raise self._damaged(f"{entry.name} is missing or not as the manifest says")
        content = self._tar.extractfile(member)
        if content is None or _write(content, staged.path) != entry.sha256:
            raise self._damaged(f"{entry.name} does not have the checksum of the manifest")

    def _verify(self, database: DatabaseFile, entry: FileEntry) -> None:
        damage = database.damage()
        if damage:
            raise self._damaged(f"{entry.name}: {damage}")
        version = database.version()
        if version != entry.schema_version:
            raise self._damaged(f"{entry.name} has schema {version}, not {entry.schema_version}")
        database.migrate()

    def _damaged(self, reason: str) -> Failure:
        return Failure(f"{self.path} is damaged or not a backup of IoTFlow: {reason}")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive.

    Raises:
        Failure: There is none, or it turns out within the block that it cannot be read to its end.
    """
    if not path.is_file():
        message = f"there is no file {path}"
        raise Failure(message, Exit.BAD_OPTION)
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            yield Archive(path, tar)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        message = f"{path} is damaged or not a backup of IoTFlow: {error}"
        raise Failure(message) from None


def discard(staged: list[Staged]) -> None:
    """Remove what was unpacked, and what SQLite may have left beside it."""
    for each in staged:
        for file in DatabaseFile("", each.path, ()).files:
            file.unlink(missing_ok=True)


def _write(content: IO[bytes], path: Path) -> str:
    """Write a file that only its owner can read, durably; returns its SHA-256."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    checksum = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:  # the service may run as the owner of the folder, who must be able to open this
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        while block := content.read(_BLOCK_BYTES):
            checksum.update(block)
            file.write(block)
        file.flush()
        os.fsync(descriptor)
    return checksum.hexdigest()
