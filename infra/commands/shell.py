"""`shell`: a Python prompt with the ports of an installation and the use cases at hand."""

import argparse
import code
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chalicelib import model, ports, wiring
from infra.environment import add_data_options
from infra.failure import Exit
from infra.installation import clock_ms, in_words, open_records

USE_CASES = ("analytics", "codec", "devices", "ingest", "keys", "query", "status", "times", "tokens", "upkeep")


def add_shell(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-c", metavar="CODE", dest="code", help="run this and end")
    add_data_options(parser)
    parser.epilog = "Example: python3 -m infra shell -c 'print(services.queue.ledger())'"
    parser.set_defaults(run=shell)


def shell(options: argparse.Namespace) -> int:
    """Open the prompt, or run *code*.

    Raises:
        Failure: A setting cannot be used; with ``-c`` also: a backend failed.
    """
    services = open_records(options)
    names = namespace(services)
    with wiring.use(services):
        if options.code is not None:
            with in_words():
                exec(options.code, names)  # noqa: S102 - what a shell is for
            return Exit.OK
        if sys.stdin.isatty() and find_spec("readline"):
            import_module("readline")  # arrow keys and history
        code.interact(banner=banner(services), local=names, exitmsg="")
    return Exit.OK


def namespace(services: wiring.Services) -> dict[str, Any]:
    """What the prompt knows by name."""
    modules = {name: import_module(f"chalicelib.{name}") for name in USE_CASES}
    models = {name: getattr(model, name) for name in ("DEFAULT_TENANT", "DeviceRef", "Reading", "Scope")}
    return {"__name__": "__iotflow__", "services": services, "ports": ports, "now_ms": clock_ms, **modules, **models}


def banner(services: wiring.Services) -> str:
    """The first lines: what is there, and an example."""
    return f"""IoTFlow with the data directory {services.settings.data}. Changes are real and at once.
services has the ports: devices, credentials, queue, readings, presence, audit, counters, limiter
modules: {", ".join(USE_CASES)}, ports; now_ms() is the clock
>>> services.readings.latest(DeviceRef(DEFAULT_TENANT, 1))"""
