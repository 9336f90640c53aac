"""What operators' commands share: how each verb is declared, and how failures are told."""

import argparse
import io
import re
import sqlite3
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from chalicelib import wiring
from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.api.device_shapes import Registration
from chalicelib.errors import Conflict, Unavailable
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.commands import VERBS, backup
from infra.commands.reset import confirm
from infra.commands.shell import USE_CASES, banner, namespace
from infra.databases import databases
from infra.failure import Exit, Failure
from infra.installation import in_words


def test_every_verb_is_declared_by_its_module_and_says_how_it_is_used() -> None:
    for verb in VERBS:
        parser = argparse.ArgumentParser()
        getattr(import_module(verb.module), f"add_{verb.name.replace('-', '_')}")(parser)
        assert parser.format_help().startswith("usage: "), verb.name
        assert verb.summary


def test_backup_does_not_pretend_to_hold_the_records_of_dynamodb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTFLOW_DEVICES", "dynamodb")
    monkeypatch.setenv("IOTFLOW_TABLE", "records")
    parser = argparse.ArgumentParser()
    backup.add_backup(parser)
    options = parser.parse_args(["--data", str(tmp_path), str(tmp_path / "backup.tar.gz")])
    with pytest.raises(Failure, match="in the DynamoDB table records"):
        options.run(options)
    assert list(tmp_path.iterdir()) == []


def test_every_database_that_is_wired_is_backed_up_migrated_and_reset() -> None:
    """One that is missing belongs into infra.databases, before those that its rows rely on (infra.backup.writing)."""
    wired = set(re.findall(r'_file\("(\w+\.db)"\)', Path(wiring.__file__).read_text(encoding="utf-8")))
    assert wired == {database.name for database in databases(Settings())}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("idempotency.db", "queue.db"),
        ("queue.db", "telemetry.db"),
        ("telemetry.db", "devices.db"),
        ("presence.db", "devices.db"),
        ("commands.db", "devices.db"),
        ("devices.db", "audit.db"),
    ],
)
def test_database_is_copied_before_the_one_that_its_rows_rely_on(first: str, then: str) -> None:
    order = [database.name for database in databases(Settings())]
    assert order.index(first) < order.index(then)


def test_shell_knows_the_ports_and_the_use_cases_by_name() -> None:
    services = Services(Settings(devices="memory", queue="memory", store="memory"))
    names = namespace(services)
    assert names["services"] is services
    assert set(USE_CASES) <= set(names)
    assert names["DeviceRef"]("default", 1).id == 1
    assert all(name in banner(services) for name in USE_CASES)


def conflict() -> None:
    raise Conflict("The name is taken")


def silent() -> None:
    raise Unavailable("The database devices.db does not answer")


def newer() -> None:
    raise NewerSchemaError("devices.db has schema 9")


def invalid() -> None:
    Registration.model_validate({"name": "", "device_type": "t"})


def sick() -> None:
    raise sqlite3.OperationalError("disk I/O error")


def full() -> None:
    raise OSError(28, "No space left on device", "/data/queue.db")


@pytest.mark.parametrize(
    ("action", "sentence", "code"),
    [
        (conflict, "The name is taken", Exit.FAILED),
        (silent, "The database devices.db does not answer; python3 -m infra doctor looks for the reason", Exit.FAILED),
        (newer, "devices.db has schema 9", Exit.FAILED),
        (invalid, "name: String should have at least 1 character", Exit.BAD_OPTION),
        (sick, "SQLite says: disk I/O error; python3 -m infra doctor looks for the reason", Exit.FAILED),
        (full, "/data/queue.db: No space left on device", Exit.DATA_FOLDER),
    ],
)
def test_failure_with_a_meaning_is_one_sentence(action: Callable[[], None], sentence: str, code: Exit) -> None:
    with pytest.raises(Failure) as raised, in_words():
        action()
    assert (str(raised.value), raised.value.code) == (sentence, code)


def test_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), in_words():
        _ = 1 // 0


@pytest.mark.parametrize("answer", ["no\n", "y\n", "\n", ""])
def test_reset_needs_a_yes(answer: str) -> None:
    with pytest.raises(Failure, match="nothing was deleted"):
        confirm([], io.StringIO(answer))


def test_reset_goes_on_with_a_yes() -> None:
    confirm([], io.StringIO("Yes\n"))
