"""A simulated device loses nothing, stores nothing twice, and waits as long as it is told."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.client import NoAnswer
from simulators.enrolment import OnDuplicate
from tests.unit.simulated_service import START_S, Scene

Troubles = st.lists(st.sampled_from([429, 502, 503, 504, NoAnswer]), max_size=8)


def test_device_registers_then_beats_and_reports_at_once_and_on_time() -> None:
    scene = Scene(duration_s=60)
    device = scene.play(scene.device())
    assert next(word for _, _, word in scene.service.log) == "register"
    times_ms = sorted(timestamp_ms for _, timestamp_ms in scene.service.rows)
    assert [b - a for a, b in itertools.pairwise(times_ms)] == [10_000] * 5
    assert START_S * 1000 <= times_ms[0] <= START_S * 1000 + 5000
    assert (device.counts.accepted, device.counts.lost_readings) == (6, 0)
    assert (device.counts.heartbeats, device.counts.heartbeats_accepted) == (3, 3)


@given(Troubles, st.lists(st.sampled_from([503, NoAnswer]), max_size=3))
def test_device_delivers_every_reading_once_through_any_trouble(
    telemetry: Sequence[int | type[NoAnswer]], register: Sequence[int | type[NoAnswer]]
) -> None:
    scene = Scene()
    scene.service.then("telemetry", telemetry)
    scene.service.then("register", register)
    device = scene.play(scene.device(failure_rate=0.05))
    assert device.counts.accepted == len(scene.service.rows) == device.counts.due == 6
    assert device.counts.lost_readings == 0
    assert device.counts.retried == len(telemetry) + len(register)
    assert len(scene.service.keys) == 1


@given(st.lists(st.sampled_from([201, 400, 413, 503, NoAnswer]), max_size=10), st.integers(1, 120))
def test_device_accounts_for_every_reading_that_was_due(answers: list[int | type[NoAnswer]], until_s: int) -> None:
    scene = Scene()
    scene.service.then("telemetry", answers)
    counts = scene.play(scene.device(), until_s=until_s).counts
    assert counts.due == 6 == counts.accepted + counts.lost_readings
    assert counts.accepted <= counts.sent <= counts.due


def test_device_counts_a_refused_reading_as_lost_by_its_status() -> None:
    scene = Scene()
    scene.service.then("telemetry", [400])
    counts = scene.play(scene.device()).counts
    assert dict(counts.lost) == {"HTTP 400": 1}
    assert counts.refused[400] == 1
    assert counts.accepted == 5


def test_device_never_asks_sooner_than_retry_after_says() -> None:
    scene = Scene()
    scene.service.retry_after_s = 12
    scene.service.then("telemetry", [429])
    scene.play(scene.device())
    first_s, second_s = [time_s for time_s, _, word in scene.service.log if word == "telemetry"][:2]
    assert 12 <= second_s - first_s <= 13


def test_device_keeps_quiet_as_a_whole_while_it_waits() -> None:
    scene = Scene()
    scene.service.retry_after_s = 40
    scene.service.then("telemetry", [429])
    scene.play(scene.device())
    refused_s = next(time_s for time_s, _, word in scene.service.log if word == "telemetry")
    assert not [time_s for time_s, _, _ in scene.service.log if refused_s < time_s < refused_s + 40]


def test_device_sends_what_a_simulated_failure_held_back() -> None:
    scene = Scene(duration_s=600)
    counts = scene.play(scene.device(failure_rate=0.3)).counts
    assert counts.delayed > 0
    assert counts.accepted == counts.due == 60
    assert counts.retried == 0


def test_device_sends_its_history_in_full_requests() -> None:
    scene = Scene(duration_s=0, history_s=25_000)
    counts = scene.play(scene.device()).counts
    assert counts.accepted == 2500
    assert scene.service.largest_batch == 1000
    assert sum(word == "telemetry" for _, _, word in scene.service.log) == 3
    assert max(timestamp_ms for _, timestamp_ms in scene.service.rows) < scene.timeline.live_s * 1000


def test_device_at_speed_groups_readings_and_never_writes_into_the_future() -> None:
    scene = Scene(duration_s=10, speed=600)
    device = scene.device()
    while (due_s := device.step()) is not None:
        newest_ms = max((timestamp_ms for _, timestamp_ms in scene.service.rows), default=0)
        assert newest_ms <= scene.clock() * 1000
        scene.clock.now_s = max(scene.clock.now_s, due_s)
    assert device.counts.accepted == 600
    assert sum(word == "telemetry" for _, _, word in scene.service.log) <= 81


def test_device_sends_the_same_data_for_the_same_seed_and_start_whatever_the_network_does() -> None:
    calm, rough, other = Scene(duration_s=300), Scene(duration_s=300), Scene(duration_s=300)
    rough.service.then("telemetry", [503, NoAnswer, 429])
    calm.play(calm.device(seed=7))
    rough.play(rough.device(seed=7, failure_rate=0.4))
    other.play(other.device(seed=8))
    assert calm.service.rows == rough.service.rows
    assert calm.service.rows != other.service.rows


def test_device_with_a_taken_name_goes_on_with_its_saved_key() -> None:
    scene = Scene()
    scene.service.keys["lab"] = scene.keys["lab"] = "saved"
    device = scene.play(scene.device())
    assert device.enrolled is not None
    assert (device.enrolled.how, device.enrolled.name) == ("reused", "lab")
    assert {name for name, _ in scene.service.rows} == {"lab"}


@pytest.mark.parametrize("saved", [None, "of a service that was reset"])
def test_device_with_a_taken_name_and_no_live_key_takes_a_suffix(saved: str | None) -> None:
    scene = Scene()
    scene.service.keys["lab"] = "somebody else's"
    if saved:
        scene.keys["lab"] = saved
    device = scene.play(scene.device())
    assert device.enrolled is not None
    assert device.enrolled.how == "renamed"
    assert device.enrolled.name.startswith("lab-")
    assert scene.keys[device.enrolled.name] == device.enrolled.api_key


def test_device_told_to_take_a_suffix_leaves_its_saved_key_alone() -> None:
    scene = Scene()
    scene.service.keys["lab"] = scene.keys["lab"] = "saved"
    device = scene.play(scene.device(on_duplicate=OnDuplicate.SUFFIX))
    assert device.enrolled is not None
    assert device.enrolled.how == "renamed"
    assert scene.keys["lab"] == "saved"


def test_device_told_to_fail_on_a_taken_name_loses_its_readings_and_says_why() -> None:
    scene = Scene()
    scene.service.keys["lab"] = scene.keys["lab"] = "saved"
    device = scene.play(scene.device(on_duplicate=OnDuplicate.FAIL))
    assert device.enrolled is None
    assert dict(device.counts.lost) == {"not registered: HTTP 409 lab is taken": 6}


def test_device_whose_registration_was_not_answered_keeps_its_name_and_key() -> None:
    scene = Scene()
    scene.service.then("register", [NoAnswer, NoAnswer])
    device = scene.play(scene.device())
    assert device.enrolled is not None
    assert (device.enrolled.how, device.enrolled.name) == ("registered", "lab")


def test_interrupted_device_delivers_what_it_made_and_makes_no_more_of_its_history() -> None:
    scene = Scene(duration_s=0, history_s=50_000)
    device = scene.device()
    for _ in range(2):
        scene.clock.now_s = max(scene.clock.now_s, device.step() or 0)
    scene.timeline.interrupt(scene.clock())
    counts = scene.play(device).counts
    assert counts.due == counts.accepted == 1000
    assert counts.lost_readings == 0
