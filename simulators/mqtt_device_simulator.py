"""Simulates a device over MQTT: registers, connects, sends readings, carries out commands.

python3 simulators/mqtt_device_simulator.py --type motion_sensor --duration 60
python3 simulators/mqtt_device_simulator.py --username 7 --password KEY --tls --ca var/certs/ca.crt
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in {None, ""}:  # started as a file, perhaps by a Python that has none of our packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from simulators.interpreter import continue_in_venv

    continue_in_venv(__file__, "paho")

from simulators.device import DevicePlan
from simulators.mqtt_options import add_mqtt_options, broker_or_usage_error, mqtt_network, with_credentials
from simulators.options import add_device_names, device_names, run_options
from simulators.profiles import KINDS, kind_called
from simulators.run import run

TYPES = sorted({kind.device_type for kind in KINDS} | {kind.name for kind in KINDS})


def parser() -> argparse.ArgumentParser:
    """Return the command line of the program."""
    result = argparse.ArgumentParser(description="Simulate a device over MQTT.")
    add_device_names(result)
    result.add_argument(
        "--type", "--device-type", choices=TYPES, default="temperature_sensor", help="default temperature_sensor"
    )
    add_mqtt_options(result)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    command_line = parser()
    parsed = command_line.parse_args(arguments)
    options, where = run_options(parsed), broker_or_usage_error(command_line, parsed)
    kind = kind_called(parsed.type)
    names = device_names(parsed, default="device", seed=options.seed)
    plans = [DevicePlan(name, kind, options.telemetry_interval_s) for name in names]
    return run(with_credentials(plans, parsed), options, mqtt_network(parsed, options, where))


if __name__ == "__main__":
    sys.exit(main())
