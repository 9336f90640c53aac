"""The totals add up, say what was lost, and decide the exit code."""

import json
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simulators import fleet_simulator
from simulators.enrolment import OnDuplicate
from simulators.fleet import FleetRun
from simulators.options import run_options
from simulators.report import exit_code, print_totals, summary
from simulators.timeline import FutureRun, Timeline
from simulators.totals import Counts, percentile, total
from tests.unit.simulated_service import START_S, MemoryKeys, Scene

OPTIONS = run_options(fleet_simulator.parser().parse_args(["--seed", "1", "--url", "http://service"]))


def test_total_adds_every_count() -> None:
    one = Counts(due=3, accepted=2, lost=Counter(late=1), refused=Counter({503: 2}), latencies_ms=[1.0])
    two = Counts(due=4, accepted=3, lost=Counter(late=1), refused=Counter({503: 1, 400: 1}), latencies_ms=[2.0])
    assert total([one, two]) == Counts(
        due=7, accepted=5, lost=Counter(late=2), refused=Counter({503: 3, 400: 1}), latencies_ms=[1.0, 2.0]
    )
    assert total([]) == Counts()


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_percentile_is_the_least_value_that_covers_its_share(values: list[float], percent: float) -> None:
    result = percentile(values, percent)
    assert result in values
    covered = [value for value in values if value <= result]
    assert len(covered) / len(values) * 100 >= percent - 1e-9
    assert sum(value < result for value in values) < len(values) * percent / 100


def test_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 50) is None


def test_summary_names_counts_reasons_and_devices_and_no_key() -> None:
    scene = Scene()
    scene.service.then("telemetry", [503, 400])
    device = scene.play(scene.device())
    totals = summary([device], OPTIONS, scene.timeline, took_s=60, interrupted=False)
    none = dict.fromkeys(("reused", "renamed", "given", "not_registered"), 0)
    assert totals["devices"] == {"planned": 1, "registered": 1, **none}
    assert totals["readings"]["lost_by_reason"] == {"HTTP 400": 1}
    assert totals["requests"]["rejected_by_status"] == {"400": 1, "503": 1}
    assert totals["requests"]["retried"] == 1
    assert totals["latency_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert totals["fleet"] == [{"name": "lab", "id": "1", "device_type": "sensor", "accepted": 5, "lost": 1}]
    assert totals["simulated"] == {"from": "2025-07-01T00:00:00.000Z", "to": "2025-07-01T00:01:00.000Z", "speed": 1}
    assert "key of" not in json.dumps(totals)


def test_table_shows_what_was_lost_and_how_to_repeat_the_run() -> None:
    scene = Scene()
    scene.service.then("telemetry", [400])
    device = scene.play(scene.device())
    console = Console(width=120)
    with console.capture() as capture:
        totals = summary([device], OPTIONS, scene.timeline, took_s=60, interrupted=False)
        print_totals(totals, console)
    assert "1 HTTP 400" in capture.get()
    assert "--seed 1 --start 2025-07-01T00:00:00.000Z" in capture.get()


@pytest.mark.parametrize(
    ("answers", "on_duplicate", "expected"),
    [
        ([], OnDuplicate.REUSE, 0),
        ([503, 429], OnDuplicate.REUSE, 0),
        ([400], OnDuplicate.REUSE, 1),
        ([500], OnDuplicate.REUSE, 1),
        ([], OnDuplicate.FAIL, 1),
    ],
)
def test_exit_code_is_zero_only_when_nothing_was_lost(
    answers: list[int], on_duplicate: OnDuplicate, expected: int
) -> None:
    scene = Scene()
    if on_duplicate is OnDuplicate.FAIL:
        scene.service.keys["lab"] = "somebody else's"
    scene.service.then("telemetry", answers)
    device = scene.play(scene.device(on_duplicate=on_duplicate))
    assert exit_code(summary([device], OPTIONS, scene.timeline, took_s=1, interrupted=False)) == expected


def test_exit_code_forgives_an_interrupted_run_what_it_had_no_time_for() -> None:
    scene = Scene()
    device = scene.device()
    scene.timeline.interrupt(scene.clock())
    device.settle()
    assert exit_code(summary([device], OPTIONS, scene.timeline, took_s=0, interrupted=True)) == 0
    assert exit_code(summary([device], OPTIONS, scene.timeline, took_s=0, interrupted=False)) == 1


@given(
    st.floats(1e9, 2e9), st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0.01, 1e5), st.floats(0, 1, exclude_max=True)
)
def test_simulated_time_without_a_start_is_never_ahead_of_the_clock_and_ends_in_the_present(
    now_s: float, history_s: float, duration_s: float, speed: float, share: float
) -> None:
    timeline = Timeline.plan(now_s=now_s, history_s=history_s, duration_s=duration_s, speed=max(speed, 1), start_s=None)
    wall_s = now_s + share * duration_s
    assert timeline.simulated_s(wall_s) <= wall_s + 1e-3
    assert now_s + duration_s - 1.001 <= timeline.end_s <= now_s + duration_s + 1e-3
    assert timeline.begin_s == pytest.approx(timeline.live_s - history_s)
    assert timeline.begin_s % 1 == pytest.approx(0, abs=1e-3) or timeline.begin_s % 1 == pytest.approx(1, abs=1e-3)


def test_run_that_would_reach_into_the_future_is_refused() -> None:
    with pytest.raises(FutureRun, match="future"):
        Timeline.plan(now_s=START_S, history_s=0, duration_s=60, speed=10, start_s=START_S - 60)


def test_fleet_runs_to_its_end_on_several_threads() -> None:
    scene = Scene(duration_s=0, history_s=5000)
    devices = [scene.device(f"d{number}", failure_rate=0) for number in range(50)]
    fleet = FleetRun(devices, scene.timeline, clock=Running(scene), workers=4, patience_s=10)
    fleet.start()
    assert fleet.wait(30)
    fleet.finish()
    counts = total(device.counts for device in devices)
    assert counts.accepted == counts.due == len(scene.service.rows) == 50 * 500


def test_fleet_gives_up_when_the_service_takes_nothing_for_so_long() -> None:
    scene = Scene(duration_s=0, history_s=100)
    scene.service.then("telemetry", [503] * 100)
    device = scene.device()
    fleet = FleetRun([device], scene.timeline, clock=Running(scene), workers=1, patience_s=0.05)
    fleet.start()
    assert fleet.wait(30)
    fleet.finish()
    assert dict(device.counts.lost) == {"not accepted in time": 10}


class FullDisk(MemoryKeys):
    """A place for keys that has no room."""

    def put(self, name: str, api_key: str) -> None:
        raise OSError(f"no space for {name}, {len(api_key)} characters")


def test_fleet_reports_an_error_in_a_device_and_does_not_hang() -> None:
    scene = Scene()
    scene.keys = FullDisk()
    fleet = FleetRun([scene.device()], scene.timeline, clock=Running(scene), workers=2, patience_s=10)
    fleet.start()
    assert fleet.wait(30)
    with pytest.raises(OSError, match="no space"):
        fleet.finish()


class Running:
    """The scene's clock, moving on with real time and the scene with it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._offset_s = scene.clock.now_s - time.monotonic()

    def __call__(self) -> float:
        self._scene.clock.now_s = time.monotonic() + self._offset_s
        return self._scene.clock.now_s
