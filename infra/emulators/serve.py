"""A stack in the background: `python -m infra.emulators.serve KIND HOME`, until SIGTERM or SIGINT.

HOME/running.json says that it is ready, and how to reach it; it is gone when the stack is.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from infra.bootstrap import ROOT
from infra.emulators import stacks
from infra.failure import Exit, Failure

NOTE = "running.json"
READY_S = 900.0
"""The first time, LocalStack is installed."""
STOP_S = 60.0


class Running(NamedTuple):
    """A stack that can be used."""

    kind: str
    pid: int
    variables: dict[str, str]


def find(home: Path) -> Running | None:
    """The stack of a folder, if it runs."""
    try:
        note = json.loads((home / NOTE).read_text(encoding="utf-8"))
        command = Path(f"/proc/{note['pid']}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return Running(**note) if b"infra.emulators.serve" in command else None


def use(kind: str, home: Path) -> Running:
    """The stack of a folder, started in the background unless it runs.

    Raises:
        Failure: Another kind runs there, or it does not start.
    """
    running = find(home)
    if running is None:
        return _start(kind, home)
    if running.kind != kind:
        message = f"{running.kind} runs in {home}; stop it first: python3 -m infra emulators stop"
        raise Failure(message, Exit.ALREADY_RUNNING)
    return running


def stop(running: Running) -> None:
    """End a stack and wait; what it knew is gone.

    Raises:
        Failure: It does not end.
    """
    os.kill(running.pid, signal.SIGTERM)
    end_s = time.monotonic() + STOP_S
    while Path(f"/proc/{running.pid}/cmdline").exists() and _alive(running.pid):
        if time.monotonic() > end_s:
            message = f"process {running.pid} has not ended after {STOP_S:.0f} s"
            raise Failure(message)
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    """Whether it runs: one that ended stays in /proc until its parent has asked."""
    child = _STARTED.get(pid)
    if child is not None:
        return child.poll() is None
    return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:1]


_STARTED: dict[int, subprocess.Popen[bytes]] = {}


def _start(kind: str, home: Path) -> Running:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "emulators.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.emulators.serve", kind, str(home.absolute())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _STARTED[process.pid] = process
    end_s = time.monotonic() + READY_S
    while (running := find(home)) is None:
        if process.poll() is not None or time.monotonic() > end_s:
            said = (home / "emulators.log").read_text(encoding="utf-8", errors="replace").strip()
            message = f"{kind} did not start: {said.rpartition(chr(10))[2] or 'it gave no reason'}"
            raise Failure(message, Exit.NOT_READY)
        time.sleep(0.1)
    return running


def main(kind: str, home: Path) -> int:
    """Serve until a signal comes."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    note = home / NOTE
    note.unlink(missing_ok=True)
    try:
        with stacks.KINDS[kind](home) as variables:
            unfinished = note.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(Running(kind, os.getpid(), variables)._asdict()), encoding="utf-8")
            unfinished.replace(note)
            over.wait()
            note.unlink()
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2])))
