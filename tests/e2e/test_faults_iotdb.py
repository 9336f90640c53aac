"""IoTDB hangs, is read-only, restarts, is killed, under load: writes are accepted, and everything is stored once."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.iotdb.server import HOST, Server
from tests.contract import iotdb_server
from tests.e2e.installation import is_settled
from tests.e2e.instance import Instance, eventually
from tests.e2e.load import Device, Fleet
from tests.e2e.posting import NO_LIMITS, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HUNG_S = 60.0
READ_ONLY_S = 5.0
DRAINED_S = 90.0
"""The poller tries again after 30 s at the latest."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that these tests may break."""
    with iotdb_server.running() as own:
        yield own


@pytest.fixture
def instance(server: Server, tmp_path: Path) -> Iterator[Instance]:
    """The product on it, and nothing stored."""
    iotdb_server.empty(server)
    known = server.accounts()
    settings = {
        "IOTFLOW_STORE": "iotdb",
        "IOTDB_HOST": HOST,
        "IOTDB_PORT": str(server.port),
        "IOTDB_USER": "writer",
        "IOTDB_PASSWORD": known.writer,
        "IOTDB_ADMIN_USER": "root",
        "IOTDB_ADMIN_PASSWORD": known.root,
    }
    with Instance(tmp_path / "var", {**NO_LIMITS, **settings}) as running:
        yield running


def status_of_a_read(instance: Instance, device: Device) -> int:
    """What a reader is told."""
    path = f"/api/v1/telemetry/{device.owner.id}/latest"
    return call(instance.url, path, headers={"X-API-Key": device.owner.key})[0]


def hang(server: Server, instance: Instance, fleet: Fleet) -> None:
    """It answers nothing for a minute; devices do not notice, readers are told to come again."""
    server.send(signal.SIGSTOP)
    try:
        hung = threading.Event()
        timer = threading.Timer(HUNG_S, hung.set)
        timer.start()
        assert status_of_a_read(instance, fleet.devices[0]) == 503
        assert fleet.sends()
        hung.wait(HUNG_S + 1)
        assert fleet.sends()
    finally:
        server.send(signal.SIGCONT)


def read_only(server: Server, instance: Instance, fleet: Fleet) -> None:
    """As it makes itself when its disk is nearly full; what is stored can be read."""
    with iotdb_server.administrator(server) as client:
        assert eventually(lambda: status_of_a_read(instance, fleet.devices[0]) == 200, 30.0)
        client.execute("SET SYSTEM TO READONLY ON LOCAL")
        try:
            hung = threading.Event()
            assert fleet.sends()
            hung.wait(READ_ONLY_S)
            assert fleet.sends()
            assert status_of_a_read(instance, fleet.devices[0]) == 200
            assert not is_settled(instance.url)
        finally:
            client.execute("SET SYSTEM TO RUNNING ON LOCAL")


def restart(server: Server, instance: Instance, fleet: Fleet) -> None:
    """An operator's restart."""
    server.stop()
    assert status_of_a_read(instance, fleet.devices[0]) == 503
    assert fleet.sends()
    server.start()


def kill(server: Server, instance: Instance, fleet: Fleet) -> None:
    """A crash of both nodes."""
    server.kill()
    assert status_of_a_read(instance, fleet.devices[0]) == 503
    assert fleet.sends()
    server.start()


@pytest.mark.parametrize("strike", [hang, read_only, restart, kill], ids=lambda strike: strike.__name__)
def test_fault_under_load_costs_no_device_an_error_and_no_reading(
    server: Server, instance: Instance, strike: Callable[[Server, Instance, Fleet], None]
) -> None:
    with Fleet(instance.url, each=1) as fleet:
        assert fleet.sends()
        strike(server, instance, fleet)
        assert fleet.sends()
    assert set(fleet.outcomes) == {"201"}
    assert eventually(lambda: is_settled(instance.url), DRAINED_S)
    fleet.assert_kept()
