"""From the queue to IoTDB, with the very consumer that `up` runs: messages of many readings, and of one."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from chalicelib import devices, tickets, wiring
from chalicelib.codec import batch_to_json
from chalicelib.model import Batch, Device, DeviceDraft
from chalicelib.settings import from_environment
from infra.bench.figures import Figure, Target
from infra.bench.iotdb_writers import DEVICES, readings
from infra.bench.options import Options
from infra.commands.iotdb import way_to
from infra.iotdb.server import Server
from infra.local.consumer import sqs_handler
from infra.local.poller import Poller

FIRST_MS = 1_640_995_200_000
VALUES = 5
FLOWS = (
    ("flow_100", 100, 2_000, Target(120_000, 330_000, larger_is_better=True)),
    ("flow_1", 1, 20_000, Target(30_000, 90_000, larger_is_better=True)),
)
GROUP = 500


def measure(server: Server, options: Options, folder: Path) -> list[Figure]:
    """Points a second from a full queue to an empty one."""
    from app import app

    chosen = from_environment(
        {"IOTFLOW_STORE": "iotdb", "IOTFLOW_DATA": str(folder / "var"), "LOG_LEVEL": "warning", **way_to(server)}
    )
    (folder / "var").mkdir()
    services = wiring.Services(chosen)
    clock_ms = count(FIRST_MS, 1000)
    figures = []
    with wiring.use(services):
        fleet = [_registered(services, number) for number in range(DEVICES)]
        name, queue_name, handler = sqs_handler(app)
        poller = Poller(services.queue, handler, name=name, queue_name=queue_name, visibility_s=chosen.visibility_s)
        for figure, size, messages, target in FLOWS:
            rates = []
            for measured in range(-1, options.runs):
                _fill(services, fleet, size, max(1, messages // (100 if options.quick else 1)), clock_ms)
                rate, cpu_us = _drained(services, poller)
                if measured >= 0:
                    rates.append((rate, cpu_us))
            what = f"points, queue to store, messages of {size} reading{'s' if size > 1 else ''} of {VALUES} values"
            figures.append(Figure(figure, what, "/s", tuple(rate for rate, _ in rates), target))
            what = f"processor time of the consumer, messages of {size}"
            figures.append(Figure(f"{figure}_cpu", what, "us/point", tuple(cpu_us for _, cpu_us in rates)))
        services.queue.close()
    return figures


def _registered(services: wiring.Services, number: int) -> Device:
    draft = DeviceDraft(name=f"sensor-{number}", device_type="sensor")
    return devices.register(
        draft, devices=services.devices, credentials=services.credentials, pepper=services.pepper, now_ms=FIRST_MS
    ).device


def _fill(services: wiring.Services, fleet: list[Device], size: int, messages: int, clock_ms: Iterator[int]) -> None:
    now_ms = time.time_ns() // 1_000_000
    for first in range(0, messages, GROUP):
        with tickets.collect() as waiting:
            for number in range(first, min(first + GROUP, messages)):
                ref = fleet[number % DEVICES].ref
                batch = tuple(reading._replace(device=ref) for reading in readings(size, clock_ms))
                services.queue.send(batch_to_json(Batch(ref, now_ms, batch)), readings=size, now_ms=now_ms)
        for ticket in set(waiting):
            ticket.result()


def _drained(services: wiring.Services, poller: Poller) -> tuple[float, float]:
    """Points a second, and microseconds of processor time for each, until the queue is empty."""
    before = services.queue.ledger()
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    while (ledger := services.queue.ledger()).queued + ledger.in_flight:
        poller.round()
    took_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
    points = (ledger.stored - before.stored) * VALUES
    if points != (before.queued + before.in_flight) * VALUES:
        message = f"not everything was stored: {ledger}"
        raise AssertionError(message)
    return points / took_s, cpu_s / points * 1e6
