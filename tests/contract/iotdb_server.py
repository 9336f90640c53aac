"""A real IoTDB for tests, one a run: on free ports, in a folder that is removed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chalicelib.adapters.iotdb_client import Client, Node, Patience
from chalicelib.adapters.iotdb_layout import Declarations
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.adapters.iotdb_status import Refusal
from infra.failure import Failure
from infra.iotdb.jars import JARS
from infra.iotdb.server import HOST, Server
from tests.backends import absent


@contextmanager
def running() -> Iterator[Server]:
    """A server of its own, ready."""
    require_iotdb()
    with tempfile.TemporaryDirectory(prefix="iotdb-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


def require_iotdb() -> None:
    """Skip without Java, Maven or a registry; fail where the environment says that IoTDB must be there."""
    missing = JARS.missing_program()
    if missing is None:
        try:
            JARS.resolve()
        except Failure as failure:
            missing = str(failure)
    if missing is not None:
        absent("iotdb", missing)


def node_of(server: Server) -> Node:
    """Where it listens."""
    return Node(HOST, server.port)


@contextmanager
def administrator(server: Server) -> Iterator[Client]:
    """A client that may do everything."""
    client = Client([node_of(server)], server.accounts().access("root"))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def store_of(
    server: Server, patience: Patience | None = None, declared: Declarations = lambda _: {}
) -> Iterator[IotdbReadings]:
    """The adapter, with the accounts that `up --store iotdb` gives it."""
    known = server.accounts()
    store = IotdbReadings(
        [node_of(server)],
        known.access("writer"),
        administrator=known.access("root"),
        patience=patience,
        declared=declared,
    )
    try:
        yield store
    finally:
        store.close()


def empty(server: Server) -> None:
    """Delete all telemetry."""
    with administrator(server) as client:
        client.execute("FLUSH")
        with suppress(Refusal):  # there is none
            client.execute("DELETE TIMESERIES root.iotflow.**")
