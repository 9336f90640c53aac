"""The totals of a run: as one dictionary for programs, as a table for people, and as an exit code."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from simulators.client import status_text
from simulators.device import SimulatedDevice
from simulators.options import RunOptions
from simulators.signals import iso_utc
from simulators.timeline import Timeline
from simulators.totals import percentile, total

EXIT_OK, EXIT_LOST = 0, 1


def summary(
    devices: Sequence[SimulatedDevice], options: RunOptions, timeline: Timeline, *, took_s: float, interrupted: bool
) -> dict[str, Any]:
    """Return everything that is worth knowing about a run, ready for JSON. Keys are never in it."""
    counts = total(device.counts for device in devices)
    how = [device.enrolled.how for device in devices if device.enrolled]
    return {
        "url": options.url,
        "seed": options.seed,
        "took_s": round(took_s, 3),
        "interrupted": interrupted,
        "simulated": {"from": iso_utc(timeline.begin_s), "to": iso_utc(timeline.end_s), "speed": options.speed},
        "devices": {
            "planned": len(devices),
            "registered": how.count("registered"),
            "reused": how.count("reused"),
            "renamed": how.count("renamed"),
            "given": how.count("given"),
            "not_registered": len(devices) - len(how),
        },
        "readings": {
            "due": counts.due,
            "sent": counts.sent,
            "accepted": counts.accepted,
            "delayed": counts.delayed,
            "lost": counts.lost_readings,
            "lost_by_reason": dict(counts.lost),
        },
        "requests": {
            "sent": counts.requests,
            "retried": counts.retried,
            "unanswered": counts.unanswered,
            "rejected_by_status": {str(status): number for status, number in sorted(counts.refused.items())},
        },
        "heartbeats": {"sent": counts.heartbeats, "accepted": counts.heartbeats_accepted},
        "commands": {"received": counts.commands, "carried_out": counts.commands_carried_out},
        "latency_ms": {f"p{percent}": _rounded(percentile(counts.latencies_ms, percent)) for percent in (50, 95, 99)},
        "fleet": [_device_summary(device) for device in devices],
    }


def exit_code(totals: dict[str, Any]) -> int:
    """Return 0, or 1 when a device could not register or a reading that was due was not accepted in the end.

    In an interrupted run a device that had no time to register is no failure; readings that were made and not
    delivered are.
    """
    unregistered = totals["devices"]["not_registered"] and not totals["interrupted"]
    return EXIT_LOST if totals["readings"]["lost"] or unregistered else EXIT_OK


def print_totals(totals: dict[str, Any], console: Console) -> None:
    """Print the totals as a table."""
    table = Table("total", "count", "of which", title=None)
    table.columns[1].justify = "right"
    devices, readings, requests = totals["devices"], totals["readings"], totals["requests"]
    shares = _shares(devices, ("registered", "reused", "renamed", "given", "not_registered"))
    table.add_row("devices", str(devices["planned"]), shares)
    table.add_row("readings due", str(readings["due"]), _shares(readings, ("sent", "delayed")))
    table.add_row(
        "accepted", str(readings["accepted"]), f"{readings['accepted'] / max(totals['took_s'], 0.001):.1f} a second"
    )
    style = "bold red" if readings["lost"] else None
    table.add_row("lost", str(readings["lost"]), _shares(readings["lost_by_reason"]), style=style)
    rejected = {status_text(int(status)): number for status, number in requests["rejected_by_status"].items()}
    table.add_row(
        "requests", str(requests["sent"]), _shares({**rejected, **requests}, (*rejected, "retried", "unanswered"))
    )
    table.add_row("heartbeats", str(totals["heartbeats"]["sent"]), _shares(totals["heartbeats"], ("accepted",)))
    if totals["commands"]["received"]:
        table.add_row("commands", str(totals["commands"]["received"]), _shares(totals["commands"], ("carried_out",)))
    latency = "  ".join(f"{name} {value}" for name, value in totals["latency_ms"].items() if value is not None)
    table.add_row("latency, ms", "", latency)
    console.print(table)
    console.print(
        f"{totals['took_s']:.1f} s; simulated {totals['simulated']['from']} to {totals['simulated']['to']};"
        f" repeat with --seed {totals['seed']} --start {totals['simulated']['from']}",
        soft_wrap=True,
        highlight=False,
    )


def _device_summary(device: SimulatedDevice) -> dict[str, Any]:
    return {
        "name": device.enrolled.name if device.enrolled else device.plan.name,
        "id": device.enrolled.device_id if device.enrolled else None,
        "device_type": device.plan.kind.device_type,
        "accepted": device.counts.accepted,
        "lost": device.counts.lost_readings,
    }


def _shares(counts: dict[str, int], names: Sequence[str] | None = None) -> str:
    chosen = counts if names is None else {name: counts[name] for name in names}
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in chosen.items() if number)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
