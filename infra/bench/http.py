"""`bench http`: durable writes over HTTP, until stored; memory at rest; the time to import the app."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from infra.bench import load, machine
from infra.bench.figures import Figure, Report, Target, figures_of
from infra.bench.instance import Instance
from infra.bench.load import VALUES_PER_READING, Load
from infra.bench.options import Options
from infra.bench.reference import BareServer
from infra.bootstrap import ROOT
from infra.failure import Failure

DEVICES = 64
ONE_RESOURCE = "chalicelib.api.telemetry"
BATCH_READINGS = 100
BATCH_CONNECTIONS = 8
BATCH_SPAN_S = 10_000_000
"""Between the first timestamps of two runs of batches, so that every run writes points of its own."""

_IMPORT = "import time; started = time.perf_counter(); import app; print((time.perf_counter() - started) * 1000)"


def run(options: Options, folder: Path) -> Report:
    """Measure everything, check the books, report."""
    report = Report("http", machine.describe(folder), options.conditions(load_generator=load.generator_name()))
    report.figures += [*import_times(options, folder), *bare_server(options)]
    data = folder / "var"
    data.mkdir()
    with Instance(data) as instance:
        measured = _Measured(instance, options)
        report.figures += measured.at_rest()
        for connections, targets in (
            (1, (Target(500, 1200, larger_is_better=True), None)),
            (64, (Target(3000, 8000, larger_is_better=True), Target(60, 60))),
        ):
            report.figures += measured.singles(connections, *targets)
        report.figures += measured.batches()
        report.checks = measured.books()
    return report


def import_times(options: Options, folder: Path) -> list[Figure]:
    """`import app` in fresh interpreters: all of it, and as the Lambda of one resource does.

    Bytecode is kept in *folder* by a first run that is not counted, whatever the environment says about that.
    """
    figures = []
    for name, what, only in (
        ("import_app", "import app", {}),
        ("import_one", "  with one resource, as its Lambda does", {"ENDPOINT_MODULE": ONE_RESOURCE}),
    ):
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), **only}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _import_ms(environment)
        values = tuple(_import_ms(environment) for _ in range(options.runs * 3))
        figures.append(Figure(name, what, "ms", values, None if only else Target(150, 80)))
    return figures


def _import_ms(environment: Mapping[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def bare_server(options: Options) -> list[Figure]:
    """The same server without our work, with 64 connections and with 1."""
    figures = []
    with BareServer() as server:
        for connections in (1, 64):
            rates = [
                load.send(Load(server.port, ["no-key"], 1, connections, options.seconds)).per_s
                for _ in range(options.runs)
            ]
            what = f"bare uvicorn answering 201, {_words(connections)}"
            figures.append(Figure(f"bare_{connections}", what, "/s", tuple(rates)))
    return figures


class _Measured:
    """One instance under one kind of load after the other, and the books of what it said yes to."""

    def __init__(self, instance: Instance, options: Options) -> None:
        self._instance = instance
        self._options = options
        rss_mb, pss_mb = instance.memory_mb()
        self._rest = [
            Figure("idle_pss", "memory of all processes, idle (PSS)", "MB", (pss_mb,), Target(250, 120)),
            Figure("idle_rss", "memory of all processes, idle (RSS)", "MB", (rss_mb,)),
        ]
        self._keys = [device.key for device in instance.register(DEVICES)]
        self._promised = self._cut_off = self._refused = self._broken = 0
        self._batch_runs = 0
        self._bystanders = machine.Bystanders(instance.pids.values())
        self._send(1, 64, min(1.0, options.seconds))  # warm: caches filled, statements prepared

    def at_rest(self) -> list[Figure]:
        """Memory before anything was sent."""
        return self._rest

    def singles(self, connections: int, rate: Target, p99: Target | None) -> list[Figure]:
        """One reading of five values a request."""
        runs = []
        for _ in range(self._options.runs):
            before = self._cpu()
            outcome = self._send(1, connections, self._options.seconds)
            self._instance.wait_until_stored()
            front_s, consumer_s = (after - was for after, was in zip(self._cpu(), before, strict=True))
            runs.append(
                {
                    "rate": outcome.per_s,
                    "p50": outcome.p50_ms,
                    "p99": outcome.p99_ms,
                    "front": front_s / outcome.answers * 1e6,
                    "consumer": consumer_s / outcome.answers * 1e6,
                }
            )
        named = figures_of(
            runs,
            {
                "rate": (f"POST of one reading, durable, {_words(connections)}", "/s", rate),
                "p50": ("  median latency", "ms", None),
                "p99": ("  99th percentile", "ms", p99),
                "front": ("  processor time of the front, a request", "us", None),
                "consumer": ("  processor time of the consumer, a request", "us", None),
            },
        )
        return [figure._replace(name=f"single_{connections}_{figure.name}") for figure in named]

    def batches(self) -> list[Figure]:
        """A hundred readings of five values a request, from the first request until the ledger has all stored."""
        runs = []
        for _ in range(self._options.runs):
            before = self._instance.ledger()["stored"]
            started_s = time.perf_counter()
            outcome = self._send(BATCH_READINGS, BATCH_CONNECTIONS, self._options.seconds)
            stored = self._instance.wait_until_stored()["stored"] - before
            seconds = time.perf_counter() - started_s
            runs.append(
                {
                    "stored": stored * VALUES_PER_READING / seconds,
                    "accepted": outcome.per_s * BATCH_READINGS * VALUES_PER_READING,
                    "p99": outcome.p99_ms,
                }
            )
        target = Target(50_000, 150_000, larger_is_better=True)
        what = f"batches of {BATCH_READINGS} readings, {_words(BATCH_CONNECTIONS)}"
        named = figures_of(
            runs,
            {
                "stored": (f"values until stored, {what}", "/s", target),
                "accepted": ("  values accepted while they were sent", "/s", None),
                "p99": ("  99th percentile of the latency", "ms", None),
            },
        )
        return [figure._replace(name=f"batch_{figure.name}") for figure in named]

    def books(self) -> dict[str, object]:
        """The ledger, and that it has every reading that was promised.

        A request whose answer the load generator did not wait for at its end may be in the ledger too.

        Raises:
            Failure: The ledger is not balanced, a promised reading is not stored, or there are too many.
        """
        ledger = self._instance.wait_until_stored()
        surplus = ledger["accepted"] - self._promised
        exact = ledger["balanced"] and ledger["stored"] == ledger["accepted"] and 0 <= surplus <= self._cut_off
        if not exact:
            message = f"the ledger does not fit: {self._promised} readings were promised, {ledger}"
            raise Failure(message)
        return {
            "ledger": ledger,
            "promised": self._promised,
            "accepted_without_answer": surplus,
            "refused": self._refused,
            "broken": self._broken,
            "processor_used_by_others_percent": self._bystanders.percent(),
            "memory_after_pss_mb": round(self._instance.memory_mb()[1], 1),
        }

    def _send(self, readings: int, connections: int, seconds: float) -> load.Outcome:
        first_s = Load._field_defaults["first_s"]
        if readings > 1:
            first_s += self._batch_runs * BATCH_SPAN_S
            self._batch_runs += 1
        outcome = load.send(Load(self._instance.port, self._keys, readings, connections, seconds, first_s))
        self._promised += (outcome.answers - outcome.refused) * readings
        self._cut_off += connections * readings
        self._refused += outcome.refused
        self._broken += outcome.broken
        return outcome

    def _cpu(self) -> tuple[float, float]:
        return self._instance.cpu_seconds("front"), self._instance.cpu_seconds("consumer")


def _words(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"
