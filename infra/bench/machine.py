"""The machine a figure was taken on, and what its disk can do: without these a figure means nothing."""

import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

FSYNC_BYTES = 4096
FSYNC_TIMES = 200


def describe(folder: Path) -> dict[str, Any]:
    """Processor, memory, versions, the present load, and the median fdatasync of *folder*'s disk."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "fdatasync_ms": round(fdatasync_ms(folder), 3),
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }


def fdatasync_ms(folder: Path, times: int = FSYNC_TIMES) -> float:
    """Median time to append 4 kB to a file and have it on the disk: the least that any durable answer takes."""
    path = folder / "fdatasync.probe"
    took_ms = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            started_s = time.perf_counter()
            file.write(bytes(FSYNC_BYTES))
            os.fdatasync(file.fileno())
            took_ms.append((time.perf_counter() - started_s) * 1000)
    path.unlink()
    return statistics.median(took_ms)


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS of a process; PSS shares out pages that several processes map, so it can be summed.

    Source: Linux, proc(5), smaps_rollup.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in user and system mode together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bystanders:
    """How much of the processors others used meanwhile: figures taken beside much of that are worth nothing.

    Args:
        pids: Processes that belong to the measurement, beside this one and those that it waited for.

    Source: Linux, proc(5), stat: user, nice, system, irq, softirq and steal count as used.
    """

    def __init__(self, pids: Collection[int]) -> None:
        self._pids = pids
        self._started = self._now()

    def percent(self) -> float:
        """Of all processors together, since this object was made."""
        wall_s, used_s, own_s = (now - was for now, was in zip(self._now(), self._started, strict=True))
        return round(100 * max(0.0, used_s - own_s) / (wall_s * (os.cpu_count() or 1)), 1)

    def _now(self) -> tuple[float, float, float]:
        with Path("/proc/stat").open(encoding="ascii") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
        idle_or_waiting = ticks[3] + ticks[4]
        used_s = (sum(ticks) - idle_or_waiting) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), used_s, sum(os.times()[:4]) + sum(map(cpu_seconds, self._pids))


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or sys.platform
