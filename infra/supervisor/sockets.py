"""The listening sockets, opened before any process starts and handed to those that serve: a restart refuses nobody."""

import errno
import socket
from typing import NamedTuple

from infra.failure import Exit, Failure
from infra.supervisor import procfs

BACKLOG = 4096
"""Connections that wait while the front starts again; the kernel caps it at net.core.somaxconn."""


class Names(NamedTuple):
    """What an operator sets to have a socket elsewhere."""

    host: str
    port: str


HTTP = Names("--host or HOST", "--port or PORT")


def listen(host: str, port: int, names: Names = HTTP) -> socket.socket:
    """Open a listening socket; port 0 takes a free one.

    Raises:
        Failure: The port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        message = f"the address {host} is unknown ({error.strerror}); choose another with {names.host}"
        raise Failure(message, Exit.BAD_OPTION) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _failure(host, port, names, error) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where this machine reaches it: http://ADDRESS:PORT."""
    return f"http://{_reachable(listener)}"


def mqtt_url_of(listener: socket.socket) -> str:
    """Where this machine reaches it: mqtt://ADDRESS:PORT."""
    return f"mqtt://{_reachable(listener)}"


def _reachable(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - compared, not bound
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def _failure(host: str, port: int, names: Names, error: OSError) -> Failure:
    if error.errno == errno.EADDRINUSE:
        owners = procfs.listeners(port)
        by = f" by process {owners[0]}" if owners else ""
        message = f"port {port} on {host} is in use{by}; choose another with {names.port}"
        return Failure(message, Exit.PORT_IN_USE)
    if error.errno == errno.EACCES:
        message = f"port {port} is reserved for the administrator; choose one above 1023 with {names.port}"
        return Failure(message, Exit.PORT_IN_USE)
    return Failure(f"{host} port {port}: {error.strerror}; choose another with {names.host}", Exit.BAD_OPTION)
