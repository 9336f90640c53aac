"""Locks and state of an instance on disk."""

import os
import threading
import time
from pathlib import Path

import pytest

from infra.failure import Exit, Failure
from infra.supervisor.folder import InstanceState, ProcessState, RunFolder

STATE = InstanceState(
    url="http://127.0.0.1:5000",
    started_ms=1_700_000_000_000,
    background=True,
    processes=(
        ProcessState("front", "running", 12, 1, 1_700_000_000_100, "signal 9 (SIGKILL)"),
        ProcessState("consumer", "waiting", None, 2, None, "exit code 1"),
    ),
)


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "var")
    folder.claim()
    folder.write_state(STATE)
    assert folder.read_state() == STATE


def test_state_of_an_earlier_run_is_gone_after_a_claim(tmp_path: Path) -> None:
    first = RunFolder(tmp_path)
    first.claim()
    first.write_state(STATE)
    first.release()
    second = RunFolder(tmp_path)
    second.claim()
    assert second.read_state() is None


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"url": "x"}'])
def test_state_that_is_damaged_reads_as_none(tmp_path: Path, content: str) -> None:
    folder = RunFolder(tmp_path)
    folder.claim()
    (tmp_path / "run" / "state.json").write_text(content)
    assert folder.read_state() is None


def test_claim_names_the_process_that_runs_already(tmp_path: Path) -> None:
    RunFolder(tmp_path).claim()
    with pytest.raises(Failure, match=f"already running .* process {os.getpid()}") as raised:
        RunFolder(tmp_path).claim()
    assert raised.value.code == Exit.ALREADY_RUNNING


def test_supervisor_pid_is_that_of_the_lock_holder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.supervisor_pid() is None
    folder.claim()
    assert RunFolder(tmp_path).supervisor_pid() == os.getpid()


def test_supervisor_pid_ignores_a_stale_file(tmp_path: Path) -> None:
    """A pid file outlives a kill -9, its lock does not."""
    folder = RunFolder(tmp_path)
    folder.claim()
    folder.release()
    assert (tmp_path / "run" / "supervisor.lock").read_text().strip() == str(os.getpid())
    assert folder.supervisor_pid() is None


def test_claim_of_a_path_below_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"is not writable .*--data") as raised:
        RunFolder(tmp_path / "file" / "var").claim()
    assert raised.value.code == Exit.DATA_FOLDER


def test_start_waits_for_the_processes_of_a_killed_supervisor(tmp_path: Path) -> None:
    """A process inherits the second lock; as long as it lives, nobody else may use the data directory."""
    dead = RunFolder(tmp_path)
    dead.claim()
    descriptor = os.dup(dead.processes_fd)
    dead.release()
    threading.Timer(0.1, os.close, (descriptor,)).start()
    started_s = time.monotonic()
    RunFolder(tmp_path).claim()
    assert time.monotonic() - started_s >= 0.1
