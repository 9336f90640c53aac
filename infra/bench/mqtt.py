"""`bench mqtt`: durable publishes to the gateway with QoS 1, until stored; what an idle connection weighs."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from infra.bench import machine
from infra.bench.figures import Figure, Report, Target
from infra.bench.instance import Device, Instance
from infra.bench.options import Options
from infra.failure import Exit, Failure

SOURCE = Path(__file__).with_name("mqtt_load.c")
DEVICES = 200
IDLE_CONNECTIONS = 2000
HOLD_S = 60.0


class Scenario(NamedTuple):
    """So many connections, each with so many messages in flight."""

    name: str
    connections: int
    window: int
    target: Target


SCENARIOS = (
    Scenario("gateway_8x20", 8, 20, Target(30_000, 60_000, larger_is_better=True)),
    Scenario("gateway_50x1", 50, 1, Target(12_000, 20_000, larger_is_better=True)),
    Scenario("gateway_200x1", 200, 1, Target(12_000, 20_000, larger_is_better=True)),
)


def run(options: Options, folder: Path) -> Report:
    """Measure everything, check the books, report."""
    generator = compile_generator(folder)
    report = Report("mqtt", machine.describe(folder), options.conditions(load_generator=SOURCE.name))
    data = folder / "var"
    data.mkdir()
    with Instance(data) as instance:
        registered = instance.register(DEVICES if options.quick else IDLE_CONNECTIONS)
        devices = registered[:DEVICES]
        for scenario in SCENARIOS:
            report.figures += _published(generator, instance, devices, scenario, options)
        ledger = instance.wait_until_stored()
        report.figures.append(_idle(generator, instance, registered))
        report.checks = {"ledger": ledger, "nothing_lost": ledger["accepted"] == ledger["stored"]}
    return report


def compile_generator(folder: Path) -> Path:
    """The load generator, compiled into *folder*.

    Raises:
        Failure: There is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        message = "the load generator needs a C compiler: apt-get install gcc libc6-dev"
        raise Failure(message, Exit.INSTALLATION)
    program = folder / "mqtt_load"
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


def _published(
    generator: Path, instance: Instance, devices: list[Device], scenario: Scenario, options: Options
) -> list[Figure]:
    rates, microseconds = [], []
    for _ in range(options.runs):
        instance.wait_until_stored()
        before_s = instance.cpu_seconds("mqtt")
        acknowledged, seconds = _load(
            generator, instance, devices[: scenario.connections], scenario.window, options.seconds
        )
        rates.append(acknowledged / seconds)
        microseconds.append((instance.cpu_seconds("mqtt") - before_s) / acknowledged * 1e6)
    what = f"{scenario.connections} connections, {scenario.window} in flight"
    return [
        Figure(scenario.name, f"{what}: acknowledged", "msg/s", tuple(rates), scenario.target),
        Figure(f"{scenario.name}_cpu", f"{what}: gateway's processor", "us/msg", tuple(microseconds)),
    ]


def _load(generator: Path, instance: Instance, devices: list[Device], window: int, seconds: float) -> tuple[int, float]:
    lines = "".join(f"{device.id} {device.key}\n" for device in devices)
    command = [str(generator), str(instance.mqtt_port), str(window), str(seconds)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise Failure(done.stderr.strip())
    acknowledged, took = done.stdout.split()
    return int(acknowledged), float(took)


def _idle(generator: Path, instance: Instance, devices: list[Device]) -> Figure:
    """Memory of the gateway for each connection that is held."""
    pid = instance.pids["mqtt"]
    before_mb = machine.memory_mb(pid)[0]
    process = _held(generator, instance, "".join(f"{device.id} {device.key}\n" for device in devices))
    try:
        added_mb = machine.memory_mb(pid)[0] - before_mb
    finally:
        process.terminate()
        process.wait()
    return Figure("idle_connection", "an idle connection weighs", "kB", (added_mb * 1024 / len(devices),))


def _held(generator: Path, instance: Instance, lines: str) -> "subprocess.Popen[str]":
    command = [str(generator), str(instance.mqtt_port), "0", str(HOLD_S)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdin is None or process.stdout is None:
        message = "no pipes"
        raise RuntimeError(message)
    process.stdin.write(lines)
    process.stdin.close()
    process.stdout.readline()
    return process
