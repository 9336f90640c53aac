"""`bench query`: what readers wait for, over HTTP, on a week of readings at one a second."""

import math
import time
from pathlib import Path

from chalicelib.adapters.sqlite_readings import SqliteReadings
from chalicelib.model import DEFAULT_TENANT, DeviceRef, Reading
from infra.bench import machine
from infra.bench.figures import Figure, Report, Target
from infra.bench.instance import Instance
from infra.bench.options import Options

WEEK_S = 7 * 24 * 3600
QUICK_S = 2 * 3600
RANGE_ROWS = 1_000
READINGS_PER_WRITE = 5_000
CALLS_PER_RUN = 20
WARM_UP_CALLS = 3


def run(options: Options, folder: Path) -> Report:
    """Load the readings straight into the store, then ask for them."""
    span_s = QUICK_S if options.quick else WEEK_S
    report = Report("query", machine.describe(folder), options.conditions(readings=span_s, values_per_reading=5))
    data = folder / "var"
    data.mkdir()
    with Instance(data) as instance:
        device = instance.register(1)[0]
        end_s = int(time.time()) // 3600 * 3600
        store = SqliteReadings(data / "telemetry.db")
        fill(store, DeviceRef(DEFAULT_TENANT, device.id), end_s - span_s, end_s)
        store.close()
        base = f"/api/v1/telemetry/{device.id}"
        middle_s = end_s - span_s // 2
        windows = f"{base}/aggregated?aggregation=avg,min,max&window=1h&start_time={end_s - span_s}&end_time={end_s}"
        asked = (
            ("health", "GET /health, for comparison", "/health", None),
            ("latest", "latest value of every measurement", f"{base}/latest", Target(5, 2)),
            (
                "range",
                f"range of {RANGE_ROWS} rows of 5 values",
                f"{base}/range?from={middle_s}&to={middle_s + RANGE_ROWS}&limit={RANGE_ROWS}",
                Target(25, 10),
            ),
            (
                "windows",
                "1 h windows of avg, min, max, 1 measurement",
                f"{windows}&field=temperature",
                Target(400, 100),
            ),
            ("windows_all", "the same of all 5 measurements", windows, None),
        )
        for name, what, path, target in asked:
            report.checks[f"{name}_bytes"] = len(instance.raw("GET", path))
            values = tuple(_median_ms(instance, path, quick=options.quick) for _ in range(options.runs))
            report.figures.append(Figure(name, what, "ms", values, target))
    return report


def fill(store: SqliteReadings, device: DeviceRef, start_s: int, end_s: int) -> None:
    """One reading of five values for each second; numbers that differ, as those of sensors do."""
    for first_s in range(start_s, end_s, READINGS_PER_WRITE):
        store.write(
            [_reading(device, second_s) for second_s in range(first_s, min(first_s + READINGS_PER_WRITE, end_s))]
        )


def _reading(device: DeviceRef, second_s: int) -> Reading:
    day = math.sin(second_s * math.tau / 86_400)
    values = {
        "temperature": round(20 + 5 * day + second_s % 7 / 10, 2),
        "humidity": round(50 - 10 * day + second_s % 11 / 10, 2),
        "pressure": round(1013 + day + second_s % 13 / 100, 2),
        "battery": 100 - second_s % 100,
        "online": second_s % 60 != 0,
    }
    return Reading(device, second_s * 1000, values)


def _median_ms(instance: Instance, path: str, *, quick: bool) -> float:
    took_ms = []
    for _ in range(WARM_UP_CALLS + (1 if quick else CALLS_PER_RUN)):
        started_s = time.perf_counter()
        instance.raw("GET", path)
        took_ms.append((time.perf_counter() - started_s) * 1000)
    counted = sorted(took_ms[WARM_UP_CALLS:])
    return counted[len(counted) // 2]
