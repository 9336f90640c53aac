"""`bench iotdb`: this adapter beside the official client and beside a replay of prepared frames, in the same run.

The server runs on the same cores, with a synchronous write-ahead log. The three write in turn, so that whatever else
the machine does meets all of them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeVar

from chalicelib.model import Reading
from infra.bench import iotdb_flow, iotdb_reads, machine
from infra.bench.figures import Figure, Report, Target
from infra.bench.iotdb_writers import DEVICES, Official, Replay, device, readings, spread, store
from infra.bench.options import Options
from infra.bootstrap import ROOT
from infra.iotdb.server import HOST, Server
from infra.local import garbage

T = TypeVar("T")

FIRST_MS = 1_577_836_800_000
VALUES = 5
TABLET_CALLS = 2
"""Of one run; each takes a second."""
FIRST_WRITE = """
import os, time
begin_s = time.perf_counter()
from chalicelib.adapters.iotdb_client import Node
from chalicelib.adapters.iotdb_connection import Access
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.model import DeviceRef, Reading
store = IotdbReadings([Node(os.environ["AT"], int(os.environ["PORT"]))], Access("writer", os.environ["PASSWORD"]))
store.write([Reading(DeviceRef("default", 900_001), 1_577_836_800_000, {"m": 0.5})])
print((time.perf_counter() - begin_s) * 1000)
"""


class Size(NamedTuple):
    """A size of calls, how many in a run, and what they should reach beside the two others."""

    points: int
    calls: int
    of_replay: Target | None
    of_official: Target


SIZES = (
    Size(1_000, 100, None, Target(1.2, 1.5, larger_is_better=True)),
    Size(10_000, 60, Target(0.9, 0.98, larger_is_better=True), Target(1.2, 2.0, larger_is_better=True)),
)


class Spent(NamedTuple):
    """Points a second, and nanoseconds of this process's processor time for each."""

    rate: float
    cpu_ns: float


def run(options: Options, folder: Path) -> Report:
    """Start a server in *folder*, and let all write in turn; then from the queue; then read."""
    points = 20_000 if options.quick else options.points
    report = Report("iotdb", machine.describe(folder), options.conditions(devices=DEVICES, wal="SYNC", stored=points))
    server = Server(folder / "iotdb")
    server.start()
    garbage.settle()
    clock_ms = count(FIRST_MS, 1000)
    try:
        report.figures.append(_first_write(server, options))
        for size in SIZES:
            report.figures += _compare(server, size, options, clock_ms)
        report.figures += iotdb_flow.measure(server, options, folder)
        figures, checks = iotdb_reads.measure(server, options, points)
        report.figures += figures
        ours = store(server)
        report.checks = checks | {"rows_of_device_1": ours.count(device(0))}
        ours.close()
    finally:
        server.stop()
    return report


def _compare(server: Server, size: Size, options: Options, clock_ms: Iterator[int]) -> list[Figure]:
    ours, official, replay = store(server), Official(server), Replay(server)
    calls = 2 if options.quick else size.calls

    def batches(number: int) -> list[list[Reading]]:
        return [readings(size.points // VALUES, clock_ms) for _ in range(number)]

    found: dict[str, list[Spent]] = {"ours": [], "official": [], "replay": [], "tablets": []}
    try:
        for measured in range(-1, options.runs):  # the server's first seconds are slow
            spent = {
                "ours": _spend(ours.write, batches(calls)),
                "official": _spend(official.write, batches(calls)),
                "replay": _spend(replay.write, [replay.prepared(batch) for batch in batches(calls)], size.points),
                "tablets": _spend(official.write_tablets, batches(min(calls, TABLET_CALLS))),
            }
            for name, one in spent.items() if measured >= 0 else ():
                found[name].append(one)
    finally:
        for each in (ours, official, replay):
            each.close()
    return _figures(size, found)


def _figures(size: Size, found: dict[str, list[Spent]]) -> list[Figure]:
    named = {
        "ours": "this adapter",
        "official": "apache-iotdb, records",
        "replay": "prepared frames",
        "tablets": "apache-iotdb, tablets",
    }
    figures = [
        Figure(
            f"write_{size.points}_{name}",
            f"points written, {size.points:,} a call, {who}",
            "/s",
            tuple(one.rate for one in found[name]),
        )
        for name, who in named.items()
    ]
    for other, target in (("replay", size.of_replay), ("official", size.of_official)):
        ratios = tuple(ours.rate / its.rate for ours, its in zip(found["ours"], found[other], strict=True))
        what = f"this adapter beside {named[other]}, {size.points:,} a call"
        figures.append(Figure(f"write_{size.points}_of_{other}", what, "x", ratios, target))
    return figures + [
        Figure(
            f"write_{size.points}_{name}_cpu",
            f"processor time of {named[name]}, {size.points:,} a call",
            "ns/point",
            tuple(one.cpu_ns for one in found[name]),
        )
        for name in ("ours", "official", "replay")
    ]


def _spend(write: Callable[[T], object], batches: Sequence[T], points: int = 0) -> Spent:
    """Write all; *points* is the size of a batch whose values cannot be counted."""
    total = points * len(batches) or spread(batches)  # type: ignore[arg-type]
    cpu_s, begin_s = time.process_time(), time.perf_counter()
    for batch in batches:
        write(batch)
    took_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
    return Spent(total / took_s, cpu_s / total * 1e9)


def _first_write(server: Server, options: Options) -> Figure:
    """A process that has loaded nothing yet."""
    environment = {
        **os.environ,
        "AT": HOST,
        "PORT": str(server.port),
        "PASSWORD": server.accounts().writer,
        "PYTHONPATH": str(ROOT),
    }
    took_ms = []
    for _ in range(options.runs):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_WRITE], env=environment, capture_output=True, text=True, check=True
        )
        took_ms.append(float(done.stdout))
    return Figure(
        "first_write", "import of the adapter, connection, first write", "ms", tuple(took_ms), Target(120, 60)
    )
