"""What a broker in C does on the same machine: Mosquitto, which takes what it is sent and keeps nothing of it."""

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.bench.machine import cpu_seconds
from infra.failure import Failure
from infra.mosquitto import programs

READY_S = 10.0
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
log_dest none
"""


class Mosquitto:
    """A broker of its own on a free port, within a with statement.

    Args:
        folder: For its configuration.
    """

    def __init__(self, folder: Path) -> None:
        self._configuration = folder / "mosquitto.conf"
        self.mqtt_port = 0

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.mqtt_port = int(taken.getsockname()[1])
        self._configuration.write_text(CONFIGURATION.format(port=self.mqtt_port), encoding="ascii")
        self._process = subprocess.Popen(
            [programs.broker(), "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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
