"""`doctor` beside an instance that runs, one that rests, and one that is broken in many places."""

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chalicelib.settings import Settings
from infra.failure import Exit
from infra.supervisor.plan import processes
from tests.e2e.installation import Installation, restore
from tests.e2e.instance import Instance, infra


def doctor(data: Path, *options: str, **environment: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit code of `doctor`, and its findings by subject."""
    done = infra("doctor", "--json", "--data", str(data), *options, environment=environment)
    report = json.loads(done.stdout)
    assert report["healthy"] == (done.returncode == 0)
    assert done.stderr == ""
    found: dict[str, list[dict[str, str]]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["subject"], []).append(finding)
    return done.returncode, found


def wrongs(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """What is wrong: subject -> remedy."""
    return {one["subject"]: one["remedy"] for each in found.values() for one in each if one["level"] == "wrong"}


def test_doctor_finds_a_running_instance_in_order(instance: Instance) -> None:
    code, found = doctor(instance.data)
    assert (code, wrongs(found)) == (0, {})
    assert [finding["sentence"] for finding in found["service"]] == [f"{instance.url}/status says healthy"]
    assert len(found["processes"]) == len(processes(Settings()))
    assert found["tokens"][0]["sentence"] == "1 administrator's token"


def test_doctor_of_a_service_with_closed_doors_asks_its_health(tmp_path: Path) -> None:
    with Instance(tmp_path / "var", {"IOTFLOW_STAGE": "prod"}) as instance:
        code, found = doctor(instance.data, IOTFLOW_STAGE="prod")
    assert code == 0
    assert found["service"][0]["sentence"] == f"{instance.url}/health answers; /status wants a token here"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_doctor_names_what_is_broken_and_what_mends_it(idle: Installation, tmp_path: Path, taken_port: int) -> None:
    """A readable pepper, a readable .env, a newer file, a damaged one, no Redis, a taken port, half a restore."""
    data = tmp_path / "var"
    restore(idle.archive, data)
    env = tmp_path / "env"
    env.write_text("REDIS_URL=redis://:hunter2@127.0.0.1:1/0\n")
    env.chmod(0o644)
    (data / "pepper").chmod(0o644)
    (data / "presence.db").write_bytes(b"no database" * 500)
    with closing(sqlite3.connect(data / "telemetry.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    (data / "replaced-then").mkdir()
    (data / "replaced-then" / "unfinished").touch()
    code, found = doctor(data, "--env", str(env), "--port", str(taken_port))
    assert code == Exit.FAILED
    given = f" --data {data} --env {env}"
    assert wrongs(found) == {
        "pepper": f"chmod 600 {data / 'pepper'}",
        "env file": f"chmod 600 {env}",
        "schemas": f"python3 -m infra restore FILE{given}",
        "redis": "start Redis there, correct REDIS_URL, or unset it; without it, limits are each process's own",
        "port": f"python3 -m infra up --port NUMBER{given}",
        "restore": f"python3 -m infra restore FILE{given}",
    }
    assert len([finding for finding in found["schemas"] if finding["level"] == "wrong"]) == 2
    assert found["tokens"][0]["remedy"] == f"python3 -m infra create-admin{given}"
    assert f"by process {os.getpid()}" in found["port"][0]["sentence"]
    assert "hunter2" not in json.dumps(found)


def test_doctor_goes_on_where_a_setting_is_wrong(tmp_path: Path) -> None:
    code, found = doctor(tmp_path, PORT="many")
    assert code == Exit.FAILED
    assert found["settings"][0]["sentence"] == "PORT must be a whole number from 0 to 65535"
    assert found["packages"][0]["level"] == "ok"


def test_doctor_does_not_make_what_is_not_there(tmp_path: Path) -> None:
    code, found = doctor(tmp_path / "var", "--port", "0")
    assert code == 0
    assert found["data"][0]["level"] == "note"
    assert not list(tmp_path.iterdir())
