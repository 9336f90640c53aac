"""What a broker in C does on the same machine: Mosquitto, which takes what it is sent and keeps nothing of it."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.bench.machine import cpu_seconds
from infra.failure import Failure

READY_S = 10.0
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
log_dest none
"""


def program() -> str | None:
    """Where Mosquitto is, if it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """A broker of its own on a free port, within a with statement.

    Args:
        folder: For its configuration.
        executable: See `program`.
    """

    def __init__(self, folder: Path, executable: str) -> None:
        self._configuration = folder / "mosquitto.conf"
        self._executable = executable
        self.mqtt_port = 0

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.mqtt_port = int(taken.getsockname()[1])
        self._configuration.write_text(CONFIGURATION.format(port=self.mqtt_port), encoding="ascii")
        self._process = subprocess.Popen(
            [self._executable, "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(("127.0.0.1", self.mqtt_port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        self._process.kill()
        message = "Mosquitto did not start"
        raise Failure(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(READY_S)

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        return cpu_seconds(self._process.pid)
