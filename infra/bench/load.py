"""Load over HTTP from keep-alive connections that each send the next request when the last one is answered.

`wrk` is used where it is installed: it is compiled and leaves more of the machine to what is measured. Elsewhere our
own generator (asyncio) sends the same; its figures are lower since it needs more of the processor itself.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from infra.bench import generator
from infra.failure import Failure

VALUES_PER_READING = 5
SCRIPT = Path(__file__).with_name("load.lua")


class Load(NamedTuple):
    """What to send, and how.

    Attributes:
        keys: Of the devices, which send in turn.
        readings: In each request; those of more than one have their own timestamps.
        connections: Kept open, each with one request in progress.
        seconds: How long new requests are sent.
        first_s: Epoch seconds of the first timestamp; later loads start later, to write other points.
    """

    port: int
    keys: Sequence[str]
    readings: int
    connections: int
    seconds: float
    first_s: int = 1_577_836_800


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        answers: Of all kinds.
        refused: Those that were not a success.
        broken: Requests that had no answer.
        seconds: From the first request to the last answer.
    """

    answers: int
    refused: int
    broken: int
    seconds: float
    p50_ms: float
    p99_ms: float
    longest_ms: float

    @property
    def per_s(self) -> float:
        """Successes a second."""
        return (self.answers - self.refused) / self.seconds


def generator_name() -> str:
    """What sends."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def send(load: Load) -> Outcome:
    """Send, and wait for the end.

    Raises:
        Failure: The load generator failed, or nothing was answered.
    """
    outcome = _with_wrk(load) if generator_name() == "wrk" else _with_asyncio(load)
    if outcome.answers == 0:
        message = "the benchmark's instance answered nothing"
        raise Failure(message)
    return outcome


def _with_asyncio(load: Load) -> Outcome:
    answered = generator.run(
        load.port,
        load.keys,
        readings=load.readings,
        connections=load.connections,
        seconds=load.seconds,
        first_s=load.first_s,
    )
    times_ms = sorted(answer.ms for answer in answered.answers)
    if not times_ms:
        return Outcome(0, 0, answered.broken, answered.seconds, 0.0, 0.0, 0.0)
    return Outcome(
        answers=len(times_ms),
        refused=sum(not 200 <= answer.status < 300 for answer in answered.answers),
        broken=answered.broken,
        seconds=answered.seconds,
        p50_ms=times_ms[len(times_ms) // 2],
        p99_ms=times_ms[min(len(times_ms) - 1, len(times_ms) * 99 // 100)],
        longest_ms=times_ms[-1],
    )


def _with_wrk(load: Load) -> Outcome:
    """One thread: the machine has few cores, and the server needs them."""
    with tempfile.NamedTemporaryFile("w", suffix=".keys", encoding="ascii") as keys:
        keys.write("\n".join(load.keys))
        keys.flush()
        done = subprocess.run(
            [
                *("wrk", "--threads", "1", "--connections", str(load.connections), "--timeout", "30s"),
                *("--duration", f"{max(1, round(load.seconds))}s", "--script", str(SCRIPT)),
                *(f"http://127.0.0.1:{load.port}", "--", keys.name, str(load.readings), str(load.first_s)),
            ],
            capture_output=True,
            text=True,
            timeout=load.seconds + 60,
            check=False,
        )
    if done.returncode:
        message = f"wrk failed: {done.stderr.strip()[-300:]}"
        raise Failure(message)
    return Outcome(**json.loads(done.stdout.strip().rpartition("\n")[2]))
