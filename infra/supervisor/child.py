"""One process of an instance, from start to end. The protocol with it is described in `infra.local.child`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from enum import StrEnum

from infra.supervisor.backoff import next_delay_s
from infra.supervisor.folder import ProcessState
from infra.supervisor.plan import ProcessPlan

READY_S = 20.0
"""A process that is not ready after this long is killed."""
DRAIN_S = 10.0
"""How long a process may finish what it has begun, after SIGTERM."""


class State(StrEnum):
    """What `status` shows."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It died and is started again soon."""
    STOPPING = "stopping"
    STOPPED = "stopped"


class Child:
    """A process and its history. The loop calls; nothing here waits.

    Attributes:
        deadline_s: When, on the monotonic clock, the loop has to call `act`; None: never.
    """

    def __init__(self, plan: ProcessPlan) -> None:
        self.name = plan.name
        self._plan = plan
        self.state = State.STOPPED
        self.deadline_s: float | None = None
        self.last_exit: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._starts_anew = False
        self._delay_s = 0.0
        self._started_s = 0.0
        self._started_ms: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        return self._process.pid if self._process else None

    def start(
        self,
        environment: Mapping[str, str],
        *,
        output_fd: int,
        listener_fds: Mapping[str, int],
        inherited: list[int],
    ) -> int:
        """Start the process; returns the descriptor on which it will say that it is ready.

        Args:
            environment: All its variables but the one for readiness.
            output_fd: Where its standard output and error go.
            listener_fds: Handed on by name if its plan asks for them.
            inherited: More descriptors that it keeps open.

        Raises:
            OSError: The machine has no room for another process; call `start_later`.
        """
        ready_fd, write_fd = os.pipe()
        given = [(option, listener_fds[name]) for option, name in self._plan.listeners if name in listener_fds]
        options = [part for option, descriptor in given for part in (option, str(descriptor))]
        command = [sys.executable, *self._plan.arguments, *options]
        passed = [*inherited, write_fd, *(descriptor for _option, descriptor in given)]
        self._started_s = time.monotonic()
        try:
            self._process = subprocess.Popen(
                command,
                env={**environment, "IOTFLOW_READY_FD": str(write_fd)},
                stdin=subprocess.DEVNULL,
                stdout=output_fd,
                stderr=output_fd,
                pass_fds=passed,
                process_group=0,  # Ctrl-C reaches the supervisor alone, which then ends the processes in their order
            )
        except OSError:
            os.close(ready_fd)
            raise
        finally:
            os.close(write_fd)
        self.state = State.STARTING
        self._started_ms = time.time_ns() // 1_000_000
        self.deadline_s = self._started_s + READY_S
        return ready_fd

    def ready(self) -> None:
        """It can serve."""
        if self.state is State.STARTING:
            self.state = State.RUNNING
            self.deadline_s = None

    def has_ended(self) -> bool:
        """Whether the process has ended since the last call; its state is then WAITING, or STOPPED."""
        if self._process is None or self._process.poll() is None:
            return False
        self.last_exit = describe_exit(self._process.returncode)
        self._process = None
        self._started_ms = None
        if self.state is State.STOPPING:
            self.state = State.STOPPED
            self.deadline_s = None
            return True
        if self._starts_anew:
            self._starts_anew = False
            self.state = State.WAITING
            self.deadline_s = time.monotonic()
            return True
        self._restarts += 1
        self.start_later()
        return True

    def start_later(self) -> None:
        """Wait, the longer the more often it failed."""
        now_s = time.monotonic()
        self._delay_s = next_delay_s(self._delay_s, now_s - self._started_s)
        self.state = State.WAITING
        self.deadline_s = now_s + self._delay_s

    def start_anew(self) -> None:
        """Ask it to drain and end, and start it again at once; `kill` it at the deadline."""
        if self._process is not None and self.state is not State.STOPPING:
            self._starts_anew = True
            self.deadline_s = time.monotonic() + DRAIN_S
            self._process.terminate()

    def stop(self) -> None:
        """Ask it to drain and end; `kill` it at the deadline."""
        if self._process is None:
            self.state = State.STOPPED
            self.deadline_s = None
            return
        self.state = State.STOPPING
        self.deadline_s = time.monotonic() + DRAIN_S
        self._process.terminate()

    def kill(self) -> None:
        """End it at once; the kernel's report of its end is still to come."""
        self.deadline_s = None
        if self._process is not None:
            self._process.kill()

    def snapshot(self) -> ProcessState:
        """What `status` shows."""
        return ProcessState(self.name, self.state, self.pid, self._restarts, self._started_ms, self.last_exit)


def describe_exit(code: int) -> str:
    """A return code in words: ``exit code 1``, ``signal 9 (SIGKILL)``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
