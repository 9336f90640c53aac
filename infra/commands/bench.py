"""`bench`: measure how fast it is on this machine."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from infra.bench.figures import Report
from infra.bench.options import Options
from infra.failure import Exit, Failure

KINDS = ("http", "store", "query", "mqtt", "iotdb", "lambda")


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    chosen = Options()
    parser.add_argument(
        "kind", choices=KINDS, help="http, mqtt: writes end to end; store: without either; query: reads"
    )
    parser.add_argument("--runs", type=_positive_int, default=chosen.runs, help="take the median of so many [5]")
    parser.add_argument("--seconds", type=_positive, default=chosen.seconds, help="length of a run under load [5]")
    parser.add_argument("--quick", action="store_true", help="only see that it works; the figures mean nothing")
    parser.add_argument("--points", type=_points, default=chosen.points, help="stored before iotdb reads [10000000]")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; - prints it instead of the table")
    parser.add_argument("--data", metavar="DIR", help="measure on the disk of this folder [the temporary folder's]")
    parser.set_defaults(run=bench)


def bench(options: argparse.Namespace) -> int:
    """Measure, in a scratch folder that is removed afterwards.

    Raises:
        Failure: The folder cannot be used, or something that was measured did not work.
    """
    measure = _benchmark(options.kind)
    chosen = Options(options.runs, options.seconds, quick=options.quick, points=options.points)
    try:
        with tempfile.TemporaryDirectory(prefix="iotflow-bench-", dir=options.data) as folder:
            report = measure(chosen, Path(folder))
    except OSError as error:
        message = f"the benchmark cannot work in {options.data or tempfile.gettempdir()}: {error}"
        raise Failure(message, Exit.DATA_FOLDER) from error
    document = json.dumps(report.document(), indent=2)
    if options.json == "-":
        print(document)
        return Exit.OK
    if options.json:
        Path(options.json).write_text(document + "\n", encoding="utf-8")
    print(report.text() if sys.stdout.isatty() or options.json else document)
    return Exit.OK


def _benchmark(kind: str) -> Callable[[Options, Path], Report]:
    """The module of *kind*, loaded only now: each imports what it measures."""
    if kind == "http":
        from infra.bench import http

        return http.run
    if kind == "store":
        from infra.bench import store

        return store.run
    if kind == "mqtt":
        from infra.bench import mqtt

        return mqtt.run
    if kind == "iotdb":
        from infra.bench import iotdb

        return iotdb.run
    if kind == "lambda":
        from infra.bench import functions

        return functions.run
    from infra.bench import query

    return query.run


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 600:
        message = "must be more than 0 and at most 600"
        raise argparse.ArgumentTypeError(message)
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if not 0 < value <= 100:
        message = "must be 1 to 100"
        raise argparse.ArgumentTypeError(message)
    return value


def _points(text: str) -> int:
    value = int(text)
    if not 10_000 <= value <= 1_000_000_000:
        message = "must be 10000 to 1000000000"
        raise argparse.ArgumentTypeError(message)
    return value
