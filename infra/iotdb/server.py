"""Starts and stops a one-machine IoTDB: a ConfigNode and a DataNode, ready when it has taken a write and a read."""

import json
import signal
import subprocess
import time
from pathlib import Path
from struct import pack

from chalicelib.adapters.iotdb_connection import BROKEN, Access, Connection
from chalicelib.adapters.iotdb_frames import rows
from chalicelib.adapters.iotdb_status import Refusal
from infra.failure import Exit, Failure
from infra.iotdb import accounts, ports
from infra.iotdb.jars import HERE, JARS
from infra.maven import java_path

HOST = "127.0.0.1"
HEAPS = {"confignode": ("32m", "96m", "64m"), "datanode": ("64m", "512m", "128m")}
"""First and greatest heap, and memory outside of it. A DataNode ran with 160m; queries get a fixed share of it."""
MAIN = {
    "confignode": "org.apache.iotdb.confignode.service.ConfigNode",
    "datanode": "org.apache.iotdb.db.service.DataNode",
}
READY_S = 180.0
STOP_S = 60.0
_POLL_S = 0.2
_PROBE = "root.iotflow_probe"
_OPENED = ("java.util.concurrent", "java.lang", "java.util", "java.nio", "java.io", "java.net")


class Server:
    """The server whose data, logs and accounts are in *home*.

    Args:
        home: Its folder, without white space in its path.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @property
    def port(self) -> int:
        """Port for clients; fixed after the first start."""
        found: dict[str, int] = json.loads((self.home / "ports.json").read_text(encoding="ascii"))
        return found["RPC"]

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
        return {name: pid for name in MAIN if (pid := self._pid(name)) is not None}

    def start(self, *, port: int = 0, timeout_s: float = READY_S) -> None:
        """Start, and return when it has taken a write and a read.

        Raises:
            Failure: Something is missing, a port is taken, it runs already, or it did not become ready.
        """
        if self.pids():
            message = f"IoTDB runs already in {self.home}"
            raise Failure(message, Exit.ALREADY_RUNNING)
        library = JARS.resolve()
        for name in ("conf", "logs"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        chosen = ports.of(self.home, rpc=port)
        self._configure(chosen)
        end_s = time.monotonic() + timeout_s
        try:
            self._launch("confignode", library)
            self._wait_for_confignode(chosen["P0"], end_s)
            self._launch("datanode", library)
            self._wait_until_ready(end_s)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End both nodes, the DataNode first; by force after *timeout_s*."""
        for name in reversed(MAIN):
            self._end(name, signal.SIGTERM, timeout_s)
        self.kill()

    def kill(self) -> None:
        """End both nodes as a crash would."""
        for name in MAIN:
            self._end(name, signal.SIGKILL, STOP_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to both nodes."""
        for pid in self.pids().values():
            _signal(pid, number)

    def _configure(self, chosen: dict[str, int]) -> None:
        text = (HERE / "iotdb-system.properties").read_text(encoding="utf-8")
        for name, port in chosen.items():
            text = text.replace(f"@{name}@", str(port))
        (self.home / "conf" / "iotdb-system.properties").write_text(text, encoding="utf-8")
        logback = (HERE / "logback.xml").read_bytes()
        (self.home / "conf" / "logback.xml").write_bytes(logback)

    def _launch(self, name: str, library: Path) -> None:
        first, most, outside = HEAPS[name]
        conf, logs = self.home / "conf", self.home / "logs"
        homes = [
            f"-D{key}_HOME={self.home}" for key in ("IOTDB", "IOTDB_DATA", "CONFIGNODE", "CONFIGNODE_DATA", "TSFILE")
        ]
        confs = [f"-D{key}_CONF={conf}" for key in ("IOTDB", "CONFIGNODE", "TSFILE")]
        arguments = [
            java_path(),
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            *homes,
            *confs,
            *(f"-D{key}_LOG_DIR={logs}" for key in ("IOTDB", "CONFIGNODE")),
            f"-Dlogback.configurationFile={conf / 'logback.xml'}",
            *("-Diotdb.jmx.local=true", "-Djava.net.preferIPv4Stack=true", "-Duser.timezone=UTC"),
            *("-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
            *("-XX:MaxMetaspaceSize=160m", "-XX:ReservedCodeCacheSize=64m", "-Xss512k"),
            *(f"-Dname=iotdb.{name}", f"-DNODE_LOG={name}", f"-Xms{first}", f"-Xmx{most}"),
            *(f"-XX:MaxDirectMemorySize={outside}", f"-DOFF_HEAP_MEMORY={outside}"),
            *("-cp", f"{library}/*", MAIN[name], "-s"),
        ]
        with (logs / f"{name}.console.log").open("ab") as console:
            process = subprocess.Popen(
                arguments,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        (self.home / f"{name}.pid").write_text(str(process.pid), encoding="ascii")
        _CHILDREN[process.pid] = process

    def _wait_for_confignode(self, port: int, end_s: float) -> None:
        from infra.supervisor import procfs

        while not procfs.listeners(port):
            self._still_starting("confignode", end_s)
            time.sleep(_POLL_S)

    def _wait_until_ready(self, end_s: float) -> None:
        while not self._is_ready():
            for name in MAIN:
                self._still_starting(name, end_s)
            time.sleep(_POLL_S)

    def _still_starting(self, name: str, end_s: float) -> None:
        log = self.home / "logs" / f"{name}.log"
        if self._pid(name) is None:
            message = f"the {name} of IoTDB ended while it started; see {log}"
            raise Failure(message, Exit.NOT_READY)
        if time.monotonic() > end_s:
            message = f"IoTDB is not ready; see {log}"
            raise Failure(message, Exit.NOT_READY)

    def _is_ready(self) -> bool:
        try:
            known = accounts.read(self.home) or accounts.make(self.home, HOST, self.port)
            take_write_and_read(self.port, known.access("root"))
        except (Refusal, *BROKEN):
            return False
        return True

    def _pid(self, name: str) -> int | None:
        file = self.home / f"{name}.pid"
        if not file.exists():
            return None
        pid = int(file.read_text(encoding="ascii"))
        child = _CHILDREN.get(pid)
        if child is not None and child.poll() is not None:
            return None
        command = Path(f"/proc/{pid}/cmdline")
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:
            return None
        ours = child is not None or f"-DIOTDB_HOME={self.home}".encode() in words
        return pid if ours else None

    def _end(self, name: str, number: signal.Signals, timeout_s: float) -> None:
        pid = self._pid(name)
        if pid is None:
            return
        _signal(pid, signal.SIGCONT)
        _signal(pid, number)
        end_s = time.monotonic() + timeout_s
        while self._pid(name) is not None and time.monotonic() < end_s:
            time.sleep(0.05)


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Those that this process started, and therefore has to wait for."""


def take_write_and_read(port: int, access: Access) -> None:
    """Write, read, and tidy up.

    Raises:
        Refusal: It is not ready yet.
    """
    connection = Connection(HOST, port, access)
    try:
        connection.insert(rows([f"{_PROBE}.d"], [1], [["x"]], [pack(">bd", 4, 1.0)]), timeout_s=10)
        list(connection.query(f"SELECT x FROM {_PROBE}.d", timeout_s=10).blocks)
        connection.execute(f"DELETE DATABASE {_PROBE}", timeout_s=10)
    finally:
        connection.close()


def _signal(pid: int, number: signal.Signals) -> None:
    import os

    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
