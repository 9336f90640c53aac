"""What `doctor` finds in a broken machine, broken settings and a broken data directory."""

from pathlib import Path

import pytest

from chalicelib.settings import Settings
from infra.databases import DatabaseFile
from infra.doctor import configuration, data, machine
from infra.doctor.finding import Level

PUBLIC = "192.0.2.1"


@pytest.mark.parametrize(("version", "level"), [((3, 10, 9), Level.WRONG), ((3, 11, 0), Level.OK)])
def test_python_is_3_11_or_newer(version: tuple[int, ...], level: Level) -> None:
    assert machine.python(version).level == level


@pytest.mark.parametrize(("version", "level"), [((3, 36, 0), Level.WRONG), ((3, 37, 0), Level.OK)])
def test_sqlite_has_strict_tables(version: tuple[int, ...], level: Level) -> None:
    assert machine.sqlite(version).level == level


def pins(folder: Path) -> Path:
    file = folder / "local.txt"
    file.write_text("# pinned\nalpha==1.0\nbeta==2.0 ; sys_platform == 'win32'\n    # via alpha\n")
    return file


@pytest.mark.parametrize(
    ("installed", "level", "words"),
    [
        ({"alpha": "1.0"}, Level.OK, "2 packages as they are pinned"),
        ({"alpha": "1.0", "beta": "2.0"}, Level.OK, "2 packages as they are pinned"),
        ({"alpha": "1.1"}, Level.WRONG, "alpha 1.0 is pinned, 1.1 is installed"),
        ({}, Level.WRONG, "alpha 1.0 is pinned, nothing is installed"),
    ],
    ids=["as pinned", "optional too", "another version", "missing"],
)
def test_packages_are_those_that_are_pinned(
    tmp_path: Path, installed: dict[str, str], level: Level, words: str
) -> None:
    (finding,) = machine.packages([pins(tmp_path)], installed.get)
    assert (finding.level, finding.sentence) == (level, words)
    assert bool(finding.remedy) == (level is Level.WRONG)


@pytest.mark.parametrize(
    ("hard", "level"), [(-1, Level.OK), (5000, Level.OK), (4999, Level.WARNING), (511, Level.WRONG)]
)
def test_few_file_descriptors_are_told(hard: int, level: Level) -> None:
    finding = machine.descriptors(hard, 5000)
    assert finding.level == level
    assert ("LimitNOFILE=5000" in finding.remedy) == (level is not Level.OK)


def test_clock_that_stepped_back_is_told() -> None:
    assert machine.clock(1_000_000.0, 1_000_000.0 + 299).level is Level.OK
    behind = machine.clock(1_000_000.0, 1_000_000.0 + 7200)
    assert (behind.level, behind.remedy) == (Level.WRONG, "timedatectl set-ntp true")
    assert "2.0 h behind" in behind.sentence


def test_missing_redis_server_is_only_a_note() -> None:
    assert machine.tools(lambda _name: None).level is Level.NOTE
    assert machine.tools(lambda name: f"/usr/bin/{name}").level is Level.OK


@pytest.mark.parametrize(
    ("mode", "values", "level"),
    [
        (0o644, {"REDIS_URL": "redis://:x@h"}, Level.WRONG),
        (0o600, {"REDIS_URL": "redis://:x@h"}, Level.OK),
        (0o644, {"PORT": "1"}, Level.OK),
        (0o644, {"REDIS_URL": ""}, Level.OK),
    ],
    ids=["secret, open", "secret, closed", "no secret", "secret without a value"],
)
def test_env_file_with_secrets_is_its_owners_alone(
    tmp_path: Path, mode: int, values: dict[str, str], level: Level
) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(mode)
    finding = configuration.env_file(file, values, ["REDIS_URL", "IOTFLOW_PEPPER"])
    assert finding.level == level
    assert "x@h" not in finding.sentence
    assert finding.remedy == (f"chmod 600 {file}" if level is Level.WRONG else "")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(), []),
        (Settings(stage="prod", host=PUBLIC), []),
        (Settings(host=PUBLIC), ["anybody who reaches 192.0.2.1 may register devices"]),
        (Settings(host=PUBLIC, enrollment_token="t"), []),
        (Settings(stage="prod", host=PUBLIC, public_telemetry=True), ["anybody who reaches 192.0.2.1 may read all"]),
        (Settings(pepper="short"), ["IOTFLOW_PEPPER has fewer than 32 characters"]),
        (Settings(pepper="p" * 32), []),
    ],
    ids=["local", "prod", "open registration", "enrolment", "public telemetry", "short pepper", "long pepper"],
)
def test_open_doors_are_told(settings: Settings, words: list[str]) -> None:
    found = [finding for finding in configuration.doors(settings) if finding.level is not Level.OK]
    assert [finding.sentence[: len(word)] for finding, word in zip(found, words, strict=True)] == words
    assert all(finding.level is Level.WARNING and finding.remedy for finding in found)


def test_data_directory_that_is_missing_is_made_at_the_first_start(tmp_path: Path) -> None:
    assert data.folder(tmp_path / "a" / "b").level is Level.NOTE


def test_data_directory_that_is_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    assert data.folder(tmp_path / "var").level is Level.WRONG


@pytest.mark.parametrize(("mode", "level"), [(0o700, Level.OK), (0o755, Level.WARNING)])
def test_data_directory_is_its_owners_alone(tmp_path: Path, mode: int, level: Level) -> None:
    tmp_path.chmod(mode)
    assert data.folder(tmp_path).level == level


@pytest.mark.parametrize(
    ("free_bytes", "level"), [(10**6, Level.WRONG), (5 * 10**8, Level.WARNING), (10**10, Level.OK)]
)
def test_full_disk_is_told(free_bytes: int, level: Level) -> None:
    finding = data.room(Path("/data"), free_bytes)
    assert finding.level == level
    assert ("IOTFLOW_RETENTION_DAYS" in finding.remedy) == (level is not Level.OK)


@pytest.mark.parametrize(
    ("content", "mode", "has_records", "level", "words"),
    [
        ("ab" * 32, 0o600, True, Level.OK, "its owner's alone"),
        ("ab" * 32, 0o640, True, Level.WRONG, "other users can read"),
        ("no secret", 0o600, True, Level.WRONG, "does not hold a secret"),
        ("", 0o600, True, Level.WRONG, "does not hold a secret"),
        (None, 0, True, Level.WRONG, "is gone, so no key works any more"),
        (None, 0, False, Level.OK, "is made at the first start"),
    ],
    ids=["whole", "open", "noise", "empty", "gone", "new"],
)
def test_pepper_is_there_whole_and_its_owners_alone(
    tmp_path: Path, content: str | None, mode: int, has_records: bool, level: Level, words: str
) -> None:
    if content is not None:
        (tmp_path / "pepper").write_text(content)
        (tmp_path / "pepper").chmod(mode)
    finding = data.pepper(Settings(data=tmp_path), has_records=has_records)
    assert finding.level == level
    assert words in finding.sentence


def test_pepper_of_the_environment_needs_no_file(tmp_path: Path) -> None:
    assert data.pepper(Settings(data=tmp_path, pepper="p"), has_records=True).level is Level.OK


def test_schemas_that_are_older_newer_or_no_database_are_told(tmp_path: Path) -> None:
    old = DatabaseFile("old.db", tmp_path / "old.db", ("CREATE TABLE a (x)",))
    old.migrate()
    younger = old._replace(migrations=("CREATE TABLE a (x)", "CREATE TABLE b (x)"))
    new = DatabaseFile("new.db", tmp_path / "new.db", ("CREATE TABLE a (x)", "CREATE TABLE b (x)"))
    new.migrate()
    damaged = DatabaseFile("damaged.db", tmp_path / "damaged.db", ("",))
    damaged.path.write_bytes(b"no database" * 100)
    found = list(data.schemas([old, younger, new._replace(migrations=new.migrations[:1]), damaged]))
    assert [finding.level for finding in found] == [Level.WARNING, Level.WRONG, Level.WRONG, Level.OK]
    assert found[0].remedy == "python3 -m infra migrate"
    assert "has schema 2, and this release knows up to 1" in found[1].sentence
    assert "file is not a database" in found[2].sentence
    assert found[3].sentence == "2 databases can be opened"


def test_restores_that_were_interrupted_or_finished_are_told(tmp_path: Path) -> None:
    for name in ("replaced-1", "replaced-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "devices.db").write_bytes(bytes(2_000_000))
    (tmp_path / "replaced-1" / "unfinished").touch()
    first, second = data.restores(tmp_path)
    assert (first.level, second.level) == (Level.WRONG, Level.NOTE)
    assert "2.0 MB" in second.sentence
    assert second.remedy == f"rm -r {tmp_path / 'replaced-2'}"
