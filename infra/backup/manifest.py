"""What a backup says of itself: the first member of the archive, and what every other member is checked against."""

import hashlib
import hmac
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.failure import Failure

NAME = "iotflow-backup.json"
PEPPER = "pepper"
FORMAT = 1
MAX_BYTES = 65_536
_BLOCK_BYTES = 1_048_576


class FileEntry(BaseModel):
    """One member: `schema_version` is that of a database, None for the pepper."""

    model_config = ConfigDict(frozen=True)

    name: str
    size_bytes: int
    sha256: str
    schema_version: int | None


class Manifest(BaseModel):
    """The whole backup.

    Attributes:
        format: Grows when an older release could misunderstand an archive.
        release: The IoTFlow that made it.
        created_at: When copying began, ISO 8601 UTC: everything acknowledged before is in the backup.
        pepper_check: Tells whether a pepper is the one under which the keys of the backup were hashed; None when
            there was none yet.
        files: The members, in their order.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    release: str
    created_at: str
    pepper_check: str | None
    files: tuple[FileEntry, ...]

    @property
    def holds_pepper(self) -> bool:
        """Whether the pepper is in the archive; it is not when IOTFLOW_PEPPER holds it."""
        return any(entry.name == PEPPER for entry in self.files)


def parse(text: bytes, archive: Path) -> Manifest:
    """Read a manifest.

    Raises:
        Failure: It is none, or one of a newer release.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        message = f"{archive} is not a backup of IoTFlow: its {NAME} cannot be read"
        raise Failure(message) from None
    if manifest.format > FORMAT:
        message = f"{archive} was made by IoTFlow {manifest.release}, whose backups this release cannot read: upgrade"
        raise Failure(message)
    return manifest


def pepper_check(pepper: bytes) -> str:
    """A word that is the same only for the same pepper, and from which it cannot be found."""
    return hmac.digest(pepper, b"iotflow backup", "sha256").hex()[:16]


def describe(path: Path, *, schema_version: int | None) -> FileEntry:
    """The entry of the file at *path*."""
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum.update(block)
    return FileEntry(
        name=path.name,
        size_bytes=path.stat().st_size,
        sha256=checksum.hexdigest(),
        schema_version=schema_version,
    )
