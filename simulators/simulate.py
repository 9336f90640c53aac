"""The front door to the simulators: a menu, a health check, or one device or fleet.

    python3 simulators/simulate.py --interactive
    python3 simulators/simulate.py --check-health
    python3 simulators/simulate.py --fleet-preset home --duration 300

Every option of the other programs may follow.
"""

import argparse
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

if __package__ in {None, ""}:  # started as a file, perhaps by a Python that has none of our packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from simulators.interpreter import continue_in_venv

    continue_in_venv(__file__)

from simulators import basic_device_simulator, device_types, fleet_simulator
from simulators.client import NoAnswer
from simulators.options import add_url
from simulators.profiles import SPECIALISED
from simulators.run import http_client

DASHBOARD = "/api/v1/admin/dashboard"
EXIT_OK, EXIT_UNHEALTHY, EXIT_USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return the command line of the program."""
    result = argparse.ArgumentParser(
        description="Simulate devices over HTTP.",
        epilog="Every option of fleet_simulator.py and device_types.py may follow; see their --help.",
    )
    add_url(result)
    what = result.add_mutually_exclusive_group()
    what.add_argument("--interactive", "-i", action="store_true", help="choose from a menu")
    what.add_argument("--check-health", action="store_true", help="say how the service is, and end")
    what.add_argument("--device-type", choices=("basic", *SPECIALISED, "all"), help="one device, or one of each kind")
    what.add_argument("--fleet-preset", "--preset", choices=tuple(fleet_simulator.PRESETS), help="a fleet")
    result.add_argument("--duration", metavar="TIME", help="how long (default 300 s; 0 with --backfill)")
    return result


def main(arguments: Sequence[str] | None = None, *, ask: Callable[[str], str] = input) -> int:
    """Run the program and return its exit code. `ask` puts a question to the person at the terminal."""
    command_line = parser()
    parsed, others = command_line.parse_known_args(arguments)
    if parsed.check_health:
        return check_health(parsed.url)
    arguments = passed_on(parsed, others)
    if parsed.device_type:
        return simulate_device(parsed.device_type, arguments)
    if parsed.fleet_preset:
        return simulate_fleet(parsed.fleet_preset, arguments)
    if parsed.interactive or (sys.stdin.isatty() and not others):
        return menu(parsed.url, arguments, ask)
    command_line.print_help()
    return EXIT_USAGE


def passed_on(parsed: argparse.Namespace, others: Sequence[str]) -> list[str]:
    """Return what the program that does the work is called with; its own default lasts longer than this one's."""
    backfill = any(other.startswith("--backfill") for other in others)
    duration = parsed.duration or (None if backfill else "300")
    return ["--url", parsed.url, *(["--duration", duration] if duration else []), *others]


def simulate_device(kind: str, arguments: Sequence[str]) -> int:
    """Simulate one device of a kind, or one of each for `all`; return the exit code."""
    if kind == "basic":
        return basic_device_simulator.main(arguments)
    return device_types.main(["--device-type", kind, *arguments])


def simulate_fleet(preset: str, arguments: Sequence[str]) -> int:
    """Simulate a fleet; return the exit code."""
    return fleet_simulator.main(["--preset", preset, *arguments])


def check_health(url: str) -> int:
    """Print how the service is; return 0 when it is healthy."""
    try:
        answer = http_client(url).health()
    except NoAnswer as error:
        print(f"{url} does not answer ({error}); start the service with: python3 -m infra up")
        return EXIT_UNHEALTHY
    print(f"{url}: {answer.body.get('status', 'unknown')} (HTTP {answer.status}), version", end=" ")
    print(f"{answer.body.get('version', 'unknown')}, {answer.latency_ms:.0f} ms")
    return EXIT_OK if answer.status == 200 else EXIT_UNHEALTHY


def open_dashboard(url: str) -> int:
    """Open the dashboard in a browser; always 0, and the address is printed for where there is none."""
    print(f"The dashboard is {url}{DASHBOARD}")
    webbrowser.open(url + DASHBOARD)
    return EXIT_OK


def menu(url: str, arguments: Sequence[str], ask: Callable[[str], str]) -> int:
    """Let the person choose until there is nothing more to do; return the last exit code."""
    entries: list[tuple[str, Callable[[], int]]] = [
        ("check the health of the service", lambda: check_health(url)),
        *((f"{kind} device", lambda kind=kind: simulate_device(kind, arguments)) for kind in ("basic", *SPECIALISED)),
        ("one device of each kind", lambda: simulate_device("all", arguments)),
        *((f"fleet: {name}", lambda name=name: simulate_fleet(name, arguments)) for name in fleet_simulator.PRESETS),
        ("open the dashboard", lambda: open_dashboard(url)),
    ]
    code = EXIT_OK
    while True:
        print(f"\nIoTFlow simulators, {url}")
        for number, (title, _) in enumerate(entries, 1):
            print(f"{number:3}  {title}")
        print("  q  quit")
        try:
            answer = ask("choice: ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            return code
        if answer in {"q", "0", "quit", "exit"}:
            return code
        if answer.isdecimal() and 1 <= int(answer) <= len(entries):
            code = entries[int(answer) - 1][1]()
        else:
            print(f"{answer!r} is none of 1 to {len(entries)} and q")


if __name__ == "__main__":
    sys.exit(main())
