"""A real Redis for tests: Debian's redis-server on a free port of the loopback, without a file on disk."""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from tests.backends import require_program

DEADLINE_S = 10.0


class RedisServer:
    """One process, started on entry and stopped on exit; `kill` and `start` again use the same port and lose the data.

    Args:
        password: What clients must say; none when empty.
    """

    def __init__(self, password: str = "") -> None:
        self.password = password
        self.port = _free_port()
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What an operator would put into REDIS_URL."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def client(self) -> "Redis[bytes]":
        """A client of its own, to look at the server from the side; close it."""
        return Redis(host="127.0.0.1", port=self.port, password=self.password or None, socket_timeout=5)

    def start(self) -> None:
        """Start and wait until it answers."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        arguments += ["--dir", self._folder.name, "--logfile", "redis.log"]
        if self.password:
            arguments += ["--requirepass", self.password]
        self._process = subprocess.Popen([require_redis(), *arguments])
        deadline_s = time.monotonic() + DEADLINE_S
        while not self._answers():
            assert self._process.poll() is None, f"redis-server on port {self.port} ended at once"
            assert time.monotonic() < deadline_s, "redis-server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within the block it keeps its port and its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Drop all keys."""
        with self.client() as client:
            client.flushall()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


def require_redis() -> str:
    """The path of redis-server; skip where it is missing, fail where the environment says that it must be there."""
    return require_program("redis-server", backend="redis", package="redis-server")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
