"""Stores that several contract tests share. Fixtures of one port stay in that port's test file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.adapters.sqlite_readings import SqliteReadings
from chalicelib.ports import ReadingStore
from infra.emulators.server import Emulator
from infra.iotdb.server import Server
from tests import emulators
from tests.contract import iotdb_server
from tests.contract.dynamo_tables import Tables


@pytest.fixture(scope="session")
def iotdb() -> Iterator[Server]:
    """A real IoTDB that all tests of the run share; those that break it take their own."""
    with iotdb_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[Emulator]:
    """A DynamoDB Local that all tests of the run share."""
    with emulators.dynamodb() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def all_tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    """Makes tables of records that outlive a test, on DynamoDB Local only."""
    made = Tables(lambda: request.getfixturevalue("dynamodb"))
    yield made
    made.close()


@pytest.fixture
def tables(all_tables: Tables) -> Iterator[Tables]:
    """Makes tables of records; see `dynamo_tables`."""
    yield all_tables
    all_tables.end_moto()


@pytest.fixture(scope="session")
def elasticmq() -> Iterator[Emulator]:
    """An ElasticMQ that all tests of the run share."""
    with emulators.elasticmq() as emulator:
        yield emulator


@pytest.fixture(params=["memory", "sqlite", "iotdb"])
def reading_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadingStore]:
    """An empty reading store of every technology."""
    if request.param == "memory":
        yield MemoryReadings()
    elif request.param == "sqlite":
        yield SqliteReadings(tmp_path / "telemetry.db")
    else:
        server: Server = request.getfixturevalue("iotdb")
        iotdb_server.empty(server)
        with iotdb_server.store_of(server) as store:
            yield store
