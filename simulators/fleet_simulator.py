"""Simulates a fleet of devices over HTTP: a home, an office, a factory, or one of your own making.

python3 simulators/fleet_simulator.py --preset factory --duration 60
python3 simulators/fleet_simulator.py --preset home --backfill 7d --seed 1
python3 simulators/fleet_simulator.py --temperature-sensors 5 --cameras 2
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

if __package__ in {None, ""}:  # started as a file, perhaps by a Python that has none of our packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from simulators.interpreter import continue_in_venv

    continue_in_venv(__file__)

from simulators.device import DevicePlan
from simulators.options import add_run_options, count, run_options
from simulators.profiles import SPECIALISED, kind_called
from simulators.run import run

PRESETS: Mapping[str, tuple[int, ...]] = {
    "home": (3, 2, 2, 1, 1),
    "office": (5, 3, 4, 2, 2),
    "factory": (10, 5, 8, 4, 3),
    "test_suite": (1, 1, 1, 1, 1),
    "stress_test": (14, 6, 10, 6, 4),
}
"""How many devices of each kind, in the order of `SPECIALISED`: 9, 16, 30, 5 and 40 in all."""

COUNT_FLAGS = (
    ("--temperature-sensors", "--temperature"),
    ("--door-locks", "--locks"),
    ("--cameras",),
    ("--air-monitors", "--air-quality"),
    ("--thermostats",),
)


def parser() -> argparse.ArgumentParser:
    """Return the command line of the program."""
    result = argparse.ArgumentParser(description="Simulate a fleet of devices over HTTP.")
    result.add_argument(
        "--preset",
        "--fleet-preset",
        choices=(*PRESETS, "custom"),
        help="which fleet (default home, or custom when any number of devices is given)",
    )
    custom = result.add_argument_group("a custom fleet")
    for kind, flags in zip(SPECIALISED, COUNT_FLAGS, strict=True):
        custom.add_argument(*flags, dest=kind, type=count_or_none, default=0, metavar="N")
    custom.add_argument(
        "--count", "--device-count", type=count, default=0, metavar="N", help="so many devices, all kinds in turn"
    )
    add_run_options(result, duration_s=600, telemetry_s=60, heartbeat_s=120)
    return result


def count_or_none(text: str) -> int:
    """Read a whole number from 0 to 1000."""
    return 0 if text == "0" else count(text)


def kinds(arguments: argparse.Namespace) -> list[str]:
    """Return the kind of each device of the fleet; none when a custom fleet has no numbers."""
    counts = [getattr(arguments, kind) for kind in SPECIALISED]
    custom = any(counts) or arguments.count
    if arguments.preset not in {None, "custom"} or not (custom or arguments.preset):
        counts = list(PRESETS[arguments.preset or "home"])
    elif arguments.count:
        counts = [number + len(range(place, arguments.count, len(SPECIALISED))) for place, number in enumerate(counts)]
    return [kind for kind, number in zip(SPECIALISED, counts, strict=True) for _ in range(number)]


def plans(kind_names: Sequence[str], *, seed: int, interval_s: float) -> list[DevicePlan]:
    """Return the devices, named KIND_NNN with one number running through the fleet, each with its own pace."""
    result = []
    for number, kind_name in enumerate(kind_names, 1):
        kind, name = kind_called(kind_name), f"{kind_name}_{number:03}"
        factor = Random(f"{seed}/{name}/pace").uniform(*kind.pace)
        result.append(DevicePlan(name, kind, max(0.01, interval_s * factor)))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    command_line = parser()
    parsed = command_line.parse_args(arguments)
    chosen = kinds(parsed)
    if not chosen:
        command_line.error("a custom fleet needs devices: give --count, --temperature-sensors, --door-locks, ...")
    options = run_options(parsed)
    return run(plans(chosen, seed=options.seed, interval_s=options.telemetry_interval_s), options)


if __name__ == "__main__":
    sys.exit(main())
