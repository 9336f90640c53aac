"""A real Mosquitto for tests, configured as `python3 -m infra mosquitto` does it, on free ports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from chalicelib.adapters.dynsec import DynsecProvisioner
from chalicelib.adapters.password_file import PasswordFile
from chalicelib.ports import BrokerAccount, BrokerProvisioner
from chalicelib.settings import Settings
from infra.mosquitto import layout, programs
from infra.mosquitto.server import Server
from tests.backends import absent
from tests.e2e.mqtt_peer import Peer

KINDS = layout.LAYOUTS


@contextmanager
def running(
    folder: Path, kind: str = layout.DYNSEC, devices: Sequence[BrokerAccount] = (), *, certificates: Path | None = None
) -> Iterator[Server]:
    """A broker that is ready, and stopped at the end; `stop`, `kill` and `start` keep its ports.

    Args:
        folder: Of its files.
        kind: One of `KINDS`.
        devices: Whom it knows from the start.
        certificates: Folder of `python3 -m infra certs`; opens TLS.
    """
    for missing in programs.missing():
        absent("mosquitto", missing)
    server = Server(folder)
    settings = Settings(mqtt_port=0, mqtt_websocket_port=0, mqtt_tls_port=0)
    if certificates is not None:
        certificate, key = certificates / "server.crt", certificates / "server.key"
        settings = replace(settings, mqtt_certificate=certificate, mqtt_private_key=key)
    server.configure(settings, devices, kind=kind)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def provisioner_of(server: Server) -> BrokerProvisioner:
    """Who tells this broker of devices."""
    if server.choices["kind"] == layout.DYNSEC:
        return DynsecProvisioner(server.control())
    return PasswordFile(server.home / layout.PASSWORD_FILE)


def device_port(server: Server) -> int:
    """Where devices connect."""
    return int(server.choices["port"])


def bridge_port(server: Server) -> int:
    """Where the bridge connects."""
    return int(server.choices["internal_port"])


def is_let_in(server: Server, user: object, password: str) -> bool:
    """Whether a device is let in with this password."""
    with Peer(device_port(server)) as peer:
        return peer.connect(str(user), password).reason == 0
