"""What simulated devices measure: reproducible by seed, within physical ranges, of the types old devices send."""

import itertools
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.profiles import KINDS, SPECIALISED, Kind, kind_called
from simulators.signals import Data, battery, clamp, daily_wave, iso_naive, iso_utc, ripple

START_S = 1_751_328_000.0
HOUR_S = 3600.0

RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "basic": {
        "temperature": (12, 32),
        "humidity": (30, 90),
        "pressure": (1010, 1020),
        "battery_level": (5, 100),
        "signal_strength": (-80, -40),
    },
    "temperature": {"temperature": (10, 34), "humidity": (20, 90), "battery_level": (5, 100)},
    "door_lock": {"access_attempts_today": (0, 10_000), "battery_level": (5, 100), "signal_strength": (-70, -30)},
    "camera": {"storage_used_mb": (0, 1_000_000), "wifi_signal": (-60, -30)},
    "air_quality": {"pm25": (0, 42.5), "co2": (350, 750), "temperature": (20, 24), "humidity": (40, 60)},
    "thermostat": {
        "current_temperature": (10, 32),
        "target_temperature": (18, 22),
        "energy_usage_kwh": (0.1, 2),
        "outdoor_temperature": (5, 25),
    },
    "motion": {"light_level": (0, 1000)},
    "meter": {"power": (125, 270), "voltage": (215, 225), "current": (0.5, 1.3), "frequency": (49.9, 50.1)},
    "generic": {"value": (0, 100)},
}

WORDS: dict[str, dict[str, set[object]]] = {
    "basic": {},
    "temperature": {
        "location": {"Indoor", "Outdoor", "Greenhouse", "Server Room"},
        "sensor_status": {"active"},
    },
    "door_lock": {"lock_status": {"locked", "unlocked"}, "event_type": {"lock", "unlock", "status_check"}},
    "camera": {
        "motion_detected": {True, False},
        "recording_status": {"recording", "standby"},
        "video_quality": {"1080p"},
        "infrared_mode": {True, False},
    },
    "air_quality": {
        "air_quality_index": {"Good", "Moderate", "Unhealthy for Sensitive", "Unhealthy"},
        "fan_speed": {"auto"},
    },
    "thermostat": {"mode": {"heat", "cool", "auto"}, "schedule_enabled": {True}, "heating_cooling": {True, False}},
    "motion": {"motion": {True, False}},
    "meter": {},
    "generic": {"unit": {"units"}},
}

UNRANGED = {"basic": {"timestamp"}, "door_lock": {"last_access"}, "motion": {"proximity"}, "meter": {"total_energy"}}

kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
steps = st.lists(st.floats(0.01, 6 * HOUR_S), min_size=1, max_size=30)
starts = st.floats(946_684_800, 4_102_444_800)


def readings(kind: Kind, seed: int, start_s: float, steps_s: Sequence[float]) -> list[Data]:
    """Return the data at the start and after each step."""
    profile, time_s = kind.make(Random(seed), start_s), start_s
    result = [profile.measure(time_s)]
    for step_s in steps_s:
        time_s += step_s
        result.append(profile.measure(time_s))
    return result


def a_week(kind_name: str, seed: int = 1) -> list[Data]:
    """Return the data of a week, a reading every five minutes."""
    return readings(kind_called(kind_name), seed, START_S, [300.0] * (7 * 288))


@kinds
@given(seed=st.integers(), start_s=starts, steps_s=steps)
def test_profile_gives_the_same_data_for_the_same_seed_and_times(
    kind: Kind, seed: int, start_s: float, steps_s: list[float]
) -> None:
    assert readings(kind, seed, start_s, steps_s) == readings(kind, seed, start_s, steps_s)


@kinds
@given(seed=st.integers(), start_s=starts, steps_s=steps)
def test_profile_stays_within_its_ranges_and_words(kind: Kind, seed: int, start_s: float, steps_s: list[float]) -> None:
    for data in readings(kind, seed, start_s, steps_s):
        assert set(data) == set(RANGES[kind.name]) | set(WORDS[kind.name]) | UNRANGED.get(kind.name, set())
        for name, (lowest, highest) in RANGES[kind.name].items():
            value = data[name]
            assert isinstance(value, int | float)
            assert lowest <= value <= highest, name
        for name, words in WORDS[kind.name].items():
            assert data[name] in words


@kinds
def test_profile_gives_other_data_for_another_seed(kind: Kind) -> None:
    assert a_week(kind.name, seed=1) != a_week(kind.name, seed=2)


def types_of(kind_name: str, measurement: str) -> list[type]:
    """Return the types that a measurement has in a week, in the order in which they first come."""
    return list(dict.fromkeys(type(data[measurement]) for seed in range(5) for data in a_week(kind_name, seed)))


def test_last_access_is_null_and_then_a_text() -> None:
    assert types_of("door_lock", "last_access") == [type(None), str]


def test_storage_is_an_integer_and_then_a_float() -> None:
    assert types_of("camera", "storage_used_mb") == [int, float]


@pytest.mark.parametrize(("kind_name", "measurement"), [("basic", "humidity"), ("air_quality", "co2")])
def test_measurement_at_its_limit_is_an_integer_between_floats(kind_name: str, measurement: str) -> None:
    assert set(types_of(kind_name, measurement)) == {int, float}


def test_proximity_is_null_while_nothing_moves() -> None:
    assert {(data["motion"], data["proximity"] is None) for data in a_week("motion")} == {(True, False), (False, True)}


def test_basic_device_writes_a_naive_timestamp_into_its_data() -> None:
    assert readings(kind_called("basic"), 1, START_S, [])[0]["timestamp"] == "2025-07-01T00:00:00"


def test_door_lock_changes_state_exactly_with_its_events() -> None:
    locked = True
    for data in a_week("door_lock"):
        locked = {"lock": True, "unlock": False, "status_check": locked}[str(data["event_type"])]
        assert data["lock_status"] == ("locked" if locked else "unlocked")


def test_door_lock_counts_accesses_from_midnight() -> None:
    day = a_week("door_lock")[:288]
    uses = [data["event_type"] != "status_check" for data in day]
    assert [data["access_attempts_today"] for data in day] == [sum(uses[: place + 1]) for place in range(288)]
    assert a_week("door_lock")[288]["access_attempts_today"] in {0, 1}


def test_thermostat_holds_the_room_near_its_target_for_most_of_a_week() -> None:
    week = a_week("thermostat")
    near = [abs(float(data["current_temperature"] or 0) - float(data["target_temperature"] or 0)) < 2 for data in week]
    assert sum(near) > 0.85 * len(week)


def test_thermostat_uses_more_energy_while_it_heats_or_cools() -> None:
    assert all(
        (float(data["energy_usage_kwh"] or 0) >= 0.5) == data["heating_cooling"] for data in a_week("thermostat")
    )


def test_energy_of_a_meter_never_falls_and_adds_up_its_power() -> None:
    week = a_week("meter")
    totals = [float(data["total_energy"] or 0) for data in week]
    assert totals == sorted(totals)
    mean_kw = sum(float(data["power"] or 0) for data in week) / len(week) / 1000
    assert totals[-1] - totals[0] == pytest.approx(mean_kw * 7 * 24, rel=0.01)


def test_kind_is_found_by_its_name_and_by_its_device_type() -> None:
    assert kind_called("door_lock") is kind_called("smart_lock")
    assert {kind_called(name).device_type for name in SPECIALISED} == {
        "temperature_sensor",
        "smart_lock",
        "security_camera",
        "air_quality",
        "thermostat",
    }
    with pytest.raises(ValueError, match=r"'toaster'.*camera"):
        kind_called("toaster")


@given(st.integers(), st.floats(0, 1e10))
def test_ripple_is_a_function_of_time_within_one(seed: int, time_s: float) -> None:
    signal = ripple(Random(seed))
    assert -1 <= signal(time_s) <= 1
    assert signal(time_s) == ripple(Random(seed))(time_s)


@given(st.floats(0, 1e10), st.floats(0, 24))
def test_daily_wave_repeats_every_day_and_peaks_at_its_hour(time_s: float, peak_hour: float) -> None:
    assert daily_wave(time_s, peak_hour=peak_hour) == pytest.approx(
        daily_wave(time_s + 86_400, peak_hour=peak_hour), abs=1e-5
    )
    assert daily_wave(peak_hour * HOUR_S, peak_hour=peak_hour) == pytest.approx(1)


@given(st.floats(-1000, 1000))
def test_clamped_value_is_the_integer_limit_itself(value: float) -> None:
    result = clamp(value, -5, 5)
    assert -5 <= result <= 5
    assert isinstance(result, int) == (not -5 < value < 5)


def test_battery_falls_and_is_changed_before_it_is_empty() -> None:
    charge = battery(Random(1), START_S, percent_per_hour=1)
    hourly = [charge(START_S + hour * HOUR_S) for hour in range(200)]
    assert 5 <= min(hourly) < 7
    assert sum(later > earlier for earlier, later in itertools.pairwise(hourly)) == 2


def test_times_are_written_in_utc() -> None:
    assert iso_utc(START_S + 0.25) == "2025-07-01T00:00:00.250Z"
    assert iso_naive(START_S) == "2025-07-01T00:00:00"
