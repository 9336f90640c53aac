"""`mosquitto`: a Mosquitto of this machine, configured for IoTFlow; or its files, for one elsewhere."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from chalicelib import provisioning
from chalicelib.ports import BrokerAccount
from chalicelib.provisioning import Reconciled, Records
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra import terminal
from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit, Failure
from infra.installation import clock_ms, in_words, open_records, settings_of
from infra.mosquitto import files, layout, programs
from infra.mosquitto.layout import DYNSEC, LAYOUTS, Layout
from infra.mosquitto.server import ENVIRONMENT, FOLDER, Server


def add_mosquitto(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=tuple(_ACTIONS), help="config writes the files of a broker elsewhere")
    parser.add_argument("folder", nargs="?", help="where config writes to")
    parser.add_argument("--layout", choices=LAYOUTS, default=DYNSEC, help=f"how accounts are kept [{DYNSEC}]")
    parser.add_argument("--host", default="0.0.0.0", help="config: address of the devices' listeners [0.0.0.0]")  # noqa: S104
    parser.add_argument("--port", type=int, default=1883, help="config: port of MQTT [1883]")
    parser.add_argument("--websocket-port", type=int, default=9001, help="config: port of WebSocket, 0 for none [9001]")
    parser.add_argument("--tls-port", type=int, default=0, help="config: port of TLS, 0 for none [0]")
    parser.add_argument("--certificate", help="config: PEM file of the certificate chain, where the broker finds it")
    parser.add_argument("--private-key", help="config: PEM file of its key, where the broker finds it")
    parser.add_argument("--internal-host", default="127.0.0.1", help="config: address for the bridge [127.0.0.1]")
    parser.add_argument("--internal-port", type=int, default=1884, help="config: port for the bridge [1884]")
    parser.add_argument("--inside", metavar="PATH", help="config: what the broker calls the folder, in a container")
    parser.add_argument("--plugin", help="config: the plugin's file, where the broker finds it")
    parser.add_argument("--json", action="store_true", help="reconcile: one line of JSON")
    add_data_options(parser)
    parser.set_defaults(run=mosquitto)


def mosquitto(options: argparse.Namespace) -> int:
    """Do one thing.

    Raises:
        Failure: The broker is not there, or something that it needs.
    """
    return _ACTIONS[options.action](options)


def server_in(data: Path) -> Server:
    """The broker of a data directory."""
    return Server(data / FOLDER)


def use(server: Server, settings: Settings, *, kind: str = DYNSEC) -> dict[str, str]:
    """Start the broker unless it runs and knows every device, and say how IoTFlow works with it.

    Raises:
        Failure: It does not start.
    """
    devices = list(_accounts(Services(settings)))
    if server.pid() is None or not files.agrees(server.home, str(server.choices["kind"]), devices):
        server.stop()
        server.configure(settings, devices, kind=kind)
        server.start()
    return server.environment()


def _accounts(services: Services) -> Iterator[BrokerAccount]:
    for page in provisioning.accounts(_records(services), now_ms=clock_ms()):
        yield from page


def _records(services: Services) -> Records:
    return Records(services.devices, services.credentials, services.pepper)


def _server(options: argparse.Namespace) -> Server:
    return server_in(data_folder(gather(options)))


def _start(options: argparse.Namespace) -> int:
    services = open_records(options, make=True)
    server = _server(options)
    with in_words():
        server.configure(services.settings, _accounts(services), kind=options.layout)
    server.start()
    print(f"Mosquitto is ready for devices on port {server.choices['port']}; settings to work with it:")
    print(server.home / ENVIRONMENT)
    return Exit.OK


def _stop(options: argparse.Namespace) -> int:
    server = _server(options)
    if server.pid() is None:
        print("Mosquitto does not run")
        return Exit.NOT_RUNNING
    server.stop()
    print("Mosquitto is stopped")
    return Exit.OK


def _status(options: argparse.Namespace) -> int:
    server = _server(options)
    pid = server.pid()
    if pid is None:
        print("Mosquitto does not run")
        return Exit.NOT_RUNNING
    ports = server.choices
    print(f"Mosquitto, process {pid}: MQTT {ports['port']}, WebSocket {ports['websocket_port']}, bridge {server.url}")
    return Exit.OK


def _config(options: argparse.Namespace) -> int:
    if not options.folder:
        message = "give a folder: python3 -m infra mosquitto config DIR"
        raise Failure(message, Exit.BAD_OPTION)
    if options.tls_port and not (options.certificate and options.private_key):
        message = "--tls-port needs --certificate and --private-key; python3 -m infra certs makes them"
        raise Failure(message, Exit.BAD_OPTION)
    folder = Path(options.folder).absolute()
    chosen = Layout(
        kind=options.layout,
        folder=Path(options.inside) if options.inside else folder,
        host=options.host,
        port=options.port,
        websocket_port=options.websocket_port,
        tls_port=options.tls_port,
        certificate=Path(options.certificate or ""),
        private_key=Path(options.private_key or ""),
        internal_host=options.internal_host,
        internal_port=options.internal_port,
        max_packet_bytes=settings_of(options).max_batch_bytes + layout.OVERHEAD_BYTES,
        plugin=options.plugin or (programs.plugin() if options.layout == DYNSEC else ""),
        user="",
    )
    with in_words():
        files.write(folder, chosen, _accounts(open_records(options, make=True)))
    print(f"{folder / layout.CONFIGURATION}; passwords of the accounts admin and bridge: {folder / files.ACCOUNTS}")
    return Exit.OK


def _reconcile(options: argparse.Namespace) -> int:
    services = open_records(options)
    broker = services.broker
    if broker is None:
        message = "there is no broker to compare with: python3 -m infra mosquitto start, or IOTFLOW_BROKER_PROVISIONER"
        raise Failure(message, Exit.NOT_RUNNING)
    with in_words():
        found = provisioning.reconcile(
            outbox=services.broker_outbox, records=_records(services), broker=broker, now_ms=clock_ms()
        )
        broker.close()
    print(json.dumps(found._asdict()) if options.json else _words(found))
    return Exit.FAILED if found.stranded else Exit.OK


def _words(found: Reconciled) -> str:
    lines = [
        ("count", "what"),
        (f"{found.compared}", "devices compared"),
        (f"{len(found.changed)}", "accounts mended"),
        (f"{len(found.removed)}", "accounts of nobody removed"),
        (f"{len(found.stranded)}", "devices shut out, since the broker does not know their key"),
    ]
    remedy = "\nRotate their keys, or let python3 -m infra mosquitto rebuild write all accounts anew."
    return "\n".join(terminal.table(lines)) + (remedy if found.stranded else "")


def _rebuild(options: argparse.Namespace) -> int:
    services, server = open_records(options), _server(options)
    server.accounts()
    ran = server.pid() is not None
    server.stop()
    with in_words():
        count = files.rebuild(server.home, str(server.choices["kind"]), _accounts(services))
    if ran:
        server.start()
    print(f"{count} devices written" + (", Mosquitto is started again" if ran else ""))
    return Exit.OK


_ACTIONS = {
    "start": _start,
    "stop": _stop,
    "status": _status,
    "config": _config,
    "reconcile": _reconcile,
    "rebuild": _rebuild,
}
