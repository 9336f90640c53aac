"""Tables of records for tests: on DynamoDB Local, and on moto in this process.

DynamoDB Local has the semantics and the races; moto has the semantics, and loses updates when threads meet.
"""

import itertools
from collections.abc import Callable
from contextlib import ExitStack

from botocore.client import BaseClient
from botocore.session import Session
from moto import mock_aws

from chalicelib.adapters import aws_client
from chalicelib.adapters.dynamo_connection import Connection
from chalicelib.adapters.dynamo_table import Table
from infra.emulators.records import ACCESS, make_table_with
from infra.emulators.server import Emulator

SEMANTICS = ["dynamodb", "moto"]


class Tables:
    """Makes a new, empty table for whoever asks; the emulators are started when the first one does.

    Args:
        dynamodb: Gives the DynamoDB Local of this run.
    """

    def __init__(self, dynamodb: Callable[[], Emulator]) -> None:
        self._dynamodb = dynamodb
        self._numbers = itertools.count()
        self._backends: dict[str, tuple[Connection, BaseClient]] = {}
        self._opened = ExitStack()

    def new(self, backend: str) -> Table:
        """A table on *backend*, one of `SEMANTICS`."""
        if backend not in self._backends:
            self._backends[backend] = self._start(backend)
        connection, client = self._backends[backend]
        name = f"iotflow-{next(self._numbers)}"
        make_table_with(client, name)
        return Table(name, connection)

    def close(self) -> None:
        """Let go of the emulators."""
        for _, client in self._backends.values():
            client.close()
        self._opened.close()

    def _start(self, backend: str) -> tuple[Connection, BaseClient]:
        if backend == "moto":
            self._opened.enter_context(mock_aws())
        url = self._dynamodb().url if backend == "dynamodb" else None
        client = Session().create_client("dynamodb", endpoint_url=url, config=aws_client.CONFIG, **ACCESS)
        return Connection(lambda _service: client), client
