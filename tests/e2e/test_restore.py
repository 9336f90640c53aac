"""Restore: what it refuses, what it replaces, and what it leaves when it fails."""

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from chalicelib.settings import Settings
from infra.backup import swap
from infra.backup.manifest import NAME, FileEntry
from infra.backup.reading import Staged
from infra.failure import Exit
from tests.e2e.installation import DEVICE_NAMES, Installation, content, data_of, is_settled, refusal, restore
from tests.e2e.instance import Instance, eventually, infra
from tests.e2e.posting import call


def test_restore_refuses_a_running_service(idle: Installation, instance: Instance) -> None:
    before = call(instance.url, "/api/v1/admin/tokens", headers={"Authorization": f"Bearer {instance.token}"})
    sentence = refusal(infra("restore", str(idle.archive), *data_of(instance.data)), Exit.ALREADY_RUNNING)
    assert f"process {instance.pids['supervisor']}; stop it with down" in sentence
    assert before == call(instance.url, "/api/v1/admin/tokens", headers={"Authorization": f"Bearer {instance.token}"})


def test_restore_refuses_while_another_program_has_a_database_open(idle: Installation, tmp_path: Path) -> None:
    """`chalice local` has no supervisor, and would go on writing into files that nobody reads any more."""
    restore(idle.archive, tmp_path / "var")
    before = content(tmp_path / "var")
    with closing(sqlite3.connect(tmp_path / "var" / "queue.db")) as connection:
        connection.execute("SELECT count(*) FROM message").fetchone()
        sentence = refusal(infra("restore", str(idle.archive), *data_of(tmp_path / "var")), Exit.ALREADY_RUNNING)
    assert sentence == f"process {os.getpid()} has {tmp_path / 'var' / 'queue.db'} open; end it first"
    assert content(tmp_path / "var").keys() == before.keys()


def test_restore_replaces_everything_and_keeps_what_was_there(idle: Installation, tmp_path: Path) -> None:
    data = tmp_path / "var"
    made = json.loads(infra("create-device", "new", "--json", *data_of(data)).stdout)
    (data / "presence.db-wal").write_bytes(b"a log of the database that is replaced")
    before = content(data)
    report = restore(idle.archive, data)
    aside = Path(report["replaced"])
    assert content(aside) == before
    names = json.loads(infra("shell", "-c", DEVICE_NAMES, *data_of(data)).stdout)
    assert names == ["d"]
    assert made["name"] not in names
    assert not (data / "presence.db-wal").exists(), "it would be played into the restored database"
    assert {stat.S_IMODE((data / name).stat().st_mode) for name in idle.members if name != NAME} == {0o600}


@pytest.mark.parametrize(
    ("made_with", "restored_with", "words"),
    [
        (None, "p" * 40, "IOTFLOW_PEPPER is set, and not to the pepper of this backup: no key would work; unset it"),
        (
            "p" * 40,
            None,
            "the keys in this backup work with the IOTFLOW_PEPPER it was made with, and that is not set",
        ),
        ("p" * 40, "q" * 40, "that is another now"),
        ("p" * 40, "p" * 40, ""),
    ],
    ids=["file, set", "set, unset", "set, another", "set, same"],
)
def test_restore_under_which_no_key_would_work_is_refused(
    tmp_path: Path, made_with: str | None, restored_with: str | None, words: str
) -> None:
    first = {"IOTFLOW_PEPPER": made_with} if made_with else {}
    then = {"IOTFLOW_PEPPER": restored_with} if restored_with else {}
    assert infra("create-admin", *data_of(tmp_path / "var"), environment=first).returncode == 0
    said = infra("backup", str(tmp_path / "b.tar.gz"), *data_of(tmp_path / "var"), environment=first).stdout
    assert ("It does not hold IOTFLOW_PEPPER" in said) == bool(made_with)
    done = infra("restore", str(tmp_path / "b.tar.gz"), *data_of(tmp_path / "other"), environment=then)
    if words:
        assert words in refusal(done, Exit.BAD_OPTION)
        assert not content(tmp_path / "other")
    else:
        assert done.returncode == 0, done.stderr


def test_devices_elsewhere_are_backed_up_and_restored_to_elsewhere(tmp_path: Path) -> None:
    """DATABASE_URL, the predecessor's setting, may name any file."""
    here = {"DATABASE_URL": f"sqlite:///{tmp_path}/here/iotflow.db"}
    there = {"DATABASE_URL": f"sqlite:///{tmp_path}/there/iotflow.db"}
    assert infra("create-device", "d", *data_of(tmp_path / "var"), environment=here).returncode == 0
    archive = str(tmp_path / "b.tar.gz")
    assert infra("backup", archive, *data_of(tmp_path / "var"), environment=here).returncode == 0
    assert infra("restore", archive, *data_of(tmp_path / "other"), environment=there).returncode == 0
    shown = infra("shell", "-c", DEVICE_NAMES, *data_of(tmp_path / "other"), environment=there)
    assert json.loads(shown.stdout) == ["d"]
    assert not (tmp_path / "other" / "devices.db").exists()


def test_swap_that_fails_in_the_middle_puts_everything_back(tmp_path: Path) -> None:
    """The second file cannot be moved: it has gone."""
    settings = Settings(data=tmp_path)
    for name in ("queue.db", "queue.db-wal", "devices.db", "pepper"):
        (tmp_path / name).write_text(f"old {name}")
    before = content(tmp_path)
    (tmp_path / "queue.db.restoring").write_text("new")
    entry = FileEntry(name="", size_bytes=0, sha256="", schema_version=1)
    staged = [Staged(tmp_path / f"{name}.restoring", tmp_path / name, entry) for name in ("queue.db", "telemetry.db")]
    with pytest.raises(FileNotFoundError):
        swap.put_in_place(staged, settings, stamp="now")
    (tmp_path / "queue.db.restoring").unlink()
    assert content(tmp_path) == before
    assert not list(tmp_path.glob("replaced-*"))


def test_interrupted_restore_is_told_by_up_and_mended_by_the_next(idle: Installation, tmp_path: Path) -> None:
    """A machine that stopped in between has old and new files; a start would make empty ones of the missing."""
    data = tmp_path / "var"
    (data / "replaced-then").mkdir(parents=True)
    (data / "replaced-then" / "unfinished").touch()
    sentence = refusal(infra("up", "-d", "--port", "0", *data_of(data)), Exit.DATA_FOLDER)
    assert "was interrupted: restore again" in sentence
    assert not list(data.glob("*.db"))
    restore(idle.archive, data)
    with Instance(data) as restored:
        assert eventually(lambda: is_settled(restored.url))
