"""`bench store`: the embedded store and the durable queue by themselves, in this process."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from chalicelib import tickets
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.adapters.sqlite_readings import SqliteReadings
from chalicelib.codec import batch_to_json
from chalicelib.model import DEFAULT_TENANT, Batch, DeviceRef, Reading
from infra.bench import machine
from infra.bench.figures import Figure, Report
from infra.bench.options import Options

DEVICES = 64
VALUES = {"temperature": 21.5, "humidity": 48.25, "pressure": 1013.1, "battery": 87, "online": True}
POINTS_PER_WRITE = (1_000, 10_000)
POINTS_PER_RUN = 500_000
MESSAGES_PER_RUN = 20_000
GROUP = 64
RECEIVE = 1_000
FIRST_MS = 1_577_836_800_000


def run(options: Options, folder: Path) -> Report:
    """Measure the store, then the queue."""
    report = Report("store", machine.describe(folder), options.conditions())
    shrink = 50 if options.quick else 1
    store = SqliteReadings(folder / "telemetry.db")
    clock_ms = count(FIRST_MS, 1000)
    for points in POINTS_PER_WRITE:
        rates = tuple(write_rate(store, points, POINTS_PER_RUN // shrink, clock_ms) for _ in range(options.runs))
        report.figures.append(Figure(f"write_{points}", f"points written, {points:,} a call", "/s", rates))
    store.close()
    queue = SqliteQueue(folder / "queue.db")
    runs = [queue_rates(queue, MESSAGES_PER_RUN // shrink) for _ in range(options.runs)]
    ledger = queue.ledger()
    queue.close()
    for at, (name, what) in enumerate(
        (
            ("send_1", "messages sent, each waiting for its own commit"),
            ("send_64", f"messages sent, {GROUP} waiting for one commit"),
            ("receive", f"messages received and deleted, {RECEIVE:,} at once"),
        )
    ):
        report.figures.append(Figure(name, what, "/s", tuple(rates[at] for rates in runs)))
    report.checks = {"ledger": ledger._asdict(), "balanced": ledger.balanced}
    return report


def write_rate(store: SqliteReadings, points: int, total: int, clock_ms: Iterator[int]) -> float:
    """Points a second through `write`, *points* at once; every device's newest readings, as they come in."""
    rows = points // len(VALUES)
    batches = [_readings(rows, clock_ms) for _ in range(max(1, total // points))]
    started_s = time.perf_counter()
    for batch in batches:
        store.write(batch)
    return len(batches) * rows * len(VALUES) / (time.perf_counter() - started_s)


def queue_rates(queue: SqliteQueue, messages: int) -> tuple[float, float, float]:
    """Messages a second: sent one by one, sent in groups, received and deleted."""
    body = batch_to_json(Batch(_device(0), FIRST_MS, (Reading(_device(0), FIRST_MS, VALUES),)))
    alone = max(1, messages // 10)
    started_s = time.perf_counter()
    for _ in range(alone):
        queue.send(body, readings=1, now_ms=FIRST_MS)
    alone_s = time.perf_counter() - started_s
    groups = max(1, messages // GROUP)
    started_s = time.perf_counter()
    for _ in range(groups):
        _send_group(queue, body)
    together_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    taken = _take_all(queue)
    return alone / alone_s, groups * GROUP / together_s, taken / (time.perf_counter() - started_s)


def _send_group(queue: SqliteQueue, body: str) -> None:
    with tickets.collect() as waiting:
        for _ in range(GROUP):
            queue.send(body, readings=1, now_ms=FIRST_MS)
    for ticket in set(waiting):
        ticket.result()


def _take_all(queue: SqliteQueue) -> int:
    taken = 0
    while messages := queue.receive(limit=RECEIVE, visibility_s=30, now_ms=FIRST_MS):
        queue.delete([message.receipt for message in messages], now_ms=FIRST_MS)
        taken += len(messages)
    return taken


def _readings(rows: int, clock_ms: Iterator[int]) -> list[Reading]:
    return [Reading(_device(number % DEVICES), next(clock_ms), VALUES) for number in range(rows)]


def _device(number: int) -> DeviceRef:
    return DeviceRef(DEFAULT_TENANT, number + 1)
