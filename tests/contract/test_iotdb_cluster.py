"""Three DataNodes: one is killed under load, nobody notices, nothing is lost, and it rejoins."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.iotdb_client import Node, Patience
from chalicelib.adapters.iotdb_readings import IotdbReadings
from infra.failure import Failure
from infra.iotdb.server import HOST, Server
from tests.contract.eventually import eventually
from tests.contract.iotdb_server import require_iotdb
from tests.contract.iotdb_stream import DEVICES, Stream, stored

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PATIENT = Patience(deadline_s=30.0, attempt_s=8.0, attempts=8)
"""A write with a synchronous log took up to 7 s when a node of the three died."""
NODES = 3
CAUGHT_UP_S = 90.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """A cluster of its own."""
    require_iotdb()
    with tempfile.TemporaryDirectory(prefix="iotdb-cluster-") as folder:
        server = Server(Path(folder))
        server.start(nodes=NODES)
        try:
            yield server
        finally:
            server.kill()


def store_of(cluster: Server) -> IotdbReadings:
    """The adapter, which knows every node."""
    nodes = [Node(HOST, port) for port in cluster.client_ports()]
    return IotdbReadings(nodes, cluster.accounts().access("writer"), patience=PATIENT)


def test_cluster_has_as_many_nodes_as_asked_for_and_keeps_them(cluster: Server) -> None:
    assert list(cluster.pids()) == ["confignode", "datanode", "datanode-2", "datanode-3"]
    assert len(set(cluster.client_ports())) == NODES
    assert "data_replication_factor=2" in (cluster.home / "datanode-3/conf/iotdb-system.properties").read_text()
    for wrong in (1, NODES):
        with pytest.raises(Failure, match="runs already"):
            cluster.start(nodes=wrong)


def test_killed_node_is_noticed_by_nobody_and_rejoins(cluster: Server) -> None:
    """The node of the first address. Reads may miss the newest for a while: the second copy is made afterwards."""
    node = cluster.data_nodes()[0]
    store = store_of(cluster)
    try:
        with Stream(lambda: store_of(cluster), "n") as stream:
            stream.wait_for(10)
            node.end(signal.SIGKILL, 10)
            stream.wait_for(20)
            assert node.pid() is None
            cluster.restart(node)
            stream.wait_for(10)
        assert stream.failures == 0
        assert stream.acknowledged
        wanted = {(device, n) for device in DEVICES for n in stream.acknowledged}
        assert eventually(lambda: wanted <= stored(store, "n"), CAUGHT_UP_S)
    finally:
        store.close()
    assert len(cluster.pids()) == NODES + 1
