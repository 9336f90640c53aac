"""The options that every HTTP simulator understands, in the spellings of the predecessor's programs and README."""

import argparse
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from simulators.enrolment import OnDuplicate
from simulators.keys import DEFAULT_PATH

DEFAULT_URL = "http://localhost:5000"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class RunOptions:
    """How a run goes. Durations are real seconds; the telemetry interval and the history are simulated ones."""

    url: str
    duration_s: float
    telemetry_interval_s: float
    heartbeat_interval_s: float
    seed: int
    start_s: float | None
    speed: float
    backfill_s: float
    failure_rate: float
    on_duplicate: OnDuplicate
    keys: Path
    connections: int
    patience_s: float
    json: bool


def add_run_options(parser: argparse.ArgumentParser, *, duration_s: int, telemetry_s: int, heartbeat_s: int) -> None:
    """Add the common options, with the program's own defaults."""
    add_url(parser)
    pace = parser.add_argument_group("how long and how often")
    pace.add_argument(
        "--duration",
        type=seconds,
        metavar="TIME",
        help=f"how long the run lasts: 300, 5m, 1h30m (default {duration_s} s; 0 with --backfill)",
    )
    pace.add_argument(
        "--telemetry-interval",
        "--interval",
        type=some_seconds,
        default=telemetry_s,
        metavar="TIME",
        help=f"between two readings, in simulated time (default {telemetry_s} s)",
    )
    pace.add_argument(
        "--heartbeat-interval",
        type=some_seconds,
        default=heartbeat_s,
        metavar="TIME",
        help=f"between two heartbeats (default {heartbeat_s} s)",
    )
    _add_time_options(parser)
    _add_network_options(parser)
    parser.add_argument("--json", action="store_true", help="print the totals as JSON on standard output, and no more")
    parser.set_defaults(default_duration_s=float(duration_s))


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add --url, whose default is IOTFLOW_URL or the local service."""
    url = os.environ.get("IOTFLOW_URL", DEFAULT_URL)
    parser.add_argument(
        "--url", type=http_url, default=url, help=f"the service (default IOTFLOW_URL, or {DEFAULT_URL})"
    )


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """Return the options of a parsed command line. Without --seed a random one is drawn, for the report."""
    live_s = 0.0 if arguments.backfill else arguments.default_duration_s
    return RunOptions(
        url=arguments.url,
        duration_s=live_s if arguments.duration is None else arguments.duration,
        telemetry_interval_s=arguments.telemetry_interval,
        heartbeat_interval_s=arguments.heartbeat_interval,
        seed=secrets.randbelow(2**32) if arguments.seed is None else arguments.seed,
        start_s=arguments.start,
        speed=arguments.speed,
        backfill_s=arguments.backfill,
        failure_rate=arguments.failure_rate,
        on_duplicate=OnDuplicate(arguments.on_duplicate),
        keys=arguments.keys,
        connections=arguments.connections,
        patience_s=arguments.patience,
        json=arguments.json,
    )


def _add_time_options(parser: argparse.ArgumentParser) -> None:
    time = parser.add_argument_group("simulated time")
    time.add_argument("--seed", type=int, help="the same seed gives the same data (and with --start the same times)")
    time.add_argument(
        "--start", type=instant, metavar="ISO", help="time of the first readings (default: so as to end now)"
    )
    time.add_argument(
        "--speed",
        type=number(0.001, 1_000_000),
        default=1.0,
        metavar="N",
        help="run N times faster than the clock; simulated time then begins in the past and ends now",
    )
    time.add_argument(
        "--backfill",
        type=seconds,
        default=0.0,
        metavar="TIME",
        help="first send the history of 7d, 12h, ..., as fast as it goes",
    )


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("network")
    network.add_argument(
        "--failure-rate",
        type=number(0, 0.99),
        default=0.05,
        metavar="P",
        help="share of sends that a simulated network failure holds back for 5 s of simulated time (default 0.05)",
    )
    network.add_argument(
        "--on-duplicate",
        choices=[choice.value for choice in OnDuplicate],
        default=OnDuplicate.REUSE.value,
        help="when the name is taken: reuse the key of an earlier run (or else take a suffix), take a suffix, or fail",
    )
    network.add_argument(
        "--keys", type=Path, default=DEFAULT_PATH, help="where keys are kept (default var/simulators/keys.json)"
    )
    network.add_argument("--connections", type=count, default=16, metavar="N", help="requests at once (default 16)")
    network.add_argument(
        "--patience",
        type=some_seconds,
        default=30.0,
        metavar="TIME",
        help="after its end, give up when the service has accepted nothing for this long (default 30 s)",
    )


def seconds(text: str) -> float:
    """Read a length of time: 300, 1.5, 90s, 30m, 24h, 7d, 2w, 1h30m."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write 300, 90s, 30m, 24h, 7d or 1h30m")
    return float(sum(int(amount) * _UNITS_S[unit] for amount, unit in parts))


def some_seconds(text: str) -> float:
    """Read a length of time that is not nothing: at least 10 ms."""
    length_s = seconds(text)
    if length_s < 0.01:
        raise argparse.ArgumentTypeError("must be at least 0.01 s")
    return length_s


def instant(text: str) -> float:
    """Read an ISO 8601 time as epoch seconds; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time like 2025-07-01T00:00:00Z") from None
    return time.replace(tzinfo=time.tzinfo or UTC).timestamp()


def number(lowest: float, highest: float) -> Callable[[str], float]:
    """Make a reader of numbers between two limits."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"must be a number from {lowest:g} to {highest:g}")
        return value

    return read


def count(text: str) -> int:
    """Read a whole number from 1 to 1000."""
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000")
    return int(text)


def http_url(text: str) -> str:
    """Read the address of a service: http or https, a host, perhaps a port and a path."""
    try:
        parts = urlsplit(text)
        extra = parts.query or parts.fragment or parts.username or parts.port == 0
        valid = parts.scheme in {"http", "https"} and parts.hostname and not extra
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a service; write {DEFAULT_URL}")
    return text.rstrip("/")


def add_device_names(parser: argparse.ArgumentParser) -> None:
    """Add --name and --count."""
    parser.add_argument(
        "--name", "--device-name", "--id", "--device-id", type=device_name, help="name of the device (default: random)"
    )
    parser.add_argument(
        "--count", "--device-count", type=count, default=1, metavar="N", help="so many devices, NAME_001 and on"
    )


def device_names(arguments: argparse.Namespace, *, default: str, seed: int) -> list[str]:
    """Return the names that --name and --count ask for; without --name, `default` and four digits drawn by the seed."""
    name = arguments.name or f"{default}_{Random(f'{seed}/{default}').randint(1000, 9999)}"
    return [name] if arguments.count == 1 else [f"{name}_{number:03}" for number in range(1, arguments.count + 1)]


def device_name(text: str) -> str:
    """Read the name of a device: 1 to 80 characters, so that a suffix fits within the service's 100."""
    if not 1 <= len(text.strip()) <= 80:
        raise argparse.ArgumentTypeError("must have 1 to 80 characters")
    return text.strip()
