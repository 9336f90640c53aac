"""How the service is: each backend is asked, with a time, and the counts that operators watch."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.errors import Unavailable
from chalicelib.model import ONLINE_FOR_S, Ledger
from chalicelib.ports import Counters, DeviceRepository, DeviceStats, Labels, Presence, ReadingStore, TelemetryQueue
from chalicelib.retention import EXPIRED

BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
"""Upper bounds of the latency histogram, in seconds."""

REJECTED = "iotflow_rejected_requests_total"
"""Counts refused requests that carried telemetry, by the error's code."""


BRIDGE_MESSAGES = "iotflow_bridge_messages_total"
"""Counts what a broker delivered: accepted, repeated (taken before), refused, retained (left alone)."""

BRIDGE_CONNECTS = "iotflow_bridge_connects_total"
"""Counts how often the bridge connected to its broker, by whether the broker had kept its session."""

BROKER_ACCOUNTS = "iotflow_broker_accounts_total"
"""Counts devices of which a broker was told: told, mended or removed by a comparison, shut_out for want of a key."""


BRIDGE_CONNECTED = "connected"
"""What a bridge that is connected to its broker says of itself beside its lease."""


class Check(NamedTuple):
    """One backend: whether it answered, in how many ms, and what it said otherwise."""

    healthy: bool
    response_time_ms: float
    error: str | None = None


def probe(check: Callable[[], object]) -> Check:
    """Ask a backend."""
    started = time.perf_counter()
    try:
        check()
    except Unavailable as error:
        return Check(False, _ms_since(started), error.message)
    return Check(True, _ms_since(started))


def risks(readings: ReadingStore) -> list[str]:
    """What the store's settings put at risk; nothing if it does not answer, which a check tells."""
    try:
        return readings.risks()
    except Unavailable:
        return []


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


def verdict(checks: Mapping[str, Check], *, vital: frozenset[str]) -> str:
    """``unhealthy`` when a vital backend is silent, ``degraded`` when another is, else ``healthy``."""
    silent = {name for name, check in checks.items() if not check.healthy}
    if silent & vital:
        return "unhealthy"
    return "degraded" if silent else "healthy"


class QueueState(NamedTuple):
    """The pipeline at one instant."""

    ledger: Ledger
    oldest_age_s: float


def queue_state(queue: TelemetryQueue, *, now_ms: int) -> QueueState:
    """Ledger and age of the oldest message."""
    return QueueState(queue.ledger(), round(queue.oldest_age_s(now_ms=now_ms), 3))


class Fleet(NamedTuple):
    """A tenant's devices in numbers. `online` is None while presence does not answer."""

    stats: DeviceStats
    total: int
    online: int | None


def fleet(tenant: str, *, devices: DeviceRepository, presence: Presence, now_ms: int) -> Fleet:
    """Count a tenant's devices."""
    stats = devices.stats(tenant, now_ms=now_ms)
    try:
        online: int | None = len(presence.online(tenant, since_ms=now_ms - ONLINE_FOR_S * 1000))
    except Unavailable:
        online = None
    return Fleet(stats, sum(stats.by_status.values()), online)


def system() -> dict[str, Any]:
    """Load, memory and disk of the machine; what cannot be read is left out."""
    found: dict[str, Any] = {"load_average": [round(value, 2) for value in os.getloadavg()]}
    memory = Path("/proc/meminfo")
    if memory.exists():
        values = dict(line.split(":", 1) for line in memory.read_text(encoding="ascii").splitlines())
        total_kb, free_kb = (int(values[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        found["memory_percent"] = round(100 * (1 - free_kb / total_kb), 1)
        found["memory_available_mb"] = free_kb // 1024
    disk = os.statvfs("/")
    found["disk_usage_percent"] = round(100 * (1 - disk.f_bavail / disk.f_blocks), 1) if disk.f_blocks else 0.0
    return found


HELP = {
    "iotflow_requests_total": "Requests by endpoint and status.",
    REJECTED: "Refused requests with telemetry, by reason.",
    BRIDGE_MESSAGES: "Messages from the broker, by what the bridge did with them.",
    BRIDGE_CONNECTS: "Connections of the bridge to its broker, by whether its session was there.",
    BROKER_ACCOUNTS: "Devices of which the broker was told, by why.",
    "iotflow_readings_total": "Readings since the beginning, by what became of them.",
    EXPIRED: "Readings that were too old to be kept when they were to be stored.",
    "iotflow_readings": "Readings now, by where they are.",
    "iotflow_queue_oldest_age_seconds": "Age of the oldest message that is not stored yet.",
    "iotflow_devices": "Registered devices by status.",
    "iotflow_devices_online": "Devices seen in the last five minutes.",
    "iotflow_request_seconds": "Time to answer, by endpoint.",
}


def exposition(counters: Counters, state: QueueState, counted: Fleet) -> str:
    """All metrics in Prometheus' text format 0.0.4."""
    ledger, totals = state.ledger, counters.totals()
    lines: list[str] = []
    for counter in ("iotflow_requests_total", REJECTED, EXPIRED, BRIDGE_MESSAGES, BRIDGE_CONNECTS, BROKER_ACCOUNTS):
        _family(
            lines, counter, "counter", {labels: value for (name, labels), value in totals.items() if name == counter}
        )
    _histogram(lines, totals)
    done = {"accepted": ledger.accepted, "stored": ledger.stored, "discarded": ledger.discarded}
    _family(lines, "iotflow_readings_total", "counter", {(("fate", key),): value for key, value in done.items()})
    waiting = {"queued": ledger.queued, "in_flight": ledger.in_flight, "dead_lettered": ledger.dead_lettered}
    _family(lines, "iotflow_readings", "gauge", {(("place", key),): value for key, value in waiting.items()})
    _family(lines, "iotflow_queue_oldest_age_seconds", "gauge", {(): state.oldest_age_s})
    by_status: dict[Labels, float] = {
        (("status", key),): float(value) for key, value in counted.stats.by_status.items()
    }
    _family(lines, "iotflow_devices", "gauge", by_status)
    if counted.online is not None:
        _family(lines, "iotflow_devices_online", "gauge", {(): counted.online})
    return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, values: Mapping[Labels, float]) -> None:
    lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}"]
    lines += [
        f"{name}{_braced(labels)} {value:g}" if value < 1e6 else f"{name}{_braced(labels)} {value:.0f}"
        for labels, value in sorted(values.items())
    ]


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = ((key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for key, value in labels)
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}"


def _histogram(lines: list[str], totals: Mapping[tuple[str, Labels], float]) -> None:
    name = "iotflow_request_seconds"
    sums = {labels: value for (key, labels), value in totals.items() if key == f"{name}_sum"}
    lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} histogram"]
    for labels, seconds in sorted(sums.items()):
        found = {
            dict(other)["le"]: value
            for (key, other), value in totals.items()
            if key == f"{name}_bucket" and other[0] == labels[0]
        }
        total = 0.0
        for bound in (*map(str, BUCKETS_S), "+Inf"):
            total += found.get(bound, 0)
            lines.append(f"{name}_bucket{_braced((*labels, ('le', bound)))} {total:.0f}")
        lines += [f"{name}_sum{_braced(labels)} {seconds:.6f}", f"{name}_count{_braced(labels)} {total:.0f}"]
