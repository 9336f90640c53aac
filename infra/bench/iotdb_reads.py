"""Reads of `bench iotdb`: over as many points as were asked for, all devices' together, beside the official client."""

import time
from collections.abc import Callable
from itertools import count
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
VALUES = 5
PAGE = 10_000
HOUR_MS = 3_600_000
ROWS_PER_WRITE = 5_000
CALLS = 15


def measure(server: Server, options: Options, points: int) -> tuple[list[Figure], dict[str, Any]]:
    """Store *points* of `DEVICES` devices, a reading a second from each, and ask for them."""
    ours, official = store(server), Official(server)
    try:
        rows = points // VALUES // DEVICES
        _fill(ours, rows)
        size = _size_bytes(server)
        end_ms = FIRST_MS + rows * 1000
        figures = [
            Figure("bytes", "on disk after a flush, for each point", "bytes", (size / (rows * DEVICES * VALUES),))
        ]
        figures[0] = figures[0]._replace(target=Target(3, 2))
        one, path = _device(0), f"{DATABASE}.devices.device_{_device(0).id}"
        fleet = ", ".join(f"{DATABASE}.devices.device_{_device(number).id}" for number in range(DEVICES))
        query = AggregateQuery(FIRST_MS, end_ms, Window(HOUR_MS), (Function.AVG, Function.COUNT))

        def windows_of_all() -> int:
            return sum(len(ours.aggregate(_device(number), query)) for number in range(DEVICES))

        def page() -> int:
            found = ours.read(one, start_ms=FIRST_MS, end_ms=end_ms, limit=PAGE, measurements=["temperature"])
            return len(found)

        grouped = f"GROUP BY ([{FIRST_MS}, {end_ms}), 1h)"
        numbers = ", ".join(
            f"avg({name}), count({name})" for name in ("temperature", "humidity", "pressure", "battery")
        )
        asked: list[tuple[str, str, Callable[[], object], Target | None]] = [
            ("latest", "latest of one device, 5 series", lambda: ours.latest(one), Target(5, 2)),
            ("latest_official", "the same, apache-iotdb", lambda: official.rows(f"SELECT LAST * FROM {path}"), None),
            ("page", f"{PAGE:,} points of one series", page, Target(12, 6)),
            (
                "page_official",
                "the same, apache-iotdb, todf",
                lambda: official.rows(f"SELECT temperature FROM {path} LIMIT {PAGE}"),
                None,
            ),
            ("windows_one", "1 h windows of avg and count, one device", lambda: ours.aggregate(one, query), None),
            ("windows", f"the same of all {DEVICES} devices, one after the other", windows_of_all, Target(285, 150)),
            (
                "windows_official",
                "the same in one statement, apache-iotdb",
                lambda: official.rows(f"SELECT {numbers} FROM {fleet} {grouped} ALIGN BY DEVICE"),
                None,
            ),
        ]
        for name, what, ask, target in asked:
            figures.append(
                Figure(name, what, "ms", tuple(_median_ms(ask, options) for _ in range(options.runs)), target)
            )
        return figures, {"page_rows": page(), "rows": rows * DEVICES, "windows": windows_of_all()}
    finally:
        ours.close()
        official.close()


def _fill(ours: IotdbReadings, rows: int) -> None:
    clock_ms = count(FIRST_MS, 1000)
    times_ms = [next(clock_ms) for _ in range(rows)]
    for first in range(0, rows, ROWS_PER_WRITE // DEVICES):
        batch = [
            Reading(_device(number), now_ms, values)
            for now_ms in times_ms[first : first + ROWS_PER_WRITE // DEVICES]
            for _, _, values in readings(1, iter([now_ms]))
            for number in range(DEVICES)
        ]
        ours.write(batch)


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
