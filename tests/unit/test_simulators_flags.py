"""Every spelling of every option, of the predecessor's programs and of its README, is understood."""

from collections import Counter
from types import ModuleType

import pytest

from simulators import basic_device_simulator, device_types, fleet_simulator, simulate
from simulators.enrolment import OnDuplicate
from simulators.options import DEFAULT_URL, RunOptions, device_names, run_options


def fleet_options(*arguments: str) -> RunOptions:
    """Return the options of a fleet simulator called with these arguments."""
    return run_options(fleet_simulator.parser().parse_args(arguments))


def fleet_kinds(*arguments: str) -> Counter[str]:
    """Return how many devices of each kind a fleet simulator called with these arguments has."""
    return Counter(fleet_simulator.kinds(fleet_simulator.parser().parse_args(arguments)))


@pytest.mark.parametrize("flag", ["--name", "--device-name", "--id", "--device-id"])
@pytest.mark.parametrize("program", [basic_device_simulator, device_types], ids=["basic", "device_types"])
def test_name_of_a_device_has_every_spelling(program: ModuleType, flag: str) -> None:
    parsed = program.parser().parse_args([flag, "Attic"])
    assert device_names(parsed, default="x", seed=1) == ["Attic"]


@pytest.mark.parametrize("flag", ["--count", "--device-count"])
def test_several_devices_get_numbered_names(flag: str) -> None:
    parsed = basic_device_simulator.parser().parse_args(["--name", "Attic", flag, "2"])
    assert device_names(parsed, default="x", seed=1) == ["Attic_001", "Attic_002"]


def test_name_not_given_is_drawn_by_the_seed() -> None:
    parsed = basic_device_simulator.parser().parse_args([])
    first, again, other = (device_names(parsed, default="Device", seed=seed)[0] for seed in (1, 1, 2))
    assert first == again != other
    assert first.startswith("Device_")
    assert len(first) == len("Device_0000")


@pytest.mark.parametrize(
    ("program", "defaults_s"),
    [(basic_device_simulator, (300, 30, 60)), (device_types, (300, 30, 120)), (fleet_simulator, (600, 60, 120))],
    ids=["basic", "device_types", "fleet"],
)
def test_defaults_are_the_predecessors(
    program: ModuleType, defaults_s: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOTFLOW_URL", raising=False)
    options = run_options(program.parser().parse_args([]))
    assert (options.duration_s, options.telemetry_interval_s, options.heartbeat_interval_s) == defaults_s
    assert (options.url, options.failure_rate, options.speed) == (DEFAULT_URL, 0.05, 1)
    assert options.on_duplicate is OnDuplicate.REUSE


def test_url_comes_from_the_flag_then_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTFLOW_URL", "http://edge:81/")
    assert fleet_options().url == "http://edge:81"
    assert fleet_options("--url", "https://a.example/api/").url == "https://a.example/api"


@pytest.mark.parametrize("flag", ["--interval", "--telemetry-interval"])
def test_interval_of_device_types_has_both_spellings(flag: str) -> None:
    assert run_options(device_types.parser().parse_args([flag, "7"])).telemetry_interval_s == 7


@pytest.mark.parametrize("flag", ["--type", "--device-type"])
def test_basic_device_registers_as_any_type(flag: str) -> None:
    assert basic_device_simulator.parser().parse_args([flag, "barometer"]).type == "barometer"


@pytest.mark.parametrize(
    "word", ["temperature", "door_lock", "camera", "air_quality", "thermostat", "smart_lock", "security_camera"]
)
def test_device_types_knows_kinds_by_name_and_device_type(word: str) -> None:
    parsed = device_types.parser().parse_args(["--device-type", word])
    (plan,) = device_types.plans(parsed, seed=1, interval_s=5)
    assert word in {plan.kind.name, plan.kind.device_type}
    assert plan.interval_s == 5


def test_device_types_all_is_one_of_each_with_its_own_name() -> None:
    parsed = device_types.parser().parse_args(["--device-type", "all", "--name", "Lab"])
    plans = device_types.plans(parsed, seed=1, interval_s=5)
    assert [plan.name for plan in plans] == [
        "Lab_temperature",
        "Lab_door_lock",
        "Lab_camera",
        "Lab_air_quality",
        "Lab_thermostat",
    ]


@pytest.mark.parametrize(
    ("preset", "devices"), [("home", 9), ("office", 16), ("factory", 30), ("test_suite", 5), ("stress_test", 40)]
)
@pytest.mark.parametrize("flag", ["--preset", "--fleet-preset"])
def test_preset_has_its_number_of_devices(flag: str, preset: str, devices: int) -> None:
    assert fleet_kinds(flag, preset).total() == devices


def test_home_is_the_default_fleet_and_keeps_the_predecessors_names() -> None:
    parsed = fleet_simulator.parser().parse_args([])
    plans = fleet_simulator.plans(fleet_simulator.kinds(parsed), seed=1, interval_s=60)
    assert [plan.name for plan in plans] == [
        "temperature_001",
        "temperature_002",
        "temperature_003",
        "door_lock_004",
        "door_lock_005",
        "camera_006",
        "camera_007",
        "air_quality_008",
        "thermostat_009",
    ]


@pytest.mark.parametrize("air", ["--air-monitors", "--air-quality"])
@pytest.mark.parametrize("preset", [[], ["--preset", "custom"]], ids=["no preset", "custom"])
def test_custom_fleet_has_the_devices_it_asks_for(air: str, preset: list[str]) -> None:
    counts = ["--temperature-sensors", "5", "--door-locks", "4", "--cameras", "3", air, "2", "--thermostats", "1"]
    expected = Counter(temperature=5, door_lock=4, camera=3, air_quality=2, thermostat=1)
    assert fleet_kinds(*preset, *counts) == expected


@pytest.mark.parametrize("flag", ["--count", "--device-count"])
def test_custom_fleet_of_a_number_takes_all_kinds_in_turn(flag: str) -> None:
    assert fleet_kinds(flag, "7") == Counter(temperature=2, door_lock=2, camera=1, air_quality=1, thermostat=1)


def test_custom_fleet_without_devices_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        fleet_simulator.main(["--preset", "custom"])
    assert end.value.code == 2
    assert "--temperature-sensors" in capsys.readouterr().err


def test_fleet_reports_at_the_predecessors_pace_in_proportion_to_the_interval() -> None:
    ranges_s = {"temperature": (50, 70), "door_lock": (60, 120), "camera": (45, 75), "thermostat": (120, 180)}
    for factor in (1.0, 0.1):
        for plan in fleet_simulator.plans(list(ranges_s) * 20, seed=3, interval_s=60 * factor):
            lowest_s, highest_s = ranges_s[plan.kind.name]
            assert lowest_s * factor <= plan.interval_s <= highest_s * factor


def test_history_alone_has_no_live_part_unless_a_duration_is_given() -> None:
    assert fleet_options("--backfill", "7d").duration_s == 0
    assert fleet_options("--backfill", "7d").backfill_s == 7 * 86_400
    assert fleet_options("--backfill", "7d", "--duration", "60").duration_s == 60


@pytest.mark.parametrize(
    ("text", "length_s"), [("300", 300), ("1.5", 1.5), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("1h30m", 5400)]
)
def test_duration_is_read_in_seconds_or_with_units(text: str, length_s: float) -> None:
    assert fleet_options("--duration", text).duration_s == length_s


def test_start_is_read_as_utc_unless_it_has_an_offset() -> None:
    assert fleet_options("--start", "2025-07-01T00:00:00").start_s == 1_751_328_000
    assert fleet_options("--start", "2025-07-01T02:00:00+02:00").start_s == 1_751_328_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--duration", "soon"],
        ["--duration", "1h30"],
        ["--telemetry-interval", "0"],
        ["--failure-rate", "1"],
        ["--failure-rate", "-0.1"],
        ["--speed", "0"],
        ["--speed", "nan"],
        ["--start", "yesterday"],
        ["--url", "localhost:5000"],
        ["--url", "http://host:port"],
        ["--url", "http://user:password@host"],
        ["--connections", "0"],
        ["--on-duplicate", "ignore"],
        ["--preset", "castle"],
    ],
    ids=" ".join,
)
def test_nonsense_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        fleet_options(*arguments)
    assert end.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_simulate_knows_the_predecessors_options() -> None:
    parsed, others = simulate.parser().parse_known_args(["--device-type", "basic", "--duration", "5", "--seed", "3"])
    assert (parsed.device_type, parsed.duration, others) == ("basic", "5", ["--seed", "3"])
    assert simulate.parser().parse_args(["-i"]).interactive
    assert simulate.parser().parse_args(["--check-health"]).check_health
    for preset in ("home", "office", "factory"):
        assert simulate.parser().parse_args(["--fleet-preset", preset]).fleet_preset == preset


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--seed", "3"], ["--duration", "300", "--seed", "3"]),
        (["--duration", "5m"], ["--duration", "5m"]),
        (["--backfill", "7d"], ["--backfill", "7d"]),
        (["--backfill", "7d", "--duration", "9"], ["--duration", "9", "--backfill", "7d"]),
    ],
)
def test_simulate_passes_the_other_programs_options_on(given: list[str], expected: list[str]) -> None:
    parsed, others = simulate.parser().parse_known_args(["--url", "http://a", *given])
    assert simulate.passed_on(parsed, others) == ["--url", "http://a", *expected]


def test_menu_goes_on_after_a_wrong_choice_and_ends_with_q(capsys: pytest.CaptureFixture[str]) -> None:
    choices = iter(["99", "x", "q"])
    assert simulate.main(["-i"], ask=lambda _: next(choices)) == 0
    assert "'99' is none of 1 to" in capsys.readouterr().out


def test_menu_ends_when_the_input_does() -> None:
    def no_input(_: str) -> str:
        raise EOFError

    assert simulate.main(["-i"], ask=no_input) == 0
