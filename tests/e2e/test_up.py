"""Starting, watching and stopping, as an operator does."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.failure import Exit
from tests.e2e.instance import ROOT, Instance, eventually, infra, is_alive

PROCESSES = {"front", "mqtt", "consumer", "scheduler"}


def healthy(url: str) -> bool:
    """Whether the API answers; every URL here is a loopback one."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def test_up_returns_when_ready_and_says_where(instance: Instance) -> None:
    assert healthy(instance.url)
    assert set(instance.pids) == {"supervisor", *PROCESSES}
    assert all(map(is_alive, instance.pids.values()))
    assert instance.token.startswith("iotf_adm_")


def test_up_prints_the_token_only_at_the_first_start(instance: Instance) -> None:
    first, instance.token = instance.token, ""
    instance.down()
    instance.up()
    assert first
    assert not instance.token


def test_up_tells_people_the_url_the_token_and_a_line_to_try(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "var")
    try:
        started = infra("up", "-d", "--port", "0", "--data", str(instance.data))
        assert started.returncode == 0, started.stderr
        assert re.search(r"http://127\.0\.0\.1:\d+\n", started.stdout)
        assert re.search(r"token +iotf_adm_\w+\n", started.stdout)
        assert "curl -X POST http://127.0.0.1:" in started.stdout
        assert "\x1b" not in started.stdout, "colours belong on terminals"
    finally:
        instance.down()


def test_second_start_is_quick(instance: Instance) -> None:
    """Seconds, not minutes; the bound is wide, for a busy machine."""
    instance.down()
    started_s = time.monotonic()
    instance.up()
    assert time.monotonic() - started_s < 15


def test_status_shows_every_process(instance: Instance) -> None:
    status = instance.status()
    assert status["url"] == instance.url
    assert {process["name"]: process["pid"] for process in status["processes"]} | {
        "supervisor": status["supervisor"]["pid"]
    } == instance.pids
    assert all(process["state"] == "running" and process["restarts"] == 0 for process in status["processes"])
    shown = infra("status", "--data", str(instance.data))
    assert shown.returncode == 0
    assert all(
        re.search(rf"^{name} +running +{pid} ", shown.stdout, re.MULTILINE) for name, pid in instance.pids.items()
    )


def test_down_ends_every_process_and_status_says_so(instance: Instance) -> None:
    assert infra("down", "--data", str(instance.data)).returncode == 0
    assert instance.has_ended()
    assert infra("status", "--data", str(instance.data)).returncode == Exit.NOT_RUNNING
    assert infra("down", "--data", str(instance.data)).returncode == Exit.NOT_RUNNING


def test_down_kills_a_process_that_does_not_end_by_itself(instance: Instance) -> None:
    """After the 10 s that each may take."""
    instance.kill("consumer", signal.SIGSTOP)
    assert infra("down", "--data", str(instance.data)).returncode == 0
    assert instance.has_ended()
    assert "consumer is stopping for too long and is killed" in infra("logs", "--data", str(instance.data)).stdout


def test_logs_show_one_process_or_all(instance: Instance) -> None:
    instance.runs_again("front", instance.kill("front"))
    everything = infra("logs", "--data", str(instance.data))
    assert everything.returncode == 0
    assert re.search(r"^supervisor \| \S+Z front ended: signal 9 \(SIGKILL\); it starts again", everything.stdout)
    assert "front" not in infra("logs", "consumer", "--data", str(instance.data)).stdout
    assert infra("logs", "nobody", "--data", str(instance.data)).returncode == Exit.BAD_OPTION


def test_logs_can_be_followed(instance: Instance) -> None:
    command = [sys.executable, "-m", "infra", "logs", "-f", "supervisor", "--data", str(instance.data)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        old_pid = instance.kill("scheduler")
        assert any("scheduler ended: signal 9" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == Exit.INTERRUPTED
    assert instance.runs_again("scheduler", old_pid)


def test_two_instances_run_beside_each_other(instance: Instance, tmp_path: Path) -> None:
    with Instance(tmp_path / "other") as other:
        assert other.url != instance.url
        assert healthy(other.url)
        other.down()
        assert healthy(instance.url)


def test_up_refuses_a_data_directory_that_is_in_use(instance: Instance) -> None:
    again = infra("up", "-d", "--port", "0", "--data", str(instance.data))
    assert again.returncode == Exit.ALREADY_RUNNING
    assert f"process {instance.pids['supervisor']}" in one_sentence(again)
    assert healthy(instance.url)


def test_up_names_the_process_that_has_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = infra("up", "-d", "--port", str(port), "--data", str(tmp_path / "var"))
    assert refused.returncode == Exit.PORT_IN_USE
    assert f"port {port} on 127.0.0.1 is in use by process {os.getpid()}; choose another with --port" in one_sentence(
        refused
    )


def test_up_says_when_the_data_directory_is_not_writable(tmp_path: Path) -> None:
    """Read-only for everybody: /proc is so even for root, whom permissions do not stop."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    for data in (Path("/proc/iotflow"), folder / "var") if os.geteuid() else (Path("/proc/iotflow"),):
        refused = infra("up", "-d", "--port", "0", "--data", str(data))
        assert refused.returncode == Exit.DATA_FOLDER
        assert f"the data directory {data} is not writable" in one_sentence(refused)


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--port", "many"], {}, "PORT"),
        (["--store", "memory"], {}, "IOTFLOW_STORE=memory works in a single process only"),
        (["--host", "192.0.2.1"], {}, "192.0.2.1"),
        (["--env", "/nowhere"], {}, "there is no file /nowhere"),
        ([], {"IOTFLOW_STORRE": "sqlite"}, "IOTFLOW_STORRE is not a setting"),
    ],
    ids=["port", "store", "host", "env", "unknown variable"],
)
def test_up_refuses_a_bad_setting_in_one_sentence(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    refused = infra("up", "-d", "--data", str(tmp_path), "--port", "0", *arguments, environment=environment)
    assert refused.returncode == Exit.BAD_OPTION
    assert words in one_sentence(refused)


def test_unknown_verbs_and_options_are_refused() -> None:
    assert "there is no verb upp" in one_sentence(infra("upp"))
    assert infra("upp").returncode == Exit.BAD_OPTION
    assert infra("up", "--prot", "1").returncode == Exit.BAD_OPTION
    assert infra("--help").returncode == 0


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_killed_process_is_started_again_and_status_says_so(instance: Instance, name: str) -> None:
    old_pid = instance.kill(name)
    assert instance.runs_again(name, old_pid)
    process = instance.process(name)
    assert process["restarts"] == 1
    assert process["last_exit"] == "signal 9 (SIGKILL)"
    assert healthy(instance.url)


def test_killed_front_refuses_no_connection(instance: Instance) -> None:
    """The supervisor holds the listening socket: who connects meanwhile waits for the next front."""
    for _ in range(3):
        old_pid = instance.kill("front")
        assert healthy(instance.url)
        assert instance.runs_again("front", old_pid)


def test_killed_supervisor_leaves_nothing_behind_and_a_new_start_works(instance: Instance) -> None:
    old = dict(instance.pids)
    instance.kill("supervisor")
    assert infra("status", "--data", str(instance.data)).returncode == Exit.NOT_RUNNING
    instance.up()
    assert not any(map(is_alive, old.values())), "an orphan works beside its successor"
    assert healthy(instance.url)


def test_stuck_process_of_a_killed_supervisor_is_killed_by_the_next_start(instance: Instance) -> None:
    """A stopped process cannot see that its supervisor has died, and would work on beside its successor."""
    stuck = instance.kill("consumer", signal.SIGSTOP)
    instance.kill("supervisor")
    instance.up()
    assert not is_alive(stuck)


def test_stale_pid_file_fools_nobody(instance: Instance) -> None:
    """Of a supervisor that was killed, only its pid stays; that pid may be anybody's by now."""
    instance.kill("supervisor")
    assert instance.has_ended()
    (instance.data / "run" / "supervisor.lock").write_text(f"{os.getpid()}\n")
    assert infra("down", "--data", str(instance.data)).returncode == Exit.NOT_RUNNING
    instance.up()


@contextmanager
def foreground(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``up`` without -d; ended at the end."""
    command = [sys.executable, "-m", "infra", "up", "--port", "0", "--data", str(data), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_foreground_ends_cleanly_with_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    instance = Instance(tmp_path)
    with foreground(tmp_path, "--json") as process:
        assert process.stdout is not None
        report = next(json.loads(line) for line in process.stdout if line.startswith("{"))
        instance.pids = report["pids"]
        assert instance.pids["supervisor"] == process.pid
        assert healthy(report["url"])
        process.send_signal(number)
        assert "Traceback" not in process.stdout.read()
        assert process.wait(20) == 0
    assert instance.has_ended()


def test_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    """The stopped front cannot drain; nobody has to wait for it."""
    instance = Instance(tmp_path)
    with foreground(tmp_path, "--json") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("{"))
        instance.kill("front", signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        assert eventually(lambda: instance.process("front")["state"] == "stopping")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0


def test_foreground_shows_what_the_processes_say(tmp_path: Path) -> None:
    with foreground(tmp_path) as process:
        assert process.stdout is not None
        assert any("IoTFlow is running." in line for line in process.stdout)
        os.kill(Instance(tmp_path).pid("consumer") or 0, signal.SIGKILL)
        assert any(re.match(r"supervisor \| consumer ended: signal 9", line) for line in process.stdout)
        assert eventually(lambda: infra("status", "--data", str(tmp_path)).returncode == 0)


def one_sentence(process: subprocess.CompletedProcess[str]) -> str:
    """What the command said, which has to be one line and no traceback."""
    assert process.stdout == ""
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("iotflow: ")
    return lines[0]
