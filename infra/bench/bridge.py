"""Devices publish to Mosquitto, configured by `infra mosquitto`: how fast the bridge gets that into the queue."""

import time
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings, from_environment
from chalicelib.wiring import Services
from infra.bench import machine
from infra.bench.figures import Figure, Target, figures_of
from infra.bench.instance import Device, Instance
from infra.bench.mqtt_load import Sent, send
from infra.bench.options import Options
from infra.failure import Failure
from infra.mosquitto import programs
from infra.mosquitto.server import Server

PUBLISHERS, WINDOW = 8, 20
TOLD_WITHIN_S = 60.0
TARGET = Target(15_000, 30_000, larger_is_better=True)


def run(generator: Path, folder: Path, options: Options) -> tuple[list[Figure], dict[str, Any]]:
    """Figures, and the ledger afterwards; nothing where Mosquitto is not installed.

    Raises:
        Failure: Something did not work.
    """
    if programs.missing():
        return [], {}
    server = Server(folder / "broker")
    server.home.mkdir()
    server.configure(Settings(mqtt_port=0, mqtt_websocket_port=0), ())
    server.start()
    try:
        data = folder / "bridged"
        data.mkdir()
        with Instance(data, server.environment()) as instance:
            devices = instance.register(PUBLISHERS)
            _wait_until_told(server, data)
            runs = [_once(generator, server, instance, devices, options) for _ in range(options.runs)]
            ledger = instance.wait_until_stored()
    finally:
        server.stop()
    what = f"bridge behind Mosquitto, {PUBLISHERS} publishers, {WINDOW} in flight"
    named = figures_of(
        runs,
        {
            "rate": (f"{what}: in the queue", "msg/s", TARGET),
            "published": ("  acknowledged by Mosquitto meanwhile", "msg/s", None),
            "stored": ("  until the last one is stored", "msg/s", None),
            "bridge": ("  processor time of the bridge", "us/msg", None),
            "mosquitto": ("  of Mosquitto", "us/msg", None),
            "consumer": ("  of the consumer", "us/msg", None),
            "load": ("  of the load generator", "us/msg", None),
        },
    )
    return [figure._replace(name=f"bridge_{PUBLISHERS}x{WINDOW}_{figure.name}") for figure in named], ledger


def _once(
    generator: Path, server: Server, instance: Instance, devices: list[Device], options: Options
) -> dict[str, float]:
    """One load. The rate counts the time until the queue has everything, so a backlog at the broker is not hidden."""
    accepted, cpu = instance.ledger()["accepted"], _cpu(server, instance)
    began_s = time.monotonic()
    sent = send(generator, int(server.choices["port"]), devices, WINDOW, options.seconds)
    arrived_s = _wait_until_accepted(instance, accepted + sent.acknowledged) - began_s
    instance.wait_until_stored()
    stored_s = time.monotonic() - began_s
    used = {name: now - cpu[name] for name, now in _cpu(server, instance).items()}
    return _figures(sent, arrived_s, stored_s, used)


def _figures(sent: Sent, arrived_s: float, stored_s: float, used: dict[str, float]) -> dict[str, float]:
    each = {name: seconds / sent.acknowledged * 1e6 for name, seconds in used.items()}
    return {
        "rate": sent.acknowledged / arrived_s,
        "published": sent.acknowledged / sent.seconds,
        "stored": sent.acknowledged / stored_s,
        "load": sent.generator_s / sent.acknowledged * 1e6,
        **each,
    }


def _cpu(server: Server, instance: Instance) -> dict[str, float]:
    return {
        "bridge": instance.cpu_seconds("bridge"),
        "consumer": instance.cpu_seconds("consumer"),
        "mosquitto": machine.cpu_seconds(server.pid() or 0),
    }


def _wait_until_accepted(instance: Instance, wanted: int) -> float:
    """When the ledger had *wanted* readings, on the monotonic clock."""
    deadline_s = time.monotonic() + TOLD_WITHIN_S
    while instance.ledger()["accepted"] < wanted:
        if time.monotonic() > deadline_s:
            message = "what Mosquitto acknowledged did not reach the queue"
            raise Failure(message)
        time.sleep(0.01)
    return time.monotonic()


def _wait_until_told(server: Server, data: Path) -> None:
    """Wait until the broker lets every device in."""
    outbox = Services(from_environment({**server.environment(), "IOTFLOW_DATA": str(data)})).broker_outbox
    deadline_s = time.monotonic() + TOLD_WITHIN_S
    while outbox.count():
        if time.monotonic() > deadline_s:
            message = "the broker was not told of the devices"
            raise Failure(message)
        time.sleep(0.05)
