"""`move-store`: all telemetry from one store to another, while devices send; see docs/export.md."""

import argparse
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.adapters.gated_readings import FILE, Home, open_gate, read_home, write_home
from chalicelib.ports import ReadingStore
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.bootstrap import ROOT
from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit, Failure
from infra.installation import audit, clock_ms, in_words
from infra.supervisor.folder import RunFolder
from infra.supervisor.signals import RESTART
from infra.transfer import moving, progress
from infra.transfer.store import settings_for

STORES = ("iotdb", "sqlite")
_RESTART_S = 60.0
_ASSIGNMENT = re.compile(r"(?m)^(\s*(?:export\s+)?IOTFLOW_STORE\s*=\s*).*$")


def add_move_store(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--to", required=True, choices=STORES, help="the store that is to have the telemetry")
    parser.add_argument("--replace", action="store_true", help="delete what that store has of these devices")
    parser.add_argument("--json", action="store_true", help="one line of JSON: store, devices, readings, restarted")
    add_data_options(parser)
    parser.epilog = (
        "Devices may send and people may read meanwhile; what is sent waits in the queue. Interrupted, all is as it "
        "was, and the same command goes on. Example: python3 -m infra move-store --to iotdb"
    )
    parser.set_defaults(run=move_store)


def move_store(options: argparse.Namespace) -> int:
    """Copy, compare, switch, and restart the processes of a running instance.

    Raises:
        Failure: Nothing was switched: a store does not answer, does not take a reading, or has readings already.
    """
    data = data_folder(gather(options))
    if not data.is_dir():
        message = f"there is no data directory {data}; choose another with --data"
        raise Failure(message, Exit.DATA_FOLDER)
    current = read_home(data / FILE).store or gather(options).get("IOTFLOW_STORE", "").strip() or "sqlite"
    counts: list[int] = []
    with in_words():
        if current != options.to:
            counts = _move(options, data, current)
        _tell_env_file(Path(options.env) if options.env else ROOT / ".env", options.to)
        restarted = _restart(data) if read_home(data / FILE).store else None
    _report(options, current, counts, restarted=restarted)
    return Exit.OK


def _move(options: argparse.Namespace, data: Path, current: str) -> list[int]:
    """How many readings of each device have moved."""
    source, target = (Services(settings_for(store, options)) for store in (current, options.to))
    _require_movable(source.settings)
    target.ungated_readings.check()
    with _alone(data / FILE) as gate:
        begun = read_home(data / FILE).copying_to == options.to
        counts = _copy(
            source, target.ungated_readings, gate, Home(current, options.to), replace=options.replace or begun
        )
        write_home(gate, Home(options.to))
    detail = f"{current} to {options.to}, {sum(counts)} readings"
    audit(source, "move_store", f"telemetry:{len(counts)} devices", now_ms=clock_ms(), detail=detail)
    return counts


def _copy(source: Services, target: ReadingStore, gate: int, home: Home, *, replace: bool) -> list[int]:
    devices = moving.all_devices(source.devices)
    taken = None if replace else moving.first_in_the_way(devices, target)
    if taken is not None:
        message = f"{home.copying_to} has readings of device {taken.id} ({taken.name}) already: --replace deletes them"
        raise Failure(message, Exit.BAD_OPTION)
    target.retain(0, [], now_ms=clock_ms())  # rules of an earlier time; the upkeep gives it the present ones
    write_home(gate, home)  # from here on, what the target has of these devices is ours
    counts = []
    with progress.bar(f"move to {home.copying_to}", len(devices)) as bar:
        for done, device in enumerate(devices, start=1):
            counts.append(moving.copy(device, source.ungated_readings, target))
            bar.at(done, counts[-1])
    return counts


def _require_movable(settings: Settings) -> None:
    if settings.devices != "sqlite" or settings.queue != "sqlite" or settings.store not in STORES:
        message = "move-store works where devices and queue are in SQLite, and telemetry in sqlite or iotdb"
        raise Failure(message, Exit.BAD_OPTION)


@contextmanager
def _alone(gate: Path) -> Iterator[int]:
    """Close the gate; waits for writes under way, and opens it again however this ends."""
    descriptor = open_gate(gate, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _tell_env_file(file: Path, store: str) -> None:
    """Let the file of settings name the store, if it names one."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    changed = _ASSIGNMENT.sub(rf"\g<1>{store}", text)
    if changed != text:
        new = file.with_name(f"{file.name}.new")
        new.write_text(changed, encoding="utf-8")
        new.chmod(file.stat().st_mode & 0o777)
        new.replace(file)


def _restart(data: Path) -> bool | None:
    """Let a running instance start its processes anew; None when none runs, False when they are not ready in time."""
    folder = RunFolder(data)
    pid, asked_ms = folder.supervisor_pid(), clock_ms()
    if pid is None:
        return None
    os.kill(pid, RESTART)
    give_up_s = time.monotonic() + _RESTART_S
    while time.monotonic() < give_up_s:
        state = folder.read_state()
        if state and all(one.state == "running" and (one.started_ms or 0) >= asked_ms for one in state.processes):
            return True
        time.sleep(0.1)
    return False


def _report(options: argparse.Namespace, current: str, counts: list[int], *, restarted: bool | None) -> None:
    if options.json:
        print(
            json.dumps({"store": options.to, "devices": len(counts), "readings": sum(counts), "restarted": restarted})
        )
        return
    if current == options.to:
        print(f"The telemetry is in {options.to}.")
    else:
        print(f"{sum(counts):,} readings of {len(counts):,} devices are in {options.to}, compared value by value.")
        print(f"{current} still has them: delete them there when all is well.")
    if restarted is False:
        print("The processes do not start anew: give down and up. Until then the queue keeps what devices send.")
    if os.environ.get("IOTFLOW_STORE", options.to) != options.to:
        print(f"Set IOTFLOW_STORE={options.to} where your environment sets it; up refuses the old one.")
