"""`bench mqtt`: durable publishes to the gateway and through the bridge with QoS 1, until stored; idle connections.

Mosquitto, where it is installed, is sent the same in the same run: it keeps nothing, so the ratio says what durability
and checking cost, on any machine.
"""

import statistics
import threading
import time
from pathlib import Path
from typing import NamedTuple

from infra.bench import bridge, machine
from infra.bench.figures import Figure, Report, Target, figures_of
from infra.bench.instance import Device, Instance
from infra.bench.mosquitto import Mosquitto
from infra.bench.mqtt_load import SOURCE, Sent, compile_generator, hold, send
from infra.bench.options import Options
from infra.commands.iotdb import server_in
from infra.iotdb.jars import JARS
from infra.mosquitto import programs

PACED = (50, 20)
"""Connections and window of the paced load: enough that the pace and not the window is what limits it."""
MOST_PACES = 4
SAMPLE_S = 0.1


class Scenario(NamedTuple):
    """So many connections, each with so many messages in flight."""

    connections: int
    window: int
    target: Target

    @property
    def name(self) -> str:
        """As in reports."""
        return f"{self.connections}x{self.window}"

    @property
    def what(self) -> str:
        """For people."""
        return f"{self.connections} connections, {self.window} in flight"


SCENARIOS = (
    Scenario(8, 20, Target(30_000, 60_000, larger_is_better=True)),
    Scenario(50, 1, Target(12_000, 20_000, larger_is_better=True)),
    Scenario(200, 1, Target(12_000, 20_000, larger_is_better=True)),
)
IDLE = {5000: Target(80, 80), 10_000: Target(100, 100)}
"""Connections held -> memory of the gateway in MB."""
STORED = Target(4000, 12_000, larger_is_better=True)
STORED_IN_IOTDB = Target(6000, 19_000, larger_is_better=True)


def run(options: Options, folder: Path) -> Report:
    """Measure everything, check the books, report."""
    generator = compile_generator(folder)
    report = Report("mqtt", machine.describe(folder), options.conditions(load_generator=SOURCE.name))
    report.figures += _reference(generator, folder, options)
    data = folder / "var"
    data.mkdir()
    idle = {100: None} if options.quick else IDLE
    with Instance(data) as instance:
        measured = _Measured(generator, instance, options, instance.register(max(200, *idle)))
        for scenario in SCENARIOS:
            report.figures += measured.published(scenario)
        report.figures += measured.stored()
        ledger = instance.wait_until_stored()
        report.figures += _ratios(report.figures)
        report.figures += [measured.idle(count, target) for count, target in idle.items()]
        report.checks = {
            "ledger": ledger,
            "acknowledged": measured.acknowledged,
            "backlog_did_not_grow": measured.steady,
            "nothing_lost": ledger["accepted"] == ledger["stored"] >= measured.acknowledged,
            "processor_used_by_others_percent": measured.bystanders.percent(),
        }
    if not options.quick:
        report.figures += _in_iotdb(generator, folder / "iotdb", options)
    figures, behind_broker = bridge.run(generator, folder, options)
    if figures:
        report.figures += figures
        report.checks["ledger_behind_broker"] = behind_broker
    return report


def _in_iotdb(generator: Path, data: Path, options: Options) -> list[Figure]:
    """The same pace into a real IoTDB on the same processors; nothing where its jars cannot be had."""
    if JARS.missing_program():
        return []
    data.mkdir()
    try:
        with Instance(data, {"IOTFLOW_STORE": "iotdb"}) as instance:
            measured = _Measured(generator, instance, options, instance.register(PACED[0]))
            figures = measured.stored(STORED_IN_IOTDB)
    finally:
        server_in(data).stop()
    return [figure._replace(name=f"iotdb_{figure.name}", what=f"IoTDB: {figure.what.strip()}") for figure in figures]


def _reference(generator: Path, folder: Path, options: Options) -> list[Figure]:
    if programs.missing([programs.broker]):
        return []
    devices = [Device(number, "nobody") for number in range(200)]
    figures = []
    with Mosquitto(folder) as broker:
        for scenario in SCENARIOS:
            runs = []
            for _ in range(options.runs):
                before_s = broker.cpu_seconds()
                sent = send(
                    generator, broker.mqtt_port, devices[: scenario.connections], scenario.window, options.seconds
                )
                runs.append(
                    {
                        "rate": sent.acknowledged / sent.seconds,
                        "cpu": (broker.cpu_seconds() - before_s) / sent.acknowledged * 1e6,
                        "load": sent.generator_s / sent.acknowledged * 1e6,
                    }
                )
            named = figures_of(
                runs,
                {
                    "rate": (f"Mosquitto, nothing kept, {scenario.what}", "msg/s", None),
                    "cpu": ("  its processor time", "us/msg", None),
                    "load": ("  the load generator's", "us/msg", None),
                },
            )
            figures += [figure._replace(name=f"mosquitto_{scenario.name}_{figure.name}") for figure in named]
    return figures


def _ratios(figures: list[Figure]) -> list[Figure]:
    """The gateway's rate for each of Mosquitto's."""
    rates = {figure.name: figure.median for figure in figures}
    return [
        Figure(
            f"ratio_{scenario.name}",
            f"gateway to Mosquitto, {scenario.what}",
            "%",
            (100 * rates[f"gateway_{scenario.name}_rate"] / rates[f"mosquitto_{scenario.name}_rate"],),
        )
        for scenario in SCENARIOS
        if f"mosquitto_{scenario.name}_rate" in rates
    ]


class _Measured:
    """One instance under one kind of load after the other."""

    def __init__(self, generator: Path, instance: Instance, options: Options, devices: list[Device]) -> None:
        self._generator = generator
        self._instance = instance
        self._options = options
        self._devices = devices
        self.acknowledged = 0
        self.steady = False
        self.bystanders = machine.Bystanders(instance.pids.values())

    def published(self, scenario: Scenario) -> list[Figure]:
        """As fast as it is acknowledged."""
        instance, runs = self._instance, []
        for _ in range(self._options.runs):
            instance.wait_until_stored()
            before = self._cpu()
            began_s = time.monotonic()
            sent = self._send(scenario.connections, scenario.window)
            instance.wait_until_stored()
            stored_s = time.monotonic() - began_s
            gateway_s, consumer_s = (now - was for now, was in zip(self._cpu(), before, strict=True))
            runs.append(
                {
                    "rate": sent.acknowledged / sent.seconds,
                    "stored": sent.acknowledged / stored_s,
                    "gateway": gateway_s / sent.acknowledged * 1e6,
                    "consumer": consumer_s / sent.acknowledged * 1e6,
                    "load": sent.generator_s / sent.acknowledged * 1e6,
                }
            )
        named = figures_of(
            runs,
            {
                "rate": (f"gateway, durable, {scenario.what}", "msg/s", scenario.target),
                "stored": ("  until the last one is stored", "msg/s", None),
                "gateway": ("  processor time of the gateway", "us/msg", None),
                "consumer": ("  of the consumer", "us/msg", None),
                "load": ("  of the load generator", "us/msg", None),
            },
        )
        return [figure._replace(name=f"gateway_{scenario.name}_{figure.name}") for figure in named]

    def stored(self, target: Target = STORED) -> list[Figure]:
        """The highest pace, of a few, at which the backlog does not grow."""
        self._instance.wait_until_stored()
        began_s = time.monotonic()
        flat_out = self._send(*PACED)
        self._instance.wait_until_stored()
        pace = flat_out.acknowledged / (time.monotonic() - began_s)
        sent, backlog = self._paced(pace)
        for _ in range(MOST_PACES - 1):
            self.steady = _is_steady(backlog, sent)
            if self.steady:
                break
            pace *= 0.8
            sent, backlog = self._paced(pace)
        return [
            Figure(
                "stored",
                "sustained until stored, no growing backlog",
                "msg/s",
                (sent.acknowledged / sent.seconds,),
                target,
            ),
            Figure("stored_backlog", "  longest backlog meanwhile", "ms", (max(backlog) / pace * 1000,)),
        ]

    def _paced(self, pace: float) -> tuple[Sent, list[int]]:
        """Send so many messages a second; returns also how long the backlog was, a few times a second."""
        backlog: list[int] = []
        ended = threading.Event()
        watching = threading.Thread(target=self._watch, args=(backlog, ended))
        watching.start()
        sent = self._send(*PACED, pace)
        ended.set()
        watching.join()
        self._instance.wait_until_stored()
        return sent, backlog

    def idle(self, count: int, target: Target | None) -> Figure:
        """Memory of the gateway while it holds so many connections."""
        held = hold(self._generator, self._instance.mqtt_port, self._devices[:count])
        try:
            rss_mb = machine.memory_mb(self._instance.pids["mqtt"])[0]
        finally:
            held.terminate()
            held.wait()
        return Figure(f"idle_{count}", f"gateway with {count} idle connections (RSS)", "MB", (rss_mb,), target)

    def _send(self, connections: int, window: int, per_s: float = 0) -> Sent:
        devices = self._devices[:connections]
        sent = send(self._generator, self._instance.mqtt_port, devices, window, self._options.seconds, per_s)
        self.acknowledged += sent.acknowledged
        return sent

    def _watch(self, backlog: list[int], ended: threading.Event) -> None:
        while not ended.wait(SAMPLE_S):
            ledger = self._instance.ledger()
            backlog.append(ledger["queued"] + ledger["in_flight"])

    def _cpu(self) -> tuple[float, float]:
        return self._instance.cpu_seconds("mqtt"), self._instance.cpu_seconds("consumer")


def _is_steady(backlog: list[int], sent: Sent) -> bool:
    """Whether a load left no more of its second half behind than a twentieth, or a tenth of a second's worth."""
    quarter = max(1, len(backlog) // 4)
    growth = statistics.mean(backlog[-quarter:]) - statistics.mean(backlog[quarter : 2 * quarter] or backlog)
    return growth <= max(sent.acknowledged / 40, sent.acknowledged / sent.seconds / 10)
