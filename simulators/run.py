"""One run of a simulator, from the command line's options to its exit code."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from simulators.client import DeviceClient, HttpTransport, NoAnswer
from simulators.device import STAGGER_S, DevicePlan, SimulatedDevice, Surroundings
from simulators.display import display_for
from simulators.enrolment import Registrar
from simulators.fleet import FleetRun
from simulators.keys import KeyFile
from simulators.options import RunOptions
from simulators.report import exit_code, print_totals, summary
from simulators.timeline import FutureRun, Timeline
from simulators.uplink import Connect, over_http

REFRESH_S = 0.25
EXIT_UNHEALTHY, EXIT_USAGE = 1, 2


@dataclass(frozen=True)
class Network:
    """What the devices talk to.

    Attributes:
        address: where readings go, for people.
        registry: the service that saved keys belong to.
        client: gives the devices their keys.
        connect: makes each device's way to the service.
        trouble: tells in a sentence why the service cannot be used; None when it can.
        stagger_s: the first readings are spread over so many simulated seconds.
    """

    address: str
    registry: str
    client: Registrar
    connect: Connect
    trouble: Callable[[], str | None]
    stagger_s: float = STAGGER_S


def run(plans: Sequence[DevicePlan], options: RunOptions, network: Network | None = None) -> int:
    """Simulate the devices, show how it goes, print the totals, and return the exit code.

    Without a network it is HTTP. Ctrl-C (or SIGTERM) ends the run early, with totals; a second one does not wait for
    what is still to be delivered.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=options.json)
    network = network or http_network(options)
    if (trouble := network.trouble()) is not None:
        return _refuse(console, trouble, EXIT_UNHEALTHY)
    clock = steady_clock()
    keys = KeyFile(options.keys, network.registry)
    try:
        keys.check()
        timeline = Timeline.plan(
            now_s=clock(),
            history_s=options.backfill_s,
            duration_s=options.duration_s,
            speed=options.speed,
            start_s=options.start_s,
        )
    except FutureRun as error:
        return _refuse(console, str(error), EXIT_USAGE)
    except (OSError, ValueError) as error:
        return _refuse(console, f"--keys {options.keys} cannot be used: {error}", EXIT_USAGE)
    around = Surroundings(
        seed=options.seed,
        timeline=timeline,
        clock=clock,
        client=network.client,
        connect=network.connect,
        keys=keys,
        on_duplicate=options.on_duplicate,
        failure_rate=options.failure_rate,
        heartbeat_interval_s=options.heartbeat_interval_s,
        stagger_s=network.stagger_s,
    )
    console.print(f"{len(plans)} devices to {network.address}, seed {options.seed}", highlight=False)
    devices = [SimulatedDevice(plan, around) for plan in plans]
    return _run_devices(devices, options, timeline, clock, console)


def http_network(options: RunOptions) -> Network:
    """Return the service of --url."""
    client = http_client(options.url, connections=options.connections)
    return Network(options.url, options.url, client, over_http(client), lambda: health_trouble(client, options.url))


def http_client(url: str, *, connections: int = 1) -> DeviceClient:
    """Return the requests to a service; the enrolment token is taken from IOTFLOW_ENROLLMENT_TOKEN."""
    transport = HttpTransport(url, connections=connections)
    return DeviceClient(transport, enrollment_token=os.environ.get("IOTFLOW_ENROLLMENT_TOKEN"))


def health_trouble(client: DeviceClient, url: str) -> str | None:
    """Return what is wrong with the service, in a sentence, or None when it is healthy."""
    try:
        answer = client.health()
    except NoAnswer as error:
        return f"{url} does not answer ({error}); start the service with: python3 -m infra up"
    return None if answer.status == 200 else f"{url}/health answers {answer.status}, not 200"


def steady_clock() -> Callable[[], float]:
    """Return a clock that gives the real time in epoch seconds and never jumps."""
    offset_s = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset_s


def _refuse(console: Console, sentence: str, code: int) -> int:
    console.print(sentence, style="red", highlight=False, soft_wrap=True)
    return code


def _run_devices(
    devices: Sequence[SimulatedDevice],
    options: RunOptions,
    timeline: Timeline,
    clock: Callable[[], float],
    console: Console,
) -> int:
    began_s = clock()
    fleet = FleetRun(devices, timeline, clock=clock, workers=options.connections, patience_s=options.patience_s)
    fleet.start()
    with display_for(console, devices, timeline, now_s=began_s) as display:
        over = False
        while not over:
            try:
                display.update(clock())
                over = fleet.wait(REFRESH_S)
            except KeyboardInterrupt:
                fleet.abandon() if timeline.interrupted else fleet.interrupt()
    fleet.finish()
    totals = summary(devices, options, timeline, took_s=clock() - began_s, interrupted=timeline.interrupted)
    if options.json:
        json.dump(totals, sys.stdout, indent=1)
        print()
    else:
        print_totals(totals, console)
    return exit_code(totals)
