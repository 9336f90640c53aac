"""Archives that must not be restored: damaged, foreign, from the future, or made to write elsewhere."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from infra.backup.manifest import NAME as MANIFEST
from infra.backup.marker import unfinished
from infra.failure import Exit
from tests.e2e.installation import Installation, content, data_of, refusal, restore
from tests.e2e.instance import infra

Members = Mapping[str, bytes]
Maker = Callable[[Members, Path], None]


def repack(members: Members, path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, held in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(held)
            tar.addfile(member, io.BytesIO(held))


def with_manifest(members: Members, **changes: object) -> dict[str, bytes]:
    manifest = json.loads(members[MANIFEST]) | changes
    return {**members, MANIFEST: json.dumps(manifest).encode()}


def with_file(members: Members, name: str, held: bytes, **changes: object) -> dict[str, bytes]:
    """The members with another *name*, whose entry in the manifest is right but for *changes*."""
    entries = [entry for entry in json.loads(members[MANIFEST])["files"] if entry["name"] != name]
    entry = {"name": name, "size_bytes": len(held), "sha256": sha256(held).hexdigest(), "schema_version": 1}
    rest = {key: value for key, value in members.items() if key != name}
    return {**with_manifest(rest, files=[*entries, {**entry, **changes}]), name: held}


def spoiled(held: bytes) -> bytes:
    return held[:4096] + b"\xff" * (len(held) - 4096)


def linked(members: Members, path: Path) -> None:
    """The queue is a link to a file of the machine."""
    with tarfile.open(path, "w:gz") as tar:
        for name, held in members.items():
            member = tarfile.TarInfo(name)
            if name == "queue.db":
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                member.size = len(held)
            tar.addfile(member, io.BytesIO(held))


def cut(part: float) -> Maker:
    def make(members: Members, path: Path) -> None:
        repack(members, path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])

    return make


def flipped(members: Members, path: Path) -> None:
    repack(members, path)
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 0x10
    path.write_bytes(held)


def packed(change: Callable[[Members], Members]) -> Maker:
    return lambda members, path: repack(change(members), path)


def written(held: bytes) -> Maker:
    def make(_members: Members, path: Path) -> None:
        path.write_bytes(held)

    return make


UNFIT: dict[str, tuple[Maker, str]] = {
    "empty": (written(b""), "not a backup of IoTFlow"),
    "text": (written(b"no archive at all" * 100), "not a backup of IoTFlow"),
    "cut at the beginning": (cut(0.02), "damaged or not a backup"),
    "cut in the middle": (cut(0.6), "damaged or not a backup"),
    "cut at the end": (cut(0.97), "damaged or not a backup"),
    "a bit flipped": (flipped, "damaged or not a backup"),
    "another archive": (packed(lambda _members: {"letter.txt": b"hello"}), f"does not begin with {MANIFEST}"),
    "no manifest": (
        packed(lambda members: {name: held for name, held in members.items() if name != MANIFEST}),
        f"does not begin with {MANIFEST}",
    ),
    "manifest of noise": (packed(lambda members: {**members, MANIFEST: b"{"}), f"its {MANIFEST} cannot be read"),
    "manifest of nothing": (packed(lambda members: with_manifest(members, files=[], pepper_check=None)), "it is empty"),
    "newer format": (packed(lambda members: with_manifest(members, format=2)), "cannot read: upgrade"),
    "path outside": (
        packed(lambda members: with_file(members, "../../evil", b"evil")),
        "'../../evil' does not belong into a backup",
    ),
    "absolute path": (
        packed(lambda members: with_file(members, "/tmp/evil", b"evil")),
        "'/tmp/evil' does not belong into a backup",
    ),
    "member outside the manifest": (
        packed(lambda members: {**members, "../../evil": b"evil"}),
        "it holds more than its manifest says",
    ),
    "link": (linked, "queue.db is missing or not as the manifest says"),
    "file missing": (
        packed(lambda members: {name: held for name, held in members.items() if name != "presence.db"}),
        "presence.db is missing",
    ),
    "other content": (
        packed(lambda members: {**members, "pepper": members["pepper"][::-1]}),
        "pepper does not have the checksum of the manifest",
    ),
    "damaged database": (
        packed(lambda members: with_file(members, "devices.db", spoiled(members["devices.db"]))),
        "devices.db: ",
    ),
    "no database": (
        packed(lambda members: with_file(members, "devices.db", b"no database" * 1000)),
        "devices.db: file is not a database",
    ),
    "newer schema": (
        packed(lambda members: with_file(members, "queue.db", members["queue.db"], schema_version=999)),
        "its queue.db has schema 999, this release knows up to",
    ),
    "schema that the file does not have": (
        packed(lambda members: with_file(members, "queue.db", members["queue.db"], schema_version=0)),
        "queue.db has schema",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_restore_of_an_unfit_archive_changes_nothing(idle: Installation, tmp_path: Path, kind: str) -> None:
    make, words = UNFIT[kind]
    data = tmp_path / "a" / "b" / "var"
    restore(idle.archive, data)
    before = content(tmp_path)
    archive = tmp_path / "unfit.tar.gz"
    make(idle.members, archive)
    assert words in refusal(infra("restore", str(archive), *data_of(data)))
    archive.unlink()
    assert content(tmp_path) == before
    assert not unfinished(data)


def test_restore_of_no_file_is_refused(tmp_path: Path) -> None:
    sentence = refusal(infra("restore", str(tmp_path / "no.tar.gz"), *data_of(tmp_path / "var")), Exit.BAD_OPTION)
    assert sentence == f"there is no file {tmp_path / 'no.tar.gz'}"
