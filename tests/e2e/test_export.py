"""`export` and `import` as an operator gives them: beside a running service, killed, and with files that are wrong."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chalicelib import devices
from chalicelib.model import DeviceDraft, Reading, Value
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.failure import Exit
from infra.installation import clock_ms
from tests.e2e.installation import refusal
from tests.e2e.instance import ROOT, Instance, eventually, infra
from tests.e2e.posting import Load, register

T0 = 1_700_000_000_000
LONG_READINGS = 260_000
"""More than a part; 1 040 000 values."""
MOST_RSS_KB = 160_000
"""The command takes about 50 MB before it reads anything."""


def where(data: Path) -> list[str]:
    return ["--data", str(data), "--env", os.devnull]


def done(*arguments: str) -> dict[str, Any]:
    """Run a command that succeeds, with --json."""
    ended = infra(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def installation(data: Path, *names: str) -> Services:
    """An installation with these devices."""
    data.mkdir(mode=0o700, exist_ok=True)
    services = Services(Settings(data=data))
    for name in names:
        devices.register(
            DeviceDraft(name=name, device_type="probe", location="roof", tags=("a",)),
            devices=services.devices,
            credentials=services.credentials,
            pepper=services.pepper,
            now_ms=clock_ms(),
        )
    return services


def write(services: Services, name: str, rows: dict[int, dict[str, Value]]) -> None:
    """Store values of a device by ms after T0."""
    device = services.devices.find("default", name)
    assert device
    services.readings.write([Reading(device.ref, T0 + at, values) for at, values in rows.items()])


def content(services: Services, name: str) -> list[tuple[int, str]]:
    """Everything of a device, spelled so that types differ."""
    device = services.devices.find("default", name)
    assert device, name
    found = services.readings.read(device.ref, start_ms=0, end_ms=2 * T0, limit=10_000)
    return [(one.timestamp_ms - T0, repr(sorted(one.values.items()))) for one in found]


def test_export_of_a_running_service_is_imported_into_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Instance(tmp_path / "var") as instance:
        owners = [register(instance.url, f"device {number}") for number in range(3)]
        with Load(instance.url, owners) as load:
            assert eventually(lambda: len(load.acknowledged) > 100)
            report = done("export", "--out", str(out), "--format", "csv", "--gzip", *where(instance.data))
    assert report["readings"] > 0
    services = installation(tmp_path / "other", "device 1")
    names = ["--map", "device 2=renamed"]
    missing = refusal(infra("import", str(out), *names, *where(tmp_path / "other")))
    assert missing == "there is no device device 0: --create-devices makes it, --map takes another for it"
    stored = done("import", str(out), "--create-devices", *names, *where(tmp_path / "other"))
    assert sorted(stored["created"]) == ["device 0", "renamed"]
    assert sum(stored["values"].values()) == report["readings"]
    numbers = [at // 1000 for at, _ in content(services, "device 0")]
    assert numbers
    made = services.devices.find("default", "renamed")
    assert made
    assert services.credentials.of_device(made.ref) == []
    again = done("import", str(out), *names, *where(tmp_path / "other"))
    assert (again["values"], again["created"]) == (stored["values"], [])
    assert [at // 1000 for at, _ in content(services, "device 0")] == numbers


def test_commands_of_the_guide_work(tmp_path: Path) -> None:
    """Run as one script, in the order of the page."""
    guide = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", guide, flags=re.MULTILINE | re.DOTALL))
    data = tmp_path / "var"
    services = installation(data, "kitchen", "hall")
    for name in ("kitchen", "hall"):
        write(services, name, {0: {"temperature": 1.5, "n": 2}})
    with Instance(data) as instance:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "IOTFLOW_DATA": str(data), "URL": instance.url}
        ran = subprocess.run(
            ["bash", "-c", "set -euo pipefail\n" + script.replace("-7d", "2020-01-01")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "kitchen.csv").read_text("utf-8-sig").startswith("device,timestamp,n,temperature\n")
    assert '"data":{"temperature":1.5}' in ran.stdout
    assert content(services, "kitchen-2") == content(services, "kitchen")


def test_import_keeps_what_the_export_says_of_a_device(tmp_path: Path) -> None:
    services = installation(tmp_path / "var", "=a", "b")
    write(services, "=a", {1: {"t": 1, "x.y": 1.0, "ok": True, "w": "=1"}, 2: {"t": "text"}})
    file = tmp_path / "one.jsonl"
    done("export", "--out", str(file), "--devices", "=a", *where(tmp_path / "var"))
    other = installation(tmp_path / "other")
    assert done("import", str(file), "--create-devices", *where(tmp_path / "other"))["created"] == ["=a"]
    device = other.devices.find("default", "=a")
    assert device
    assert (device.device_type, device.location, device.tags) == ("probe", "roof", ("a",))
    assert content(other, "=a") == content(services, "=a")


def test_options_choose_devices_times_and_measurements(tmp_path: Path) -> None:
    services = installation(tmp_path / "var", "a", "b", "7")
    for name in ("a", "b", "7"):
        write(services, name, {at: {"t": at, "n": at} for at in range(5)})
    file = tmp_path / "some.jsonl"
    span = ["--from", str(T0 + 1), "--to", str(T0 + 3), "--measurements", "n", "--type", "probe"]
    done("export", "--out", str(file), "--devices", "1", "7", *span, *where(tmp_path / "var"))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["device"], row["data"]) for row in rows] == [(name, {"n": at}) for name in "a7" for at in (1, 2)]
    none = done("export", "--out", str(tmp_path / "none.csv"), "--type", "other", *where(tmp_path / "var"))
    assert none["readings"] == 0
    unknown = infra("export", "--out", str(tmp_path / "x.csv"), "--devices", "nobody", *where(tmp_path / "var"))
    assert refusal(unknown, Exit.BAD_OPTION) == "there is no device with the id or name nobody"
    wrong = infra("export", "--out", str(tmp_path / "x.csv"), "--from", "yesterday", *where(tmp_path / "var"))
    assert "--from is not a time" in refusal(wrong)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--out", "x.csv", "--format", "jsonl"],
            "--out x.csv does not fit --format jsonl; take a name ending in .jsonl",
        ),
        (["--out", "x.csv", "--format", "parquet"], "x.csv does not fit --format parquet; give a directory"),
        (
            ["--out", "x.parquet", "--format", "parquet"],
            "parquet is written in parts: give --out a directory",
        ),
        (["--out", "x", "--format", "jsonl", "--wide"], "--wide is a form of --format csv"),
        (["--out", "x", "--format", "tsfile", "--gzip"], "tsfile is compressed already: --gzip is for csv and jsonl"),
        (["--out", "x.csv", "--gzip"], "--gzip wants a file name that ends in .gz: x.csv.gz"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, options: list[str], sentence: str) -> None:
    installation(tmp_path / "var")
    (tmp_path / "var" / "run").mkdir()
    given = [str(tmp_path / word) if word.startswith("x") else word for word in options]
    assert refusal(infra("export", *given, *where(tmp_path / "var")), Exit.BAD_OPTION).endswith(sentence)


def test_export_replaces_nothing_unasked(tmp_path: Path) -> None:
    services = installation(tmp_path / "var", "a")
    write(services, "a", {1: {"t": 1}})
    file = tmp_path / "a.csv"
    command = ["export", "--out", str(file), *where(tmp_path / "var")]
    done(*command)
    assert refusal(infra(*command), Exit.BAD_OPTION) == f"{file} exists; choose another name, or --replace"
    write(services, "a", {2: {"t": 2}})
    assert done(*command, "--replace")["readings"] == 2


@pytest.fixture(scope="module")
def long_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with many readings of one device and some of another."""
    data = tmp_path_factory.mktemp("long") / "var"
    services = installation(data, "first", "second")
    for first in range(0, LONG_READINGS, 20_000):
        rows = {at: {"n": at, "x": at / 7, "w": f"={at}", "ok": at % 3 == 0} for at in range(first, first + 20_000)}
        write(services, "first", rows)  # type: ignore[arg-type]
    write(services, "second", {at: {"n": at} for at in range(1000)})
    return data


def measured(*arguments: str) -> int:
    """Run a command that succeeds; the most memory that it had, in kB."""
    program = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    command = [sys.executable, "-c", program, sys.executable, "-m", "infra", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


@pytest.mark.slow
def test_a_million_values_pass_in_bounded_memory_and_killed_commands_go_on(long_one: Path, tmp_path: Path) -> None:
    """The export that was killed has the bytes of one that was not; the import that was killed stores the same."""
    until = ["--to", str(T0 + LONG_READINGS)]
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    assert measured("export", "--out", str(whole), *until, *where(long_one)) < MOST_RSS_KB
    command = ["export", "--out", str(broken), *until, *where(long_one)]
    killed(command, lambda: '"parts": [\n  {' in text_of(tmp_path / "broken.jsonl.manifest.json"))
    assert not broken.exists()
    assert done(*command)["readings"] == LONG_READINGS + 1000
    assert broken.read_bytes() == whole.read_bytes()
    other = tmp_path / "var"
    services = installation(other, "first", "second")
    command = ["import", str(whole), *where(other)]
    killed(command, lambda: bool(list((other / "imports").glob("*.json"))))
    assert measured(*command) < MOST_RSS_KB
    first = services.devices.find("default", "first")
    assert first
    assert services.readings.count(first.ref) == LONG_READINGS
    back = tmp_path / "back.jsonl"
    done("export", "--out", str(back), *until, *where(other))
    assert back.read_bytes() == whole.read_bytes()
    assert not list((other / "imports").glob("*.json"))


def killed(arguments: list[str], when: Any) -> None:
    """Start a command and kill it in its middle."""
    command = [sys.executable, "-m", "infra", *arguments]
    with subprocess.Popen(command, cwd=ROOT, process_group=0, stdout=subprocess.DEVNULL) as process:
        assert eventually(lambda: when() or process.poll() is not None, 120)
        assert process.poll() is None, "it has ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


GOOD = '{"device":"a","timestamp":"2023-11-14T22:13:20Z","data":{"t":1}}'


def test_malformed_line_stops_an_import_and_the_lines_before_it_are_stored(tmp_path: Path) -> None:
    services = installation(tmp_path / "var", "a")
    file = tmp_path / "x.jsonl"
    file.write_text(f"{GOOD}\n{GOOD.replace('20Z', '21Z').replace('1}', 'NaN}')}\n")
    for option in (["--check"], []):
        assert content(services, "a") == []
        said = refusal(infra("import", str(file), *option, *where(tmp_path / "var")), Exit.BAD_OPTION)
        assert said.startswith(f"{file}:2: NaN is not JSON")
    assert content(services, "a") == [(0, "[('t', 1)]")]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    services = installation(tmp_path / "var", "a")
    packed = gzip.compress("\n".join([GOOD] * 1000).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "not.jsonl.gz").write_text(GOOD)
    (tmp_path / "not.parquet").write_text(GOOD)
    (tmp_path / "not.tsfile").write_text(GOOD)
    for name, reason in (
        ("cut.jsonl.gz", "the file is damaged here"),
        ("not.jsonl.gz", "the file is damaged here"),
        ("not.parquet", "cannot be read"),
        ("not.tsfile", "is not a TsFile of an export"),
        ("missing.csv", "there is no file"),
    ):
        said = infra("import", str(tmp_path / name), *where(tmp_path / "var"))
        assert said.returncode != 0
        assert reason in said.stderr
        assert len(said.stderr.splitlines()) == 1
    write(services, "a", {1: {"t": 1}})
    done("export", "--out", str(tmp_path / "out"), *where(tmp_path / "var"))
    part = tmp_path / "out" / "part-00001.jsonl"
    part.write_text(part.read_text().replace(":1}", ":2}"))
    changed = refusal(infra("import", str(tmp_path / "out"), *where(tmp_path / "var")))
    assert changed == f"{part} is missing, or not as the export wrote it"
