"""Starts and stops IoTDB on this machine: a ConfigNode and a DataNode, or several; ready when each has answered."""

import json
import signal
import time
from pathlib import Path
from struct import pack

from chalicelib.adapters.iotdb_connection import BROKEN, Access, Connection
from chalicelib.adapters.iotdb_frames import rows
from chalicelib.adapters.iotdb_status import Refusal
from infra.failure import Exit, Failure
from infra.iotdb import accounts, ports
from infra.iotdb.jars import HERE, JARS
from infra.iotdb.node import Node

HOST = "127.0.0.1"
MAX_NODES = 5
COPIES = 2
"""Of data in a cluster of three and more; of the schema there are three."""
READY_S = 180.0
STOP_S = 60.0
_POLL_S = 0.2
_PROBE = "root.iotflow_probe"


class Server:
    """The server whose data, logs and accounts are in *home*; further DataNodes have folders in it.

    Args:
        home: Its folder, without white space in its path.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @property
    def port(self) -> int:
        """Port of the first DataNode for clients; fixed after the first start."""
        return self.client_ports()[0]

    def client_ports(self) -> list[int]:
        """Port of every DataNode for clients."""
        return [_client_port(node) for node in self.data_nodes()]

    def data_nodes(self) -> list[Node]:
        """The DataNodes, the first of which shares its folder with the ConfigNode."""
        others = sorted(self.home.glob("datanode-?"))
        return [Node(home, "datanode") for home in (self.home, *others)]

    def accounts(self) -> accounts.Accounts:
        """Its accounts.

        Raises:
            Failure: It was never ready.
        """
        found = accounts.read(self.home)
        if found is None:
            message = f"there is no IoTDB in {self.home}; python3 -m infra iotdb start makes one"
            raise Failure(message, Exit.NOT_RUNNING)
        return found

    def pids(self) -> dict[str, int]:
        """Process of each node that runs."""
        return {_name(node, self.home): pid for node in self._nodes() if (pid := node.pid()) is not None}

    def start(self, *, port: int = 0, nodes: int = 0, timeout_s: float = READY_S) -> None:
        """Start, and return when every DataNode has taken a write and a read.

        Args:
            port: For clients of the first DataNode; 0 for a free one.
            nodes: DataNodes, fixed at the first start; 0 for those that are there.
            timeout_s: How long that may take.

        Raises:
            Failure: Something is missing, a port is taken, it runs already, or it did not become ready.
        """
        if self.pids():
            message = f"IoTDB runs already in {self.home}"
            raise Failure(message, Exit.ALREADY_RUNNING)
        library = JARS.resolve()
        self._make_folders(nodes)
        seeds = self._configure(port)
        end_s = time.monotonic() + timeout_s
        try:
            self._config_node.launch(library)
            self._wait_for_config_node(seeds["P0"], end_s)
            for node in self.data_nodes():
                node.launch(library)
            self._wait_until_ready(end_s)
        except BaseException:
            self.kill()
            raise

    def restart(self, node: Node, *, timeout_s: float = READY_S) -> None:
        """Start one DataNode of a cluster that runs, again, and return when it answers a question.

        Raises:
            Failure: It did not become ready.
        """
        node.launch(JARS.resolve())
        port, access, end_s = _client_port(node), self.accounts().access("root"), time.monotonic() + timeout_s
        while not _answers(port, access):
            _still_starting(node, end_s)
            time.sleep(_POLL_S)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End all nodes, the ConfigNode last; by force after *timeout_s*."""
        for node in reversed(self._nodes()):
            node.end(signal.SIGTERM, timeout_s)
        self.kill()

    def kill(self) -> None:
        """End all nodes as a crash would."""
        for node in self._nodes():
            node.end(signal.SIGKILL, STOP_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all nodes."""
        for node in self._nodes():
            node.send(number)

    @property
    def _config_node(self) -> Node:
        return Node(self.home, "confignode")

    def _nodes(self) -> list[Node]:
        return [self._config_node, *self.data_nodes()]

    def _make_folders(self, nodes: int) -> None:
        there = len(self.data_nodes())
        if not (self.home / "ports.json").exists():
            there = max(1, nodes)
        elif nodes not in {0, there}:
            message = f"the IoTDB in {self.home} was made with {there} DataNodes, which is for ever"
            raise Failure(message, Exit.BAD_OPTION)
        others = [self.home / f"datanode-{number}" for number in range(2, there + 1)]
        for folder in (self.home, *others):
            for name in ("conf", "logs"):
                (folder / name).mkdir(parents=True, exist_ok=True)

    def _configure(self, port: int) -> dict[str, int]:
        """Write the settings of every node; returns the first one's ports, which the others are told."""
        nodes = self.data_nodes()
        chosen = [ports.of(node.home, rpc=port if node.home == self.home else 0) for node in nodes]
        seeds = {name: chosen[0][name] for name in ("P0", "P1")}
        many = len(nodes) > COPIES
        words = {"SCHEMA_COPIES": 3 if many else 1, "COPIES": COPIES if many else 1, "REGIONS": len(nodes)}
        for node, own in zip(nodes, chosen, strict=True):
            text = (HERE / "iotdb-system.properties").read_text(encoding="utf-8")
            for name, number in {**own, **seeds, **words}.items():
                text = text.replace(f"@{name}@", str(number))
            (node.home / "conf" / "iotdb-system.properties").write_text(text, encoding="utf-8")
            (node.home / "conf" / "logback.xml").write_bytes((HERE / "logback.xml").read_bytes())
        return seeds

    def _wait_for_config_node(self, port: int, end_s: float) -> None:
        from infra.supervisor import procfs

        while not procfs.listeners(port):
            _still_starting(self._config_node, end_s)
            time.sleep(_POLL_S)

    def _wait_until_ready(self, end_s: float) -> None:
        while not self._is_ready():
            for node in self._nodes():
                _still_starting(node, end_s)
            time.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        try:
            known = accounts.read(self.home) or accounts.make(self.home, HOST, self.port)
            for port in self.client_ports():
                take_write_and_read(port, known.access("root"))
        except (Refusal, *BROKEN):
            return False
        return True


def _name(node: Node, home: Path) -> str:
    return node.kind if node.home == home else node.home.name


def _client_port(node: Node) -> int:
    found: dict[str, int] = json.loads((node.home / "ports.json").read_text(encoding="ascii"))
    return found["RPC"]


def _answers(port: int, access: Access) -> bool:
    try:
        connection = Connection(HOST, port, access)
        list(connection.query("SHOW VERSION", timeout_s=10).blocks)
    except (Refusal, *BROKEN):
        return False
    connection.close()
    return True


def _still_starting(node: Node, end_s: float) -> None:
    if node.pid() is None:
        message = f"the {node.kind} of IoTDB ended while it started; see {node.log}"
        raise Failure(message, Exit.NOT_READY)
    if time.monotonic() > end_s:
        message = f"IoTDB is not ready; see {node.log}"
        raise Failure(message, Exit.NOT_READY)


def take_write_and_read(port: int, access: Access) -> None:
    """Write, read, and tidy up.

    The database stays: of one that is deleted, each region on a node of a cluster is stopped at the
    next start of that node, which takes thirty seconds for each (seen on 2.0.1-beta).

    Raises:
        Refusal: It is not ready yet.
    """
    connection = Connection(HOST, port, access)
    try:
        connection.insert(rows([f"{_PROBE}.d"], [1], [["x"]], [pack(">bd", 4, 1.0)]), timeout_s=10)
        list(connection.query(f"SELECT x FROM {_PROBE}.d", timeout_s=10).blocks)
        connection.execute(f"DELETE FROM {_PROBE}.d.x", timeout_s=10)
    finally:
        connection.close()
