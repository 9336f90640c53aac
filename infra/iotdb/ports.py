"""The seven TCP ports of a server; those between its parts are fixed when its data folder is made."""

import json
import socket
from pathlib import Path

from infra.failure import Exit, Failure

NAMES = ("RPC", "P0", "P1", "P2", "P3", "P4", "P5")
"""Words of iotdb-system.properties; the first is for clients."""


def of(home: Path, *, rpc: int) -> dict[str, int]:
    """The ports of the server in *home*, chosen now if it is new.

    Args:
        home: The server's folder.
        rpc: Port for clients; 0 takes a free one the first time.

    Raises:
        Failure: The port is taken.
    """
    file = home / "ports.json"
    known: dict[str, int] = json.loads(file.read_text(encoding="ascii")) if file.exists() else dict.fromkeys(NAMES, 0)
    if rpc:
        known["RPC"] = rpc
    sockets = []
    try:
        for name in NAMES:
            sockets.append(_bound(known[name]))
            known[name] = sockets[-1].getsockname()[1]
    finally:
        for one in sockets:
            one.close()
    file.write_text(json.dumps(known), encoding="ascii")
    return known


def _bound(port: int) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("0.0.0.0", port))  # noqa: S104 - IoTDB 2.0.1 binds every interface, so that is what must be free
    except OSError:
        taken.close()
        message = f"port {port} is in use; python3 -m infra iotdb start --port takes another for clients"
        raise Failure(message, Exit.PORT_IN_USE) from None
    return taken
