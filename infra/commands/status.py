"""`status`: every process of the instance of a data directory."""

import argparse
import json
import time
from typing import Any

from infra import terminal
from infra.aws.names import STAGES
from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit
from infra.supervisor.child import State
from infra.supervisor.folder import InstanceState, ProcessState, RunFolder
from infra.supervisor.output import SUPERVISOR

_COLOURS = {State.RUNNING: terminal.GREEN, State.STOPPED: terminal.RED, State.WAITING: terminal.RED}


def add_status(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--stage", choices=STAGES, help="of a deployment on AWS, instead of the instance here")
    add_data_options(parser)
    parser.set_defaults(run=status)


def status(options: argparse.Namespace) -> int:
    """Show the processes; 0 when all run, 1 when one does not, 3 when nothing was started."""
    if options.stage:
        from infra.commands import stage  # brings AWS's client

        return stage.show_status(options.stage, as_json=options.json)
    folder = RunFolder(data_folder(gather(options)))
    pid = folder.supervisor_pid()
    state = folder.read_state() if pid else None
    if state is None or pid is None:
        missing = {"running": False, "data": str(folder.data)}
        print(json.dumps(missing) if options.json else f"Nothing runs with the data directory {folder.data}.")
        return Exit.NOT_RUNNING
    now_ms = time.time_ns() // 1_000_000
    print(json.dumps(describe(state, pid, folder, now_ms)) if options.json else render(state, pid, folder, now_ms))
    return Exit.OK if all(process.state == State.RUNNING for process in state.processes) else Exit.FAILED


def describe(state: InstanceState, pid: int, folder: RunFolder, now_ms: int) -> dict[str, Any]:
    """The state for programs."""
    return {
        "running": True,
        "url": state.url,
        "data": str(folder.data),
        "background": state.background,
        "supervisor": {"pid": pid, "uptime_s": _uptime_s(state.started_ms, now_ms)},
        "processes": [
            {
                "name": process.name,
                "state": process.state,
                "pid": process.pid,
                "restarts": process.restarts,
                "uptime_s": _uptime_s(process.started_ms, now_ms),
                "last_exit": process.last_exit,
            }
            for process in state.processes
        ],
    }


def render(state: InstanceState, pid: int, folder: RunFolder, now_ms: int) -> str:
    """The state for people."""
    rows = [("process", "state", "pid", "restarts", "uptime", "last exit")]
    rows.append((SUPERVISOR, State.RUNNING, str(pid), "", _uptime(state.started_ms, now_ms), ""))
    rows += [_row(process, now_ms) for process in state.processes]
    heading, *lines = terminal.table(rows)
    painted = [
        line.replace(row[1], terminal.paint(row[1], _COLOURS.get(State(row[1]), terminal.YELLOW)), 1)
        for line, row in zip(lines, rows[1:], strict=True)
    ]
    where = f"{terminal.paint(state.url, terminal.CYAN)}  data {folder.data}"
    return "\n".join([where, "", terminal.paint(heading, terminal.BOLD), *painted])


def _row(process: ProcessState, now_ms: int) -> tuple[str, str, str, str, str, str]:
    return (
        process.name,
        process.state,
        str(process.pid or "-"),
        str(process.restarts),
        _uptime(process.started_ms, now_ms),
        process.last_exit or "-",
    )


def _uptime_s(started_ms: int | None, now_ms: int) -> float | None:
    """Seconds since the start, never negative although the clock may have stepped back."""
    return None if started_ms is None else max(0.0, (now_ms - started_ms) / 1000)


def _uptime(started_ms: int | None, now_ms: int) -> str:
    seconds = _uptime_s(started_ms, now_ms)
    return "-" if seconds is None else terminal.duration(seconds)
