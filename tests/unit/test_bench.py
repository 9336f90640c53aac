"""What benchmarks say about their figures, and what their load generators send."""

import json
import re
from pathlib import Path

import pytest

from chalicelib.codec import readings_from_payload
from chalicelib.limits import PayloadLimits
from chalicelib.model import DeviceRef
from infra.bench import generator, load
from infra.bench.figures import Figure, Report, Target, figures_of, rounded

LIMITS = PayloadLimits(
    body_bytes=65_536,
    batch_bytes=1_048_576,
    measurements=256,
    readings=1000,
    text_bytes=4096,
    oldest_ms=0,
    future_s=86_400,
)
NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(500, 1200, larger_is_better=True), 1200, "aim"),
        (Target(500, 1200, larger_is_better=True), 1199, "reached"),
        (Target(500, 1200, larger_is_better=True), 499, "missed"),
        (Target(150, 80), 80, "aim"),
        (Target(150, 80), 81, "reached"),
        (Target(150, 80), 151, "missed"),
    ],
)
def test_target_judges_in_the_direction_that_counts(target: Target, value: float, verdict: str) -> None:
    assert target.judge(value) == verdict


def test_figure_reports_the_median_and_every_run() -> None:
    document = Figure("rate", "requests", "/s", (3.0, 1.0, 8.0), Target(2, 4, larger_is_better=True)).document()
    assert document["median"] == 3.0
    assert (document["lowest"], document["highest"]) == (1.0, 8.0)
    assert document["runs"] == [3.0, 1.0, 8.0]
    assert document["verdict"] == "reached"


def test_figure_without_a_target_has_no_verdict() -> None:
    assert "verdict" not in Figure("rate", "requests", "/s", (1.0,)).document()


@pytest.mark.parametrize(("value", "shown"), [(0.123456, 0.1235), (12.3456, 12.35), (1234.56, 1235.0), (0.0, 0.0)])
def test_rounded_keeps_four_digits(value: float, shown: float) -> None:
    assert rounded(value) == shown


def test_figures_of_collects_one_quantity_over_all_runs() -> None:
    runs = [{"rate": 1.0, "p99": 5.0}, {"rate": 2.0, "p99": 6.0}]
    figures = figures_of(runs, {"p99": ("latency", "ms", None)})
    assert [(figure.name, figure.values) for figure in figures] == [("p99", (5.0, 6.0))]


def test_report_is_a_json_document_and_a_table() -> None:
    report = Report("store", {"cores": 2}, {"runs": 1}, [Figure("rate", "points written", "/s", (5.0,))], {"ok": True})
    assert json.loads(json.dumps(report.document()))["figures"][0]["median"] == 5.0
    assert "points written" in report.text()
    assert "cores" in report.text()


@pytest.mark.parametrize("readings", [1, 100])
def test_generator_sends_what_the_codec_accepts(readings: int) -> None:
    """Every reading has five values; those of a batch differ in time, so that each is a point of its own."""
    accepted = readings_from_payload(
        generator.body_of(readings, 1_577_836_800).encode(),
        content_type="application/json",
        device=DeviceRef("default", 1),
        device_name="bench-1",
        now_ms=NOW_MS,
        limits=LIMITS,
    )
    assert len({reading.timestamp_ms for reading in accepted}) == readings
    assert {len(reading.values) for reading in accepted} == {load.VALUES_PER_READING}


def test_both_generators_send_the_same_values_to_the_same_path() -> None:
    script = Path(load.SCRIPT).read_text(encoding="utf-8")
    values, path = re.search(r"VALUES = '(.*)'", script), re.search(r'PATH = "(.*)"', script)
    assert values is not None
    assert values[1] == generator.VALUES
    assert path is not None
    assert path[1] == generator.PATH
