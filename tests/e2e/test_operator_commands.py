"""The operator's commands beside an instance that runs, one that rests, and one that is broken."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chalicelib.settings import Settings
from infra.commands import VERBS
from infra.databases import DatabaseFile, databases
from infra.failure import Exit
from tests.e2e.installation import DEVICE_NAMES, Installation, content, data_of, refusal, restore
from tests.e2e.instance import ROOT, Instance, infra
from tests.e2e.posting import Owner, call


def said(process: subprocess.CompletedProcess[str], code: Exit = Exit.OK) -> Any:
    """The JSON that a command printed."""
    assert process.returncode == code, process.stderr
    return json.loads(process.stdout)


def as_token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_administrator_made_beside_a_running_service_is_known_at_once(instance: Instance) -> None:
    made = said(infra("create-admin", "--json", "--name", "anna", *data_of(instance.data)))
    assert call(instance.url, "/api/v1/admin/tokens", headers=as_token(made["token"]))[0] == 200
    entries = call(instance.url, "/api/v1/admin/audit", headers=as_token(made["token"]))[1]["entries"]
    assert entries[0]["action"] == "create_token"
    assert entries[0]["target"] == "token:anna"
    assert entries[0]["actor"].startswith("operator:")
    assert made["token"] not in json.dumps(entries)


def test_administrators_without_a_name_get_one_each(tmp_path: Path) -> None:
    names = [said(infra("create-admin", "--json", *data_of(tmp_path)))["name"] for _ in range(3)]
    assert names == ["admin", "admin 2", "admin 3"]
    again = infra("create-admin", "--name", "admin 2", *data_of(tmp_path))
    assert "name" in refusal(again)


def test_secrets_are_shown_once_and_kept_nowhere(tmp_path: Path) -> None:
    token = said(infra("create-admin", "--json", *data_of(tmp_path)))["token"]
    key = said(infra("create-device", "d", "--json", *data_of(tmp_path)))["api_key"]
    for secret in (token, key):
        assert not any(secret[-30:].encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert secret not in infra("tokens", *data_of(tmp_path)).stdout


def test_device_made_beside_a_running_service_may_send_at_once(instance: Instance) -> None:
    made = said(infra("create-device", "boiler", "--type", "heating", "--json", *data_of(instance.data)))
    assert (made["name"], made["device_type"]) == ("boiler", "heating")
    headers = {"X-API-Key": made["api_key"]}
    sent = call(instance.url, "/api/v1/devices/telemetry", body={"data": {"t": 61.5}}, headers=headers)
    assert sent[0] == 201
    own = call(instance.url, "/api/v1/devices/status", headers=headers)[1]["device"]
    assert (own["id"], own["device_type"]) == (made["id"], "heating")


@pytest.mark.parametrize("name", ["boiler", "", "x" * 101, "line\nbreak"])
def test_device_that_cannot_be_made_is_refused(tmp_path: Path, name: str) -> None:
    assert infra("create-device", "boiler", *data_of(tmp_path)).returncode == 0
    refusal(infra("create-device", name, *data_of(tmp_path)), Exit.FAILED if name == "boiler" else Exit.BAD_OPTION)
    assert said(infra("shell", "-c", DEVICE_NAMES, *data_of(tmp_path))) == ["boiler"]


def test_token_lives_within_its_scopes_until_it_is_revoked(instance: Instance) -> None:
    where = data_of(instance.data)
    made = said(infra("tokens", "create", "grafana", "--scopes", "devices:read", "--expires", "1d", "--json", *where))
    headers = as_token(made["token"])
    assert call(instance.url, "/api/v1/admin/devices", headers=headers)[0] == 200
    assert call(instance.url, "/api/v1/admin/tokens", headers=headers)[0] == 403
    listed = {token["name"]: token for token in said(infra("tokens", *where, "list", "--json"))}
    assert listed["grafana"]["scopes"] == ["devices:read"]
    assert listed["grafana"]["expires_at"] == made["expires_at"]
    assert infra("tokens", "revoke", made["id"], *where).stdout == "Token grafana is revoked.\n"
    assert call(instance.url, "/api/v1/admin/devices", headers=headers)[0] == 401
    assert "there is no token with the id" in refusal(infra("tokens", "revoke", made["id"], *where))


def test_token_with_an_unknown_scope_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    sentence = refusal(infra("tokens", "create", "x", "--scopes", "root", *data_of(tmp_path)), Exit.BAD_OPTION)
    assert "devices:read" in sentence


def test_lists_do_not_make_an_installation_of_a_typo(tmp_path: Path) -> None:
    sentence = refusal(infra("tokens", *data_of(tmp_path / "vra")), Exit.DATA_FOLDER)
    assert f"there is no data directory {tmp_path / 'vra'}" in sentence
    assert not list(tmp_path.iterdir())


def first_versions(data: Path) -> list[DatabaseFile]:
    """Every database as the first release made it."""
    data.mkdir(exist_ok=True)
    found = databases(Settings(data=data))
    for database in found:
        database._replace(migrations=database.migrations[:1]).migrate()
    return found


def test_migrate_brings_files_of_the_first_version_forward(tmp_path: Path) -> None:
    found = first_versions(tmp_path)
    changes = said(infra("migrate", "--json", *data_of(tmp_path)))
    assert changes == [{"file": str(each.path), "from": 1, "to": each.newest} for each in found]
    assert [each.version() for each in found] == [each.newest for each in found]
    shown = infra("migrate", *data_of(tmp_path)).stdout
    assert all(f"{each.name} " in shown for each in found)
    assert shown.count("is the newest") == len(found)


def test_migrate_of_an_empty_file_says_from_0(tmp_path: Path) -> None:
    (tmp_path / "queue.db").touch()
    assert said(infra("migrate", "--json", *data_of(tmp_path)))[0]["from"] == 0
    assert "0 -> " not in infra("migrate", *data_of(tmp_path)).stdout


@pytest.mark.parametrize("spoiled", ["audit.db", "idempotency.db"])
def test_migrate_refuses_a_newer_schema_before_it_changes_anything(tmp_path: Path, spoiled: str) -> None:
    first_versions(tmp_path)
    with closing(sqlite3.connect(tmp_path / spoiled)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
        connection.executescript("DROP TABLE message; DROP TABLE delivery; PRAGMA user_version = 0")
    sentence = refusal(infra("migrate", *data_of(tmp_path)))
    assert f"{tmp_path / spoiled} has schema 99, and this release knows up to" in sentence
    assert "upgrade IoTFlow" in sentence
    with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)


def test_reset_asks_and_deletes_only_what_is_its_own(idle: Installation, tmp_path: Path) -> None:
    restore(idle.archive, tmp_path)
    (tmp_path / "notes.txt").write_text("not ours")
    before = content(tmp_path)
    unasked = infra("reset", *data_of(tmp_path))
    assert unasked.returncode == Exit.BAD_OPTION
    assert "devices.db" in unasked.stdout
    assert content(tmp_path) == before
    assert infra("reset", "--yes", *data_of(tmp_path)).returncode == 0
    assert list(content(tmp_path)) == ["notes.txt"]
    assert "nothing to delete" in infra("reset", "--yes", *data_of(tmp_path)).stdout


def test_reset_refuses_a_running_service_and_the_next_start_is_the_first(instance: Instance) -> None:
    first = instance.token
    assert "stop it with down" in refusal(infra("reset", "--yes", *data_of(instance.data)), Exit.ALREADY_RUNNING)
    instance.down()
    assert infra("reset", "--yes", *data_of(instance.data)).returncode == 0
    instance.up()
    assert instance.token != first
    assert call(instance.url, "/api/v1/admin/tokens", headers=as_token(first))[0] == 401


def test_shell_reads_from_a_pipe(idle: Installation, tmp_path: Path) -> None:
    restore(idle.archive, tmp_path)
    command = [sys.executable, "-m", "infra", "shell", *data_of(tmp_path)]
    lines = "print(services.queue.ledger().accepted)\nprint(now_ms() > 0, keys.parse_key('x'), DeviceRef('t', 1).id)\n"
    done = subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "5\n" in done.stdout
    assert "True None 1\n" in done.stdout


def test_settings_verb_prints_env_example() -> None:
    assert infra("settings").stdout == (ROOT / ".env.example").read_text(encoding="utf-8")


OPERATORS = ("create-admin", "create-device", "tokens", "backup", "restore", "migrate", "reset", "shell", "doctor")


@pytest.mark.parametrize("verb", [*OPERATORS, "settings"])
def test_help_of_every_operators_verb_has_an_example(verb: str) -> None:
    shown = infra(verb, "--help")
    assert shown.returncode == 0
    assert f"Example: python3 -m infra {'backup' if verb == 'reset' else verb}" in " ".join(shown.stdout.split())
    assert next(each.summary for each in VERBS if each.name == verb)[1:] in " ".join(shown.stdout.split())


@pytest.mark.parametrize("verb", [*(verb for verb in OPERATORS if verb != "doctor")])
def test_bad_setting_is_one_sentence_and_exit_code_2(tmp_path: Path, verb: str) -> None:
    extra = {"create-device": ["d"], "backup": [str(tmp_path / "b")], "restore": [str(tmp_path / "b")]}.get(verb, [])
    refused = infra(verb, *extra, *data_of(tmp_path), environment={"IOTFLOW_STORRE": "sqlite"})
    assert (
        refusal(refused, Exit.BAD_OPTION) == "IOTFLOW_STORRE is not a setting of IoTFlow; .env.example lists them all"
    )


def test_devices_key_works_after_every_command(instance: Instance) -> None:
    """None of the commands that only look disturbs a running service."""
    made = said(infra("create-device", "d", "--json", *data_of(instance.data)))
    owner = Owner(made["id"], made["api_key"])
    for command in (["doctor"], ["migrate"], ["tokens"], ["shell", "-c", "pass"]):
        assert infra(*command, *data_of(instance.data)).returncode == 0
        headers = {"X-API-Key": owner.key}
        assert call(instance.url, "/api/v1/devices/heartbeat", headers=headers, method="POST")[0] == 200
