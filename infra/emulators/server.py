"""One emulator as a child of this process: started on a free port, ready when it answers, gone with the block."""

import http.client
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Protocol, Self

from infra.failure import Exit, Failure
from infra.maven import Jars, java_path

HOST = "127.0.0.1"
READY_S = 60.0
STOP_S = 10.0
_POLL_S = 0.1


class Recipe(NamedTuple):
    """What has to be run.

    Attributes:
        arguments: Java's, from the folder of the jars and the port.
        environment: Variables beside those of this process.
    """

    jars: Jars
    arguments: Callable[[Path, int], tuple[str, ...]]
    environment: Mapping[str, str] = {}

    @property
    def title(self) -> str:
        """What people call it."""
        return self.jars.title

    def command(self, port: int) -> list[str]:
        """The whole command.

        Raises:
            Failure: Java or Maven is missing, or Maven cannot load the jars.
        """
        return [java_path(), *self.arguments(self.jars.resolve(), port)]


class Program(Protocol):
    """Another way to run one: `Recipe` is that of Java."""

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables beside those of this process."""
        ...

    def command(self, port: int) -> list[str]:
        """The whole command."""
        ...


class Emulator:
    """A server of *recipe*; what it knew is gone when it stops.

    Args:
        recipe: What to run.
        port: Where it listens; 0 for a free port, which it then keeps.
    """

    def __init__(self, recipe: Program, *, port: int = 0) -> None:
        self.recipe = recipe
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What goes into AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL_SQS."""
        return f"http://{HOST}:{self.port}"

    def start(self, timeout_s: float = READY_S) -> None:
        """Start, and return when it answers.

        Raises:
            Failure: Something is missing, it ended at once, or does not answer.
        """
        if answers(self.port):
            message = f"port {self.port} of {HOST} is taken"
            raise Failure(message, Exit.PORT_IN_USE)
        command = self.recipe.command(self.port)
        with tempfile.TemporaryFile() as console:
            self._process = subprocess.Popen(
                command,
                cwd=tempfile.gettempdir(),
                env={**os.environ, **self.recipe.environment},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C in the terminal is for this process
            )
            try:
                self._wait(self._process, console, time.monotonic() + timeout_s)
            except BaseException:
                self.kill()
                raise

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _wait(self, process: subprocess.Popen[bytes], console: IO[bytes], end_s: float) -> None:
        while not answers(self.port):
            ended = process.poll() is not None
            if ended or time.monotonic() > end_s:
                console.seek(0)
                said = console.read().decode(errors="replace").strip() or "nothing"
                what = "ended while it started" if ended else "does not answer"
                message = f"{self.recipe.title} {what}; it said {said}"
                raise Failure(message, Exit.NOT_READY)
            time.sleep(_POLL_S)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    """Whether an HTTP server says anything on *port* of this machine, be it a refusal."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=2)) as connection:
        try:
            connection.request("GET", "/?Action=ListQueues")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
    return True
