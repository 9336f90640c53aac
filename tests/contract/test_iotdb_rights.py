"""The accounts that `up --store iotdb` uses, and that deleting as the writer leaves nothing broken."""

import pytest

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading
from infra.commands import iotdb as command
from infra.iotdb.server import Server
from tests.contract import iotdb_server

T0 = 1_700_000_000_000
DEVICE = DeviceRef("default", 7)
ROUNDS = 6


@pytest.fixture(autouse=True)
def nothing_stored(iotdb: Server) -> None:
    iotdb_server.empty(iotdb)


def test_up_logs_in_as_the_writer_and_keeps_the_administrator_for_the_rest(iotdb: Server) -> None:
    given = command.use(iotdb)
    assert (given["IOTDB_USER"], given["IOTDB_ADMIN_USER"]) == ("writer", "root")
    assert given["IOTDB_PASSWORD"] == iotdb.accounts().writer != given["IOTDB_ADMIN_PASSWORD"]


def test_writer_may_not_do_what_the_administrator_does(iotdb: Server) -> None:
    client = Client([iotdb_server.node_of(iotdb)], iotdb.accounts().access("writer"))
    for statement in ("FLUSH", "CREATE USER `other` 'password'", "CREATE DATABASE root.other"):
        with pytest.raises(Unavailable, match="refuses the account"):
            client.execute(statement)
    client.close()


def test_deleting_and_purging_as_the_writer_leaves_everything_readable(iotdb: Server) -> None:
    neighbour = DeviceRef("default", 8)
    with iotdb_server.administrator(iotdb) as client, iotdb_server.store_of(iotdb) as store:
        for n in range(ROUNDS):  # each time another type, deleted while nothing was flushed yet
            value = (1.5, "text", True, 2**60)[n % 4]
            readings = [Reading(device, T0 + at, {"m": value}) for device in (DEVICE, neighbour) for at in range(120)]
            assert store.write(readings) == []
            assert store.latest(DEVICE) == {"m": (T0 + 119, value)}
            if n % 2:
                store.purge(DEVICE)
            else:
                assert store.delete(DEVICE, start_ms=T0, end_ms=T0 + 120) == 120
            client.execute("FLUSH")
            assert store.read(DEVICE, start_ms=0, end_ms=T0 * 2, limit=9) == []
            assert store.latest(DEVICE) == {}
            assert store.count(neighbour) == 120
        (found,) = client.rows("COUNT DEVICES root.iotflow.**").blocks
        assert found.columns[0][0] >= 1
    assert list(iotdb.home.rglob("*.broken")) == []


def test_store_without_an_administrator_still_deletes(iotdb: Server) -> None:
    store = IotdbReadings([iotdb_server.node_of(iotdb)], iotdb.accounts().access("writer"))
    try:
        assert store.write([Reading(DEVICE, T0 + n, {"m": n}) for n in range(3)]) == []
        assert store.delete(DEVICE, start_ms=T0, end_ms=T0 + 2) == 2
        assert store.count(DEVICE) == 1
    finally:
        store.close()
