"""What an instance keeps on disk while it runs: two locks, its state, its logs. All in its data directory.

``run/supervisor.lock`` is held by the supervisor and names its pid: a pid file that cannot be stale.
``run/processes.lock`` is inherited by every process: it is free only when the last of them has ended, also after the
supervisor was killed.
"""

import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from infra.failure import Exit, Failure
from infra.supervisor import procfs

ORPHANS_S = 12.0
"""How long a start waits for the processes of a killed supervisor; they drain for up to 10 s."""


class ProcessState(NamedTuple):
    """One process as `status` shows it; times are epoch milliseconds."""

    name: str
    state: str
    pid: int | None
    restarts: int
    started_ms: int | None
    last_exit: str | None


class InstanceState(NamedTuple):
    """A running instance."""

    url: str
    started_ms: int
    background: bool
    processes: tuple[ProcessState, ...]
    mqtt_url: str = ""


class RunFolder:
    """The supervisor's files in a data directory.

    Args:
        data: The data directory; made by `claim` when missing.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.logs = data / "logs"
        self._run = data / "run"
        self._lock = self._run / "supervisor.lock"
        self._processes_lock = self._run / "processes.lock"
        self._state = self._run / "state.json"
        self._lock_fd = -1
        self.processes_fd = -1

    def claim(self) -> None:
        """Become the one supervisor of this data directory, until this process ends.

        Raises:
            Failure: Another one runs, processes of a killed one do not end, or the directory is not writable.
        """
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._run.mkdir(exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            held = self._take(self._lock, 0.2)  # `status` may look at it for an instant
        except OSError as error:
            message = f"the data directory {self.data} is not writable ({error.strerror}); choose another with --data"
            raise Failure(message, Exit.DATA_FOLDER) from None
        if held is None:
            message = (
                f"already running with the data directory {self.data}, process {self.supervisor_pid()}; see status"
            )
            raise Failure(message, Exit.ALREADY_RUNNING)
        self._lock_fd = held
        self.sign()
        self._wait_for_orphans()
        self._state.unlink(missing_ok=True)

    def sign(self) -> None:
        """Write this process's pid into the lock it holds; a fork does so again."""
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go, as the end of this process does; processes that inherited `processes_fd` still hold it."""
        os.close(self._lock_fd)
        os.close(self.processes_fd)

    def supervisor_pid(self) -> int | None:
        """The supervisor's pid; None when none runs, whatever files an earlier one left."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(descriptor, 20, 0) or b"0") or None
        else:
            return None
        finally:
            os.close(descriptor)

    def write_state(self, state: InstanceState) -> None:
        """Replace the state file at once, so that a reader sees the old or the new one."""
        content = state._asdict() | {"processes": [process._asdict() for process in state.processes]}
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        new.replace(self._state)

    def read_state(self) -> InstanceState | None:
        """The last state that was written, or None."""
        try:
            content: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
            processes = tuple(ProcessState(**process) for process in content.pop("processes"))
            return InstanceState(**content, processes=processes)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def _wait_for_orphans(self) -> None:
        """Take the second lock. Who still holds it after the time to drain is stuck, and loses nothing by a kill."""
        descriptor = self._take(self._processes_lock, ORPHANS_S)
        if descriptor is None:
            for pid in procfs.holders({str(self._processes_lock.resolve())}):
                os.kill(pid, signal.SIGKILL)
            descriptor = self._take(self._processes_lock, 1.0)
        if descriptor is None:
            os.close(self._lock_fd)
            message = f"processes of an earlier run still work in {self.data}; end them and start again"
            raise Failure(message, Exit.ALREADY_RUNNING)
        self.processes_fd = descriptor

    def _take(self, path: Path, patience_s: float) -> int | None:
        """Lock *path* and return its descriptor, or None when another holds it for longer than *patience_s*."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        give_up_s = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up_s:
                    os.close(descriptor)
                    return None
                time.sleep(0.02)
            else:
                return descriptor
