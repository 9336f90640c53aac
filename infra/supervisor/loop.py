"""The supervisor: one thread that waits for signals, pipes and deadlines, and does nothing in between."""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from infra.failure import Exit, Failure
from infra.supervisor.child import Child, State
from infra.supervisor.folder import InstanceState, RunFolder
from infra.supervisor.output import SUPERVISOR, Output
from infra.supervisor.plan import ProcessPlan
from infra.supervisor.signals import RESTART, STOP, Signals
from infra.supervisor.sockets import url_of

ROTATE_EVERY_S = 60.0


class Supervisor:
    """Starts the processes, keeps them running, ends them in order.

    Args:
        plans: The processes, in the order of starting and stopping.
        environment: Their variables.
        listeners: The listening sockets by name, ``http`` and others, for the processes that ask for them.
        folder: Claimed already; its state file is kept up to date.
        mqtt_url: Where devices connect; only told on, in the state file.
        output: Where the processes' words go.
        background: Only told on, in the state file.
        refresh: Gives variables that have changed, when the processes are to start anew.
    """

    def __init__(
        self,
        plans: Sequence[ProcessPlan],
        *,
        environment: Mapping[str, str],
        listeners: Mapping[str, socket.socket],
        folder: RunFolder,
        mqtt_url: str,
        output: Output,
        background: bool,
        refresh: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._children = [Child(plan) for plan in plans]
        self._listeners = listeners
        self._folder = folder
        self._output = output
        now_ms = time.time_ns() // 1_000_000
        self._state = InstanceState(url_of(listeners["http"]), now_ms, background, (), mqtt_url)
        self._alive_fd, self._alive_write_fd = os.pipe()
        self._refresh = refresh
        self._environment = {**environment, "IOTFLOW_PARENT_FD": str(self._alive_fd), "PYTHONUNBUFFERED": "1"}
        self._selector = selectors.DefaultSelector()
        self._rotate_s = time.monotonic() + ROTATE_EVERY_S
        self._stopping = False
        self._was_ready = False
        self._failure: Failure | None = None

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, the supervisor's included."""
        return {SUPERVISOR: os.getpid()} | {child.name: child.pid for child in self._children if child.pid}

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything and return when everything has ended, after a signal.

        Args:
            on_ready: Called once, when all processes can serve.

        Raises:
            Failure: A process did not become ready at the first start; all have been ended again.
        """
        with Signals() as signals:
            self._selector.register(signals.fd, selectors.EVENT_READ, lambda: self._on_signals(signals))
            for child in self._children:
                self._start(child)
            while any(child.state is not State.STOPPED for child in self._children):
                self._publish()
                for key, _events in self._selector.select(self._patience_s()):
                    key.data()
                self._act_on_deadlines()
                self._announce(on_ready)
            self._publish()
            while ready := self._selector.select(0):  # last words
                for key, _events in ready:
                    key.data()
        if self._failure:
            raise self._failure

    def _start(self, child: Child) -> None:
        try:
            self._launch(child)
        except OSError as error:
            child.start_later()
            sentence = f"{child.name} cannot be started: {error.strerror}"
            self._say(sentence) if self._was_ready else self._fail(child, sentence)

    def _launch(self, child: Child) -> None:
        output_fd = self._output.open(child.name)
        if output_fd is None:
            output_fd = self._pipe_lines(child.name)
        try:
            ready_fd = child.start(
                self._environment,
                output_fd=output_fd,
                listener_fds={name: listener.fileno() for name, listener in self._listeners.items()},
                inherited=[self._alive_fd, self._folder.processes_fd],
            )
        finally:
            os.close(output_fd)
        self._selector.register(ready_fd, selectors.EVENT_READ, lambda: self._on_ready_pipe(child, ready_fd))

    def _on_ready_pipe(self, child: Child, ready_fd: int) -> None:
        if os.read(ready_fd, 64).startswith(b"ready"):
            child.ready()
        self._forget(ready_fd)

    def _pipe_lines(self, name: str) -> int:
        """A descriptor whose lines come out on the screen."""
        read_fd, write_fd = os.pipe()
        rest = b""

        def on_readable() -> None:
            nonlocal rest
            content = os.read(read_fd, 65_536)
            *lines, rest = (rest + content).split(b"\n")
            if not content:
                self._forget(read_fd)
                lines = [rest] if rest else []
            for line in lines:
                self._say(line.decode(errors="replace"), name)

        self._selector.register(read_fd, selectors.EVENT_READ, on_readable)
        return write_fd

    def _on_signals(self, signals: Signals) -> None:
        received = signals.received()
        self._reap()
        if self._stopping and signal.SIGINT in received:
            self._end_at_once()
        elif received & STOP:
            self._stop()
        elif RESTART in received and not self._stopping:
            self._start_anew()

    def _start_anew(self) -> None:
        """Start every process again with what has changed; the listeners stay open, so nobody is turned away."""
        try:
            self._environment |= self._refresh()
        except Failure as failure:
            self._say(f"nothing is started anew: {failure}")
            return
        self._say("the processes start anew")
        for child in self._children:
            child.start_anew()

    def _reap(self) -> None:
        for child in self._children:
            starting = child.state is State.STARTING
            if not child.has_ended():
                continue
            if child.state is State.WAITING and starting and not self._was_ready:
                self._fail(child, f"{child.name} ended at its start ({child.last_exit})")
            elif child.state is State.WAITING and not self._stopping:
                wait_s = (child.deadline_s or 0.0) - time.monotonic()
                self._say(f"{child.name} ended: {child.last_exit}; it starts again in {wait_s:.1f} s")
        if self._stopping:
            self._stop()

    def _stop(self) -> None:
        """Begin to stop, or go one step on: ask the first process that still runs to end."""
        self._stopping = True
        for listener in self._listeners.values():
            listener.close()  # the processes have their own; from here on nobody new is let in
        for child in self._children:
            if child.state is State.WAITING:
                child.stop()  # it has no process, and must not get one any more
        for child in self._children:
            if child.state is not State.STOPPING:
                child.stop()
            if child.state is State.STOPPING:
                return

    def _end_at_once(self) -> None:
        """A second Ctrl-C: nobody wants to wait."""
        for child in self._children:
            child.stop()
            child.kill()

    def _act_on_deadlines(self) -> None:
        now_s = time.monotonic()
        for child in self._children:
            if child.deadline_s is None or child.deadline_s > now_s:
                continue
            if child.state is State.WAITING:
                self._start(child)
                continue
            self._say(f"{child.name} is {child.state} for too long and is killed")
            if child.state is State.STARTING and not self._was_ready:
                self._fail(child, f"{child.name} was not ready in time")
            child.kill()
        if now_s > self._rotate_s:
            self._rotate_s = now_s + ROTATE_EVERY_S
            with contextlib.suppress(OSError):  # a full disk; there is a next time
                self._output.rotate()

    def _patience_s(self) -> float:
        deadlines = [child.deadline_s for child in self._children if child.deadline_s is not None]
        return max(0.0, min([*deadlines, self._rotate_s]) - time.monotonic())

    def _announce(self, on_ready: Callable[[], None]) -> None:
        if not self._was_ready and all(child.state is State.RUNNING for child in self._children):
            self._was_ready = True
            self._publish()
            on_ready()

    def _fail(self, child: Child, sentence: str) -> None:
        if self._failure is None:
            tail = "".join(f"\n  {child.name} | {line}" for line in self._output.tail(child.name))
            self._failure = Failure(sentence + tail, Exit.NOT_READY)
        self._stop()

    def _say(self, text: str, name: str = SUPERVISOR) -> None:
        try:
            self._output.line(name, text)
        except BrokenPipeError:  # the foreground's reader has gone
            if not self._stopping:
                self._stop()
        except OSError:
            pass  # a full disk must not end what keeps the others running

    def _publish(self) -> None:
        state = self._state._replace(processes=tuple(child.snapshot() for child in self._children))
        if state != self._state:
            with contextlib.suppress(OSError):  # a full disk; `status` is then late
                self._folder.write_state(state)
                self._state = state

    def _forget(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
