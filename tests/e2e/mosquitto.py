"""A real Mosquitto for tests, on a free port, that can be killed and started again on what it has on disk."""

import getpass
import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.backends import require_program
from tests.e2e.instance import eventually

CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 0
max_packet_size 1100000
set_tcp_nodelay true
user {user}
"""
"""The user is our own: as root, Mosquitto would become one that cannot write in a test's folder."""


class Mosquitto:
    """Runs within a with statement. It lets everybody do everything: who may do what is another test's business.

    Args:
        folder: For its configuration and its memory.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.port = _free_port()
        self._program = require_program("mosquitto", backend="mosquitto", package="mosquitto")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(CONFIGURATION.format(port=self.port, folder=folder, user=getpass.getuser()))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What an operator would put into IOTFLOW_BROKER_URL."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [self._program, "-c", str(self._configuration)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert eventually(self._answers)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM lets it write down what it knows, SIGKILL does not."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
