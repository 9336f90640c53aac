"""Simulates a fleet of devices over MQTT, each with a connection, a key and a will of its own.

python3 simulators/mqtt_fleet_simulator.py --count 20 --duration 60
python3 simulators/mqtt_fleet_simulator.py --types temperature_sensor smart_lock --transport websockets
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

if __package__ in {None, ""}:  # started as a file, perhaps by a Python that has none of our packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from simulators.interpreter import continue_in_venv

    continue_in_venv(__file__, "paho")

from simulators.device import DevicePlan
from simulators.mqtt_device_simulator import TYPES
from simulators.mqtt_options import add_mqtt_options, broker_or_usage_error, mqtt_network, with_credentials
from simulators.options import count, run_options
from simulators.profiles import kind_called
from simulators.run import run

DEFAULT_TYPES = ("temperature_sensor", "motion_sensor", "smart_meter")


def parser() -> argparse.ArgumentParser:
    """Return the command line of the program."""
    result = argparse.ArgumentParser(description="Simulate a fleet of devices over MQTT.")
    result.add_argument("--count", "--device-count", type=count, default=5, metavar="N", help="how many (default 5)")
    result.add_argument(
        "--types",
        "--type",
        "--device-types",
        nargs="+",
        choices=TYPES,
        default=DEFAULT_TYPES,
        metavar="TYPE",
        help=f"taken in turn (default {' '.join(DEFAULT_TYPES)})",
    )
    add_mqtt_options(result)
    return result


def plans(device_types: Sequence[str], number: int, *, interval_s: float) -> list[DevicePlan]:
    """Return the devices, named TYPE-NNNN with one number running through the fleet."""
    return [
        DevicePlan(f"{word}-{place:04}", kind_called(word), interval_s)
        for place, word in enumerate(islice(cycle(device_types), number), 1)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    command_line = parser()
    parsed = command_line.parse_args(arguments)
    options, where = run_options(parsed), broker_or_usage_error(command_line, parsed)
    fleet = plans(parsed.types, parsed.count, interval_s=options.telemetry_interval_s)
    return run(with_credentials(fleet, parsed), options, mqtt_network(parsed, options, where))


if __name__ == "__main__":
    sys.exit(main())
