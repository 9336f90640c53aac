"""LocalStack as a child of this process, in an environment of its own that is made once and kept."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.aws import lambda_process, packaging
from infra.bootstrap import ROOT, digest
from infra.emulators.server import HOST, free_port
from infra.failure import Exit, Failure

HERE = Path(__file__).parent
REQUIREMENTS = (ROOT / "infra" / "requirements" / "localstack.txt",)
READY_S = 120.0
STOP_S = 5.0
"""It would wait for its poller of queues, and has nothing to save."""
SETTINGS = {
    "OVERRIDE_IN_DOCKER": "0",  # a /.dockerenv on the machine fools it
    "DNS_ADDRESS": "0",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "DISABLE_EVENTS": "1",  # no word to its makers
    "EAGER_SERVICE_LOADING": "0",
    "SQS_ENDPOINT_STRATEGY": "path",
    "LAMBDA_IGNORE_ARCHITECTURE": "1",
    "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.01",  # one second by default: ten messages a second
}


def installed() -> Path:
    """The folder of LocalStack's environment; installing it takes minutes, the first time.

    Raises:
        Failure: There is no Python 3.13, or the packages cannot be installed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "iotflow" / f"localstack-{digest(REQUIREMENTS)[:12]}"
    if not (folder / "iotflow-requirements").exists():
        print(f"installing LocalStack into {folder}, 500 MB, once ...", file=sys.stderr, flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
    return packaging.environment(folder, REQUIREMENTS)


class LocalStack:
    """A LocalStack whose functions are processes; what it knew is gone when it stops.

    Args:
        home: Folder for its files and its log.
        port: Where it listens; 0 for a free port.
        elsewhere: Services that others serve: AWS_ENDPOINT_URL_SERVICE -> URL.
        runtime: Folder of the packages that Lambda itself provides.
    """

    def __init__(self, home: Path, *, runtime: Path, elsewhere: Mapping[str, str], port: int = 0) -> None:
        self.home = home.absolute()
        self.port = port or free_port()
        self._runtime = runtime
        self._elsewhere = elsewhere
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What goes into AWS_ENDPOINT_URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.home / "localstack.log"

    def start(self, timeout_s: float = READY_S) -> None:
        """Start, and return when it answers.

        Raises:
            Failure: It cannot be installed, ended at once, or does not answer.
        """
        python = installed() / "bin" / "python"
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), str(HERE / "program.py")],
                cwd=self.home,
                env={**os.environ, **SETTINGS, **self._elsewhere, **self._places()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end_s = time.monotonic() + timeout_s
        while not self._answers():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > end_s:
                self.stop()
                message = f"LocalStack {'ended while it started' if ended else 'does not answer'}; see {self.log}"
                raise Failure(message, Exit.NOT_READY)
            time.sleep(0.1)

    def stop(self) -> None:
        """End it and its functions."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()  # its functions end as soon as their API is gone
                self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _places(self) -> dict[str, str]:
        python = str(packaging.interpreter())
        command = [python, "-I", "-B", "-u", "-c", lambda_process.BOOTSTRAP, "TASK", str(self._runtime), "HANDLER"]
        first = free_port()
        return {
            "GATEWAY_LISTEN": f"{HOST}:{self.port}",
            "LOCALSTACK_VOLUME_DIR": str(self.home / "volume"),
            "FILESYSTEM_ROOT": str(self.home / "root"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "TMPDIR": str(self.home),
            "EXTERNAL_SERVICE_PORTS_START": str(first),
            "EXTERNAL_SERVICE_PORTS_END": str(first + 50),
            "IOTFLOW_LAMBDA_COMMAND": json.dumps(command),
        }

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
        try:
            connection.request("GET", "/_localstack/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
