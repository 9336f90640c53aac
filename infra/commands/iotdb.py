"""`iotdb`: a real IoTDB server on this machine, without containers."""

import argparse
from pathlib import Path

from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit, Failure
from infra.iotdb import accounts
from infra.iotdb.server import HOST, MAX_NODES, Server

DEFAULT_PORT = 6667
_LINES = 40


def add_iotdb(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=tuple(_ACTIONS), help="cli runs one SQL statement")
    parser.add_argument("statement", nargs="?", default="", help="what cli runs, for example: SHOW DEVICES root.**")
    parser.add_argument("--port", type=int, default=0, help="port for clients at the first start, 0 for a free one [0]")
    parser.add_argument(
        "--nodes", type=int, choices=(1, *range(3, MAX_NODES + 1)), default=0, help="DataNodes at the first start [1]"
    )
    parser.add_argument("--user", choices=accounts.Accounts._fields, default="root", help="account of cli [root]")
    add_data_options(parser)
    parser.set_defaults(run=iotdb)


def iotdb(options: argparse.Namespace) -> int:
    """Do one thing with the server of this data directory.

    Raises:
        Failure: It is not there, or something that it needs.
    """
    return _ACTIONS[options.action](server_in(data_folder(gather(options))), options)


def server_in(data: Path) -> Server:
    """The server of a data directory."""
    return Server(data / "iotdb")


def use(server: Server) -> dict[str, str]:
    """Start the server unless it runs, and say how IoTFlow reaches it.

    Raises:
        Failure: It does not start.
    """
    if not server.pids():
        server.start()
    return way_to(server)


def way_to(server: Server) -> dict[str, str]:
    """Settings with which IoTFlow reaches a server that was started: as its writer, and as its administrator."""
    known = server.accounts()
    return {
        "IOTDB_HOST": hosts(server),
        "IOTDB_PORT": str(server.port),
        "IOTDB_USER": "writer",
        "IOTDB_PASSWORD": known.writer,
        "IOTDB_ADMIN_USER": "root",
        "IOTDB_ADMIN_PASSWORD": known.root,
        "IOTDB_DATABASE": accounts.DATABASE,
    }


def hosts(server: Server) -> str:
    """Where its DataNodes listen, as IOTDB_HOST takes it."""
    return ",".join(f"{HOST}:{port}" for port in server.client_ports())


def _start(server: Server, options: argparse.Namespace) -> int:
    server.start(port=options.port, nodes=options.nodes)
    print(f"IoTDB is ready: {hosts(server)}, accounts in {server.home / 'accounts.json'}")
    print("This release of IoTDB listens on every interface of the machine: keep a firewall in front of it.")
    return Exit.OK


def _stop(server: Server, options: argparse.Namespace) -> int:  # noqa: ARG001 - all actions are called alike
    if not server.pids():
        print("IoTDB does not run")
        return Exit.NOT_RUNNING
    server.stop()
    print("IoTDB is stopped")
    return Exit.OK


def _status(server: Server, options: argparse.Namespace) -> int:  # noqa: ARG001
    pids = server.pids()
    if not pids:
        print("IoTDB does not run")
        return Exit.NOT_RUNNING
    print(f"IoTDB at {hosts(server)}: {', '.join(f'{name} {pid}' for name, pid in pids.items())}")
    return Exit.OK


def _cli(server: Server, options: argparse.Namespace) -> int:
    from chalicelib.adapters.iotdb_client import Client, Node
    from chalicelib.adapters.iotdb_status import Refusal
    from infra.commands.iotdb_table import show

    if not options.statement:
        message = "give a statement: python3 -m infra iotdb cli 'SHOW DEVICES root.**'"
        raise Failure(message, Exit.BAD_OPTION)
    access = server.accounts().access(options.user)
    client = Client([Node(HOST, server.port)], access)
    try:
        show(client, options.statement)
    except Refusal as refused:
        message = f"IoTDB says {refused}"
        raise Failure(message) from None
    finally:
        client.close()
    return Exit.OK


def _logs(server: Server, options: argparse.Namespace) -> int:  # noqa: ARG001
    for file in [file for node in server.data_nodes() for file in sorted((node.home / "logs").glob("*.log"))]:
        print(f"== {file}")
        print("\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]))
    return Exit.OK


_ACTIONS = {"start": _start, "stop": _stop, "status": _status, "cli": _cli, "logs": _logs}
