"""The load generator of `bench mqtt`: a program in C, so that what is measured is the gateway and not its client."""

import resource
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from infra.bench.instance import Device
from infra.failure import Exit, Failure

SOURCE = Path(__file__).with_name("mqtt_load.c")
HOLD_S = 120.0


class Sent(NamedTuple):
    """What the load generator did: messages acknowledged, in how long, and its own processor time."""

    acknowledged: int
    seconds: float
    generator_s: float


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


def send(generator: Path, port: int, devices: list[Device], window: int, seconds: float, per_s: float = 0) -> Sent:
    """Publish for so long; *per_s* messages a second at most, 0 for as many as are acknowledged.

    Raises:
        Failure: The generator was refused or cut off.
    """
    command = [str(generator), str(port), str(window), str(seconds), str(per_s)]
    before_s = _children_s()
    done = subprocess.run(
        command, input=_lines(devices), capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if done.returncode:
        raise Failure(done.stderr.strip())
    acknowledged, took = done.stdout.split()
    return Sent(int(acknowledged), float(took), _children_s() - before_s)


def hold(generator: Path, port: int, devices: list[Device]) -> "subprocess.Popen[str]":
    """A generator that holds its connections, all of them accepted."""
    command = [str(generator), str(port), "0", str(HOLD_S)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdin is None or process.stdout is None:
        message = "no pipes"
        raise RuntimeError(message)
    process.stdin.write(_lines(devices))
    process.stdin.close()
    process.stdout.readline()
    return process


def _lines(devices: list[Device]) -> str:
    return "".join(f"{device.id} {device.key}\n" for device in devices)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
