"""`bench iotdb`: our writer beside the official client, on one server with a synchronous WAL, in the same run."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from time import perf_counter

from chalicelib.adapters.iotdb_client import Node
from chalicelib.adapters.iotdb_readings import DATABASE, IotdbReadings
from chalicelib.model import DEFAULT_TENANT, DeviceRef, Reading
from infra.bench import machine
from infra.bench.figures import Figure, Report
from infra.bench.options import Options
from infra.iotdb.server import HOST, Server

DEVICES = 200
VALUES = {"temperature": 21.5, "humidity": 48.25, "pressure": 1013.1, "battery": 87.25, "online": True}
POINTS_PER_WRITE = (1_000, 10_000)
CALLS = 60
WARM_UP_CALLS = 60
FIRST_MS = 1_577_836_800_000

Batch = list[Reading]
Write = Callable[[Batch], object]


def run(options: Options, folder: Path) -> Report:
    """Start a server in *folder*, and let both write in turn."""
    report = Report("iotdb", machine.describe(folder), options.conditions(devices=DEVICES, wal="SYNC"))
    server = Server(folder / "iotdb")
    server.start()
    ours = IotdbReadings([Node(HOST, server.port)], server.accounts().access("root"))
    official = _Official(server)
    try:
        clock_ms = count(FIRST_MS, 1000)
        for points in POINTS_PER_WRITE:
            report.figures += _compare(options, points, clock_ms, ours.write, official.write)
        stored = sum(ours.count(_device(number)) for number in range(DEVICES))
        report.checks = {"rows_stored": stored}
    finally:
        ours.close()
        official.close()
        server.stop()
    return report


def _compare(options: Options, points: int, clock_ms: Iterator[int], ours: Write, official: Write) -> list[Figure]:
    rates: dict[str, list[float]] = {"ours": [], "official": []}
    calls = 3 if options.quick else CALLS
    for write in (ours, official):  # the server's first seconds are slow
        _rate(write, [_readings(points, clock_ms) for _ in range(3 if options.quick else WARM_UP_CALLS)])
    for _ in range(options.runs):
        rates["ours"].append(_rate(ours, [_readings(points, clock_ms) for _ in range(calls)]))
        rates["official"].append(_rate(official, [_readings(points, clock_ms) for _ in range(calls)]))
    return [
        Figure(f"write_{points}_{name}", f"points written, {points:,} a call, {who}", "/s", tuple(rates[name]))
        for name, who in (("ours", "this adapter"), ("official", "apache-iotdb's Session"))
    ]


def _rate(write: Write, batches: Sequence[Batch]) -> float:
    """Points a second."""
    started_s = perf_counter()
    for batch in batches:
        write(batch)
    return sum(len(batch) for batch in batches) * len(VALUES) / (perf_counter() - started_s)


def _readings(points: int, clock_ms: Iterator[int]) -> Batch:
    rows = points // len(VALUES)
    return [Reading(_device(number % DEVICES), next(clock_ms), VALUES) for number in range(rows)]


def _device(number: int) -> DeviceRef:
    return DeviceRef(DEFAULT_TENANT, 1 + number)


class _Official:
    """The official client as its documentation has it; the lists it wants are made of the same readings."""

    def __init__(self, server: Server) -> None:
        with warnings.catch_warnings():  # the package turns warnings on for the whole process
            from iotdb.Session import Session
            from iotdb.utils.IoTDBConstants import TSDataType
        access = server.accounts().access("root")
        urls = [f"{HOST}:{server.port}"]
        self._types = [TSDataType.DOUBLE] * 4 + [TSDataType.BOOLEAN]
        self._session = Session.init_from_node_urls(
            urls, access.user, access.password, zone_id="UTC", enable_redirection=False, connection_timeout_in_ms=10_000
        )
        self._session.open(False)

    def write(self, batch: Batch) -> None:
        """One call for all devices."""
        self._session.insert_aligned_records(
            [f"{DATABASE}.devices.device_{reading.device.id}" for reading in batch],
            [reading.timestamp_ms for reading in batch],
            [list(reading.values) for reading in batch],
            [self._types for _ in batch],
            [list(reading.values.values()) for reading in batch],
        )

    def close(self) -> None:
        """Log out."""
        self._session.close()
