"""Simulates one device of a specialised kind over HTTP, or one of each: thermometer, lock, camera, air, thermostat.

python3 simulators/device_types.py --device-type camera --name Gate --duration 300
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in {None, ""}:  # started as a file, perhaps by a Python that has none of our packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from simulators.interpreter import continue_in_venv

    continue_in_venv(__file__)

from simulators.device import DevicePlan
from simulators.options import add_device_names, add_run_options, device_names, run_options
from simulators.profiles import SPECIALISED, kind_called
from simulators.run import run


def parser() -> argparse.ArgumentParser:
    """Return the command line of the program."""
    result = argparse.ArgumentParser(description="Simulate specialised devices over HTTP.")
    words = (*SPECIALISED, *(kind_called(name).device_type for name in SPECIALISED), "all")
    result.add_argument(
        "--device-type",
        "--type",
        choices=tuple(dict.fromkeys(words)),
        default="temperature",
        metavar="KIND",
        help=f"{', '.join(SPECIALISED)}, or all (default temperature)",
    )
    add_device_names(result)
    add_run_options(result, duration_s=300, telemetry_s=30, heartbeat_s=120)
    return result


def plans(arguments: argparse.Namespace, *, seed: int, interval_s: float) -> list[DevicePlan]:
    """Return the devices that the command line asks for; with several kinds each name tells its own."""
    chosen = SPECIALISED if arguments.device_type == "all" else (arguments.device_type,)
    result = []
    for kind in map(kind_called, chosen):
        names = device_names(arguments, default=kind.name, seed=seed)
        if len(chosen) > 1 and arguments.name:
            names = [f"{name}_{kind.name}" for name in names]
        result += [DevicePlan(name, kind, interval_s) for name in names]
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parsed = parser().parse_args(arguments)
    options = run_options(parsed)
    return run(plans(parsed, seed=options.seed, interval_s=options.telemetry_interval_s), options)


if __name__ == "__main__":
    sys.exit(main())
