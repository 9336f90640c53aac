"""One JVM of IoTDB: a ConfigNode or a DataNode, with the folder that its settings, data and logs are in."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from infra.maven import java_path

KINDS = {
    "confignode": ("org.apache.iotdb.confignode.service.ConfigNode", "32m", "96m", "64m"),
    "datanode": ("org.apache.iotdb.db.service.DataNode", "64m", "512m", "128m"),
}
"""Main class, first and greatest heap, memory outside of it. A DataNode ran with 160m; queries get a share of it."""
_OPENED = ("java.util.concurrent", "java.lang", "java.util", "java.nio", "java.io", "java.net")


class Node(NamedTuple):
    """A node in *home*; a ConfigNode and a DataNode may share one, without white space in its path."""

    home: Path
    kind: str

    @property
    def log(self) -> Path:
        """Where it says why it does not start."""
        return self.home / "logs" / f"{self.kind}.log"

    def launch(self, library: Path) -> None:
        """Start it with the jars of *library*; it is not ready when this returns."""
        logs = self.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{self.kind}.console.log").open("ab") as console:
            process = subprocess.Popen(
                self._arguments(library),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._pid_file.write_text(str(process.pid), encoding="ascii")
        _CHILDREN[process.pid] = process

    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        if not self._pid_file.exists():
            return None
        pid = int(self._pid_file.read_text(encoding="ascii"))
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

    def send(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        pid = self.pid()
        if pid is None:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def end(self, number: signal.Signals, timeout_s: float) -> None:
        """Send a signal that ends it, and wait."""
        if self.pid() is None:
            return
        self.send(signal.SIGCONT)
        self.send(number)
        end_s = time.monotonic() + timeout_s
        while self.pid() is not None and time.monotonic() < end_s:
            time.sleep(0.05)

    @property
    def _pid_file(self) -> Path:
        return self.home / f"{self.kind}.pid"

    def _arguments(self, library: Path) -> list[str]:
        main, first, most, outside = KINDS[self.kind]
        home, conf, logs = self.home, self.home / "conf", self.home / "logs"
        homes = [f"-D{key}_HOME={home}" for key in ("IOTDB", "IOTDB_DATA", "CONFIGNODE", "CONFIGNODE_DATA", "TSFILE")]
        confs = [f"-D{key}_CONF={conf}" for key in ("IOTDB", "CONFIGNODE", "TSFILE")]
        return [
            java_path(),
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            *homes,
            *confs,
            *(f"-D{key}_LOG_DIR={logs}" for key in ("IOTDB", "CONFIGNODE")),
            f"-Dlogback.configurationFile={conf / 'logback.xml'}",
            *("-Diotdb.jmx.local=true", "-Djava.net.preferIPv4Stack=true", "-Duser.timezone=UTC"),
            *("-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
            *("-XX:MaxMetaspaceSize=160m", "-XX:ReservedCodeCacheSize=64m", "-Xss512k"),
            *(f"-Dname=iotdb.{self.kind}", f"-DNODE_LOG={self.kind}", f"-Xms{first}", f"-Xmx{most}"),
            *(f"-XX:MaxDirectMemorySize={outside}", f"-DOFF_HEAP_MEMORY={outside}"),
            *("-cp", f"{library}/*", main, "-s"),
        ]


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Those that this process started, and therefore has to wait for."""
