"""The MQTT simulators against a running instance, as their users start them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.commands.certs import make
from tests.e2e.instance import ROOT, Instance, eventually
from tests.e2e.posting import call, register

RUN_S = 60.0
FLEET, DEVICE = "mqtt_fleet_simulator", "mqtt_device_simulator"


def command(program: str, served: Instance, keys: Path, *arguments: str, port: str = "mqtt") -> list[str]:
    """Return the command line of a simulator that prints its totals as JSON."""
    where = ["--url", served.url, "--host", "127.0.0.1", "--port", str(served.mqtt_ports[port]), "--keys", str(keys)]
    return [sys.executable, str(ROOT / "simulators" / f"{program}.py"), *where, "--json", *arguments]


def simulate(line: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Run a simulator to its end; return its exit code and its totals."""
    ended = subprocess.run(line, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


@contextmanager
def running(line: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a simulator beside the test; it is ended with it."""
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def totals_of(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Wait for the end of a simulator; return its exit code and its totals."""
    output, _ = process.communicate(timeout=RUN_S)
    return process.returncode, json.loads(output)


def rows(served: Instance, device_id: str | int) -> list[dict[str, Any]]:
    """Return everything that is stored of a device; nothing when there is no such device yet."""
    path = f"/api/v1/telemetry/{device_id}?start_time=2020-01-01&limit=10000"
    status, body = call(served.url, path)
    found: list[dict[str, Any]] = body["data"] if status == 200 else []
    return found


def admin(served: Instance, path: str, *, body: object = None, method: str = "") -> dict[str, Any]:
    """One call of the administrator's."""
    headers = {"Authorization": f"Bearer {served.token}"}
    status, found = call(served.url, path, body=body, headers=headers, method=method)
    assert status in (200, 201), found
    answer: dict[str, Any] = found
    return answer


def is_stored(served: Instance, totals: dict[str, Any]) -> bool:
    """Whether the rows of each device are exactly as many as were acknowledged."""
    return eventually(lambda: all(len(rows(served, each["id"])) == each["accepted"] for each in totals["fleet"]))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, and the authority that it is of."""
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, [])
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Instance]:
    """One instance for the tests that disturb nobody."""
    tls = {
        "MQTT_TLS_PORT": "0",
        "MQTT_TLS_CERTIFICATE": str(certificates / "server.crt"),
        "MQTT_TLS_PRIVATE_KEY": str(certificates / "server.key"),
    }
    with Instance(tmp_path_factory.mktemp("simulators") / "var", tls) as running:
        yield running


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--qos", "2", "--mqtt-version", "3.1.1"],
        ["--thingsboard"],
        ["--discovery"],
        ["--transport", "websockets"],
    ],
    ids=lambda arguments: " ".join(arguments) or "defaults",
)
def test_every_device_of_a_fleet_has_its_rows(served: Instance, tmp_path: Path, arguments: list[str]) -> None:
    port = "mqtt_websocket" if "websockets" in arguments else "mqtt"
    pace = ("--count", "4", "--duration", "2", "--interval", "0.5", "--no-stagger", "--failure-rate", "0")
    line = command(FLEET, served, tmp_path / "keys", *pace, "--on-duplicate", "suffix", *arguments, port=port)
    code, totals = simulate(line)
    assert (code, totals["readings"]["lost"], totals["readings"]["accepted"]) == (0, 0, 16)
    assert totals["devices"]["not_registered"] == 0
    assert is_stored(served, totals)


def test_reading_arrives_with_the_values_of_its_profile(served: Instance, tmp_path: Path) -> None:
    pace = ("--duration", "0.2", "--interval", "1", "--no-stagger", "--failure-rate", "0", "--seed", "3")
    code, totals = simulate(command(DEVICE, served, tmp_path / "keys", "--type", "smart_meter", *pace))
    assert code == 0
    assert is_stored(served, totals)
    (row,) = rows(served, totals["fleet"][0]["id"])
    assert row.keys() == {"timestamp", "device_id", "power", "voltage", "current", "frequency", "total_energy"}


def test_command_sent_over_http_is_carried_out_and_answered(served: Instance, tmp_path: Path) -> None:
    owner = register(served.url, "obedient")
    device, told = f"/api/v1/mqtt/device/{owner.id}/command", f"/api/v1/admin/devices/{owner.id}/commands"
    credentials = ("--username", str(owner.id), "--password", owner.key)
    with running(command(DEVICE, served, tmp_path / "keys", *credentials, "--duration", "30")) as process:
        sent = [
            admin(served, device, body={"command_type": kind, "command": {"config": {"interval_s": 9}}})
            for kind in ("reboot", "configure", "sing")
        ]

        def answers() -> list[str]:
            known = {each["id"]: each["status"] for each in admin(served, told)["commands"]}
            return [known[each["command_id"]] for each in sent]

        assert eventually(lambda: answers() == ["succeeded", "succeeded", "rejected"]), answers()
        process.terminate()
        code, totals = totals_of(process)
    assert (code, totals["commands"]) == (0, {"received": 3, "carried_out": 2})
    assert not (tmp_path / "keys").exists(), "a given key is nobody's to keep"


def test_desired_configuration_is_taken_and_reported(served: Instance, tmp_path: Path) -> None:
    owner = register(served.url, "configurable")
    twin = f"/api/v1/admin/devices/{owner.id}/twin"
    admin(served, twin, body={"desired": {"interval_s": 30}}, method="PUT")
    credentials = ("--username", str(owner.id), "--password", owner.key)
    with running(command(DEVICE, served, tmp_path / "keys", *credentials, "--duration", "30")) as process:
        assert eventually(lambda: admin(served, twin)["reported"] == {"interval_s": 30})
        process.terminate()
        assert totals_of(process)[0] == 0


def test_killed_device_is_offline_by_its_last_will(served: Instance, tmp_path: Path) -> None:
    owner = register(served.url, "mortal")

    def is_online() -> bool:
        found = call(served.url, "/api/v1/devices/status", headers={"X-API-Key": owner.key})[1]
        return bool(found["device"]["is_online"])

    credentials = ("--username", str(owner.id), "--password", owner.key)
    with running(command(DEVICE, served, tmp_path / "keys", *credentials, "--duration", "30")) as process:
        assert eventually(is_online)
        process.kill()
        assert eventually(lambda: not is_online())


def test_run_with_a_wrong_key_says_so_and_fails(served: Instance, tmp_path: Path) -> None:
    credentials = ("--username", "1", "--password", "wrong", "--duration", "0.3", "--no-stagger")
    code, totals = simulate(command(DEVICE, served, tmp_path / "keys", *credentials, "--failure-rate", "0"))
    assert (code, totals["readings"]["lost_by_reason"]) == (1, {"MQTT reason 0x86": 1})


def test_run_over_tls_trusts_the_authority_that_it_is_given(
    served: Instance, tmp_path: Path, certificates: Path
) -> None:
    arguments = ["--tls", "--host", "localhost", "--duration", "0.2", "--no-stagger", "--failure-rate", "0"]
    line = command(DEVICE, served, tmp_path / "keys", *arguments, port="mqtt_tls")
    code, totals = simulate([*line, "--ca", str(certificates / "ca.crt")])
    assert (code, totals["readings"]["accepted"]) == (0, 1)
    refused = subprocess.run(line, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert refused.returncode == 1
    assert "--ca" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_predecessors_command_line_works_where_clients_without_keys_are_let_in(tmp_path: Path) -> None:
    with Instance(tmp_path / "var", {"IOTFLOW_MQTT_LEGACY": "true"}) as served:
        old = ("--id", "kitchen", "--username", "admin", "--password", "admin123", "--interval", "1")
        line = command(
            DEVICE, served, tmp_path / "keys", *old, "--duration", "1", "--failure-rate", "0", "--no-stagger"
        )
        code, totals = simulate(line)
        assert (code, totals["readings"]["accepted"]) == (0, 1)

        def names() -> list[str]:
            return [device["name"] for device in admin(served, "/api/v1/admin/devices")["devices"]]

        assert eventually(lambda: names() == ["kitchen"])


def test_run_says_what_was_lost_when_the_service_goes_away_for_good(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    pace = ("--count", "2", "--duration", "6", "--interval", "0.4", "--failure-rate", "0", "--patience", "1")
    with Instance(tmp_path / "var") as served, running(command(FLEET, served, keys, *pace)) as process:
        assert eventually(lambda: keys.exists() and keys.read_text().count("iotf_dev_") == 2)
        served.down()
        code, totals = totals_of(process)
    readings = totals["readings"]
    assert code == 1
    assert readings["lost_by_reason"] == {"not accepted in time": readings["lost"]}
    assert readings["due"] == readings["accepted"] + readings["lost"] == 30


@pytest.mark.slow
def test_run_survives_the_death_of_the_gateway_and_loses_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    pace = ("--count", "5", "--duration", "8", "--interval", "0.2", "--failure-rate", "0")
    with (
        Instance(tmp_path / "var") as served,
        running(command(FLEET, served, keys, *pace)) as process,
    ):
        for _ in range(2):
            assert eventually(lambda: keys.exists() and keys.read_text().count("iotf_dev_") == 5)
            assert served.runs_again("mqtt", served.kill("mqtt"))
        code, totals = totals_of(process)
        assert (code, totals["readings"]["lost"]) == (0, 0)
        assert totals["readings"]["accepted"] == totals["readings"]["due"] == 200
        assert is_stored(served, totals)
