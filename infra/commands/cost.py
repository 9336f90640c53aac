"""`cost`: what a fleet costs a month on AWS, by service, beside the alternatives."""

import argparse
import json
from collections.abc import Callable

from infra import terminal
from infra.cost import bills, prices
from infra.cost.bills import Bill
from infra.cost.workload import Workload
from infra.failure import Exit

SHORTEST_S, LONGEST_S = 0.1, 31_536_000.0


def add_cost(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--devices", type=_whole(10_000_000), default=10_000, help="how many there are [10000]")
    parser.add_argument("--interval", type=_seconds, default=60.0, help="seconds between two readings [60]")
    parser.add_argument("--batch", type=_whole(1000), default=10, help="readings in one request, at most 1000 [10]")
    parser.add_argument("--values", type=_whole(256), default=5, help="measurements in a reading, at most 256 [5]")
    parser.add_argument("--keep-days", type=_whole(36_500), default=365, help="how long telemetry is kept [365]")
    parser.add_argument("--nodes", type=_whole(100), default=3, help="machines of IoTDB; 1 has no spare [3]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=cost)


def cost(options: argparse.Namespace) -> int:
    """Print the bills."""
    load = Workload(options.devices, options.interval, options.batch, options.values, options.keep_days)
    found = [
        bills.over_rest(load, options.nodes),
        bills.over_iot_core(load, options.nodes),
        bills.timestream(load),
        bills.thingsboard(load),
    ]
    print(as_json(load, found) if options.json else as_text(load, found))
    return Exit.OK


def as_text(load: Workload, found: list[Bill]) -> str:
    """A card for people."""
    lines = [
        f"{load.devices:,} devices, a reading of {load.values} values every {load.interval_s:g} s, "
        f"{load.batch} in a request, kept for {load.kept_days} days:",
        f"{load.readings_m:,.1f} M readings and {load.requests_m:,.1f} M requests a month. "
        f"US dollars, {prices.AS_OF}, us-east-1, list prices.",
    ]
    for bill in found:
        items = [(item.service, item.what, f"{item.dollars:,.2f}") for item in bill.items]
        each = f"${bill.dollars / load.readings_m:.2f} a million readings"
        lines += ["", terminal.paint(f"{bill.name}: ${bill.dollars:,.2f}, {each}", terminal.BOLD)]
        lines += [f"({bill.remark})"] if bill.remark else []
        lines += [f"  {line}" for line in terminal.table([("service", "what", "$ a month"), *items])]
    return "\n".join(lines)


def as_json(load: Workload, found: list[Bill]) -> str:
    """The same for programs."""
    document = {
        "prices_as_of": prices.AS_OF,
        "workload": {**load._asdict(), "readings_m": load.readings_m, "requests_m": load.requests_m},
        "bills": [
            {"name": bill.name, "dollars": round(bill.dollars, 2), "items": [item._asdict() for item in bill.items]}
            for bill in found
        ],
    }
    return json.dumps(document, indent=1)


def _whole(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            message = f"{text} is not a whole number from 1 to {most}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return number


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not SHORTEST_S <= value <= LONGEST_S:
        message = f"{text} is not a number of seconds from {SHORTEST_S:g} to {LONGEST_S:g}"
        raise argparse.ArgumentTypeError(message)
    return value
