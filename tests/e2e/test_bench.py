"""Benchmarks work from end to end and say what they should; their figures are nobody's business here."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.aws import packaging
from infra.failure import Failure
from infra.mosquitto import programs as mosquitto
from tests.backends import absent, require_program
from tests.contract.iotdb_server import require_iotdb
from tests.e2e.instance import infra

MACHINE = {"cpu", "cores", "memory_mb", "system", "python", "sqlite", "fdatasync_ms", "load_before"}
FIGURES = {
    "http": {"import_app", "bare_64", "idle_pss", "single_1_rate", "single_64_rate", "single_64_p99", "batch_stored"},
    "store": {"write_1000", "write_10000", "send_1", "send_64", "receive"},
    "query": {"latest", "range", "windows"},
    "mqtt": {"gateway_8x20_rate", "gateway_50x1_rate", "gateway_200x1_rate", "stored", "idle_100", "bridge_8x20_rate"},
}


def bench(kind: str, *options: str, path: str | None = None) -> dict[str, Any]:
    """The report of a benchmark that is as short as can be."""
    environment = {} if path is None else {"PATH": path}
    done = infra("bench", kind, "--quick", "--runs", "1", "--seconds", "0.2", *options, environment=environment)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


LAMBDA = {"init", "init_p95", "memory", "consumer_init", "one", "many", "batch"}


@pytest.mark.parametrize("kind", FIGURES)
def test_bench_reports_its_figures_and_the_machine(kind: str) -> None:
    """As JSON where the output is not a terminal; every figure is a positive number with its runs."""
    if kind == "mqtt":
        require_program("cc", backend="cc", package="gcc libc6-dev")
    report = bench(kind)
    assert report["bench"] == kind
    assert set(report["machine"]) == MACHINE
    without = {"bridge_8x20_rate"} if mosquitto.missing() else set()
    assert {figure["name"] for figure in report["figures"]} >= FIGURES[kind] - without
    assert all(figure["median"] > 0 and figure["unit"] and figure["runs"] for figure in report["figures"])


def test_bench_lambda_measures_packaged_functions() -> None:
    try:
        packaging.interpreter()
    except Failure as missing:
        absent("python3.13", str(missing))
    report = bench("lambda")
    assert {figure["name"] for figure in report["figures"]} == LAMBDA
    assert all(figure["median"] > 0 for figure in report["figures"])


def test_bench_http_works_without_wrk_and_its_books_are_exact(tmp_path: Path) -> None:
    """Our own generator waits for every answer, so that the ledger has exactly what was promised."""
    report = bench("http", path=str(tmp_path))
    checks = report["checks"]
    assert report["conditions"]["load_generator"] == "asyncio"
    assert checks["ledger"]["balanced"]
    assert checks["ledger"]["stored"] == checks["promised"] > 0
    assert checks["accepted_without_answer"] == checks["refused"] == checks["broken"] == 0


def test_bench_writes_a_file_and_cleans_up(tmp_path: Path) -> None:
    """With a file for the JSON, a table is printed; the scratch folder is gone afterwards."""
    file, scratch = tmp_path / "report.json", tmp_path / "scratch"
    scratch.mkdir()
    options = ("--quick", "--runs", "1", "--json", str(file), "--data", str(scratch))
    done = infra("bench", "store", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text(encoding="utf-8"))["bench"] == "store"
    assert "points written" in done.stdout
    assert list(scratch.iterdir()) == []


def test_bench_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = infra("bench", "store", "--quick", "--data", str(tmp_path / "absent"))
    assert done.returncode == 6
    assert "absent" in done.stderr
    assert "Traceback" not in done.stderr


def test_bench_iotdb_compares_the_writers_and_loses_nothing() -> None:
    require_iotdb()
    report = bench("iotdb")
    names = {figure["name"] for figure in report["figures"]}
    writers = {f"write_{size}_{who}" for size in (1_000, 10_000) for who in ("ours", "official", "replay", "tablets")}
    assert names >= writers | {"flow_100", "flow_1", "first_write", "latest", "page", "windows", "bytes"}
    assert all(figure["median"] > 0 for figure in report["figures"])
    assert report["checks"]["rows_of_the_fleet"] == report["checks"]["rows_of_the_single_device"] == 4_000
