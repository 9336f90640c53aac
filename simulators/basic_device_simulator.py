"""Simulates a basic sensor over HTTP: registers, then sends heartbeats and readings of its weather.

python3 simulators/basic_device_simulator.py --name Attic --duration 300 --telemetry-interval 30
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if __package__ in {None, ""}:  # started as a file, perhaps by a Python that has none of our packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from simulators.interpreter import continue_in_venv

    continue_in_venv(__file__)

from simulators.device import DevicePlan
from simulators.options import add_device_names, add_run_options, device_names, run_options
from simulators.profiles import kind_called
from simulators.run import run


def parser() -> argparse.ArgumentParser:
    """Return the command line of the program."""
    result = argparse.ArgumentParser(description="Simulate a basic sensor over HTTP.")
    add_device_names(result)
    result.add_argument("--type", "--device-type", default="sensor", help="the device type it registers as (sensor)")
    add_run_options(result, duration_s=300, telemetry_s=30, heartbeat_s=60)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parsed = parser().parse_args(arguments)
    options = run_options(parsed)
    kind = replace(kind_called("basic"), device_type=parsed.type)
    names = device_names(parsed, default="Device", seed=options.seed)
    return run([DevicePlan(name, kind, options.telemetry_interval_s) for name in names], options)


if __name__ == "__main__":
    sys.exit(main())
