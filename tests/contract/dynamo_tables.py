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
        self._clients: dict[str, BaseClient] = {}
        self._moto = ExitStack()

    def new(self, backend: str) -> Table:
        """A table on *backend*, one of `SEMANTICS`; on moto until `end_moto`."""
        if backend == "moto":
            self._moto.enter_context(mock_aws())
        if backend not in self._clients:
            url = self._dynamodb().url if backend == "dynamodb" else None
            self._clients[backend] = Session().create_client(
                "dynamodb", endpoint_url=url, config=aws_client.CONFIG, **ACCESS
            )
        client = self._clients[backend]
        name = f"iotflow-{next(self._numbers)}"
        make_table_with(client, name)
        return Table(name, Connection(lambda _service: client))

    def end_moto(self) -> None:
        """Forget what is on moto: it would be in the way of other tests."""
        self._moto.close()

    def close(self) -> None:
        """Let go of the emulators."""
        for client in self._clients.values():
            client.close()
