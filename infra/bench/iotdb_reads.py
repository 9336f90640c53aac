"""Reads of `bench iotdb`: over as many points as were asked for, all devices' together, beside the official client."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chalicelib.adapters.iotdb_client import Client, Node
from chalicelib.adapters.iotdb_readings import DATABASE, IotdbReadings
from chalicelib.aggregates import AggregateQuery, Function, Window
from chalicelib.model import DeviceRef, Reading
from infra.bench.figures import Figure, Target
from infra.bench.iotdb_writers import DEVICES, Official, readings, store
from infra.bench.options import Options
from infra.iotdb.server import HOST, Server

FIRST_MS = 1_700_000_000_000 // 86_400_000 * 86_400_000
FIRST_DEVICE = 10_001
SINGLE = DeviceRef("default", 20_001)
VALUES = 5
PAGE = 10_000
HOUR_MS = 3_600_000
ROWS_PER_WRITE = 5_000
CALLS = 15


def measure(server: Server, options: Options, points: int) -> tuple[list[Figure], dict[str, Any]]:
    """Store *points* of `DEVICES` devices, and as many of a single one, a reading a second each; ask for them."""
    ours, official = store(server), Official(server)
    try:
        rows = points // VALUES // DEVICES
        _fill(ours, [_device(number) for number in range(DEVICES)], rows)
        size = _size_bytes(server) / (rows * DEVICES * VALUES)
        _fill(ours, [SINGLE], points // VALUES)
        figures = [Figure("bytes", "on disk after a flush, for each point", "bytes", (size,), Target(3, 2))]
        for name, what, ask, target in _questions(ours, official, rows, points):
            values = tuple(_median_ms(ask, options) for _ in range(options.runs))
            figures.append(Figure(name, what, "ms", values, target))
        return figures, {
            "rows_of_the_fleet": sum(ours.count(_device(number)) for number in range(DEVICES)),
            "rows_of_the_single_device": ours.count(SINGLE),
        }
    finally:
        ours.close()
        official.close()


Question = tuple[str, str, Callable[[], object], Target | None]


def _questions(ours: IotdbReadings, official: Official, rows: int, points: int) -> list[Question]:
    """What is asked: name, words, the call, what it should take."""
    one, path = _device(0), f"{DATABASE}.devices.device_{_device(0).id}"
    fleet = ", ".join(f"{DATABASE}.devices.device_{_device(number).id}" for number in range(DEVICES))
    numbers = ", ".join(f"avg({name}), count({name})" for name in ("temperature", "humidity", "pressure", "battery"))
    single, seconds = f"{DATABASE}.devices.device_{SINGLE.id}", points // VALUES

    def windows(device: DeviceRef, span_s: int) -> int:
        query = AggregateQuery(FIRST_MS, FIRST_MS + span_s * 1000, Window(HOUR_MS), (Function.AVG, Function.COUNT))
        return len(ours.aggregate(device, query))

    def page() -> int:
        end_ms = FIRST_MS + rows * 1000
        return len(ours.read(one, start_ms=FIRST_MS, end_ms=end_ms, limit=PAGE, measurements=["temperature"]))

    def grouped(what: str, span_s: int) -> str:
        return f"SELECT {numbers} FROM {what} GROUP BY ([{FIRST_MS}, {FIRST_MS + span_s * 1000}), 1h)"

    return [
        ("latest", "latest of one device, 5 series", lambda: ours.latest(one), Target(5, 2)),
        ("latest_official", "the same, apache-iotdb", lambda: official.rows(f"SELECT LAST * FROM {path}"), None),
        ("page", f"{PAGE:,} points of one series", page, Target(12, 6)),
        (
            "page_official",
            "the same, apache-iotdb, todf",
            lambda: official.rows(f"SELECT temperature FROM {path} LIMIT {PAGE}"),
            None,
        ),
        (
            "windows",
            f"1 h windows of avg and count over {points:,} points of one device",
            lambda: windows(SINGLE, seconds),
            Target(285, 150),
        ),
        ("windows_official", "the same, apache-iotdb", lambda: official.rows(grouped(single, seconds)), None),
        (
            "windows_fleet",
            f"the same over {DEVICES} devices with as many points together, one call each",
            lambda: [windows(_device(number), rows) for number in range(DEVICES)],
            None,
        ),
        (
            "windows_fleet_official",
            "the same in one statement, apache-iotdb",
            lambda: official.rows(f"{grouped(fleet, rows)} ALIGN BY DEVICE"),
            None,
        ),
    ]


def _fill(ours: IotdbReadings, devices: Sequence[DeviceRef], rows: int) -> None:
    each = max(1, ROWS_PER_WRITE // len(devices))
    for first in range(0, rows, each):
        clock_ms = (FIRST_MS + second * 1000 for second in range(first, min(first + each, rows)))
        ours.write(
            [
                Reading(device, timestamp_ms, values)
                for _, timestamp_ms, values in readings(min(each, rows - first), clock_ms)
                for device in devices
            ]
        )


def _device(number: int) -> DeviceRef:
    return DeviceRef("default", FIRST_DEVICE + number)


def _size_bytes(server: Server) -> int:
    """Of the files that hold the points of this part, which is the only one of its weeks."""
    client = Client([Node(HOST, server.port)], server.accounts().access("root"))
    client.execute("FLUSH")
    client.close()
    weeks = {str((FIRST_MS + offset_ms) // 604_800_000) for offset_ms in range(0, 86_400_000 * 30, 86_400_000)}
    files = (file for file in Path(server.home).rglob("*.tsfile") if file.parent.name in weeks)
    return sum(file.stat().st_size for file in files)


def _median_ms(ask: Callable[[], object], options: Options) -> float:
    took_ms = []
    for _ in range(2 if options.quick else CALLS):
        begin_s = time.perf_counter()
        ask()
        took_ms.append((time.perf_counter() - begin_s) * 1000)
    return sorted(took_ms)[len(took_ms) // 2]
