"""LocalStack with Lambda functions as processes of this machine: run by server.py with LocalStack's own Python.

LocalStack itself knows containers only, and would load images and programs from the network. Its executor is replaced
by one that runs `environment.Environment`: same API, same answers, no container engine. DynamoDB is a server of its
own, so that LocalStack has no part in it.
"""

import json
import os
import threading
import zipfile
from pathlib import Path
from typing import Any

from environment import Environment, Invocation, StartError
from localstack import config
from localstack.runtime.main import main
from localstack.services.lambda_.invocation import plugins
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

COMMAND: list[str] = json.loads(os.environ["IOTFLOW_LAMBDA_COMMAND"])
"""Runs a function: TASK stands for the folder of its code, HANDLER for its handler."""
PASSED_ON = tuple(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_"))
"""Services of which LocalStack is not the server: functions are to find them, too."""
_unpacking = threading.Lock()


def code_folder(version: Any) -> Path:
    """The unpacked code: functions of one zip share a folder."""
    digest = "".join(each for each in version.config.code.code_sha256 if each.isalnum())
    return Path(config.dirs.cache) / "code" / digest


def unpack(version: Any) -> None:
    """Unpack a function's zip unless its folder is there."""
    folder = code_folder(version)
    with _unpacking:
        if folder.exists():
            return
        unfinished = folder.with_suffix(".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        archive = unfinished / "code.zip"
        with archive.open("wb") as file:
            version.config.code._download_archive_to_file(file)
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(unfinished)
        archive.unlink()
        unfinished.rename(folder)


class ProcessExecutor(RuntimeExecutor):  # type: ignore[misc]  # its packages are elsewhere
    """Runs a function's execution environment on this machine."""

    def __init__(self, id: str, function_version: Any) -> None:  # noqa: A002 - LocalStack's
        super().__init__(id, function_version)
        self._environment: Any = None

    def start(self, env_vars: dict[str, Any]) -> None:
        """Start its process."""
        folder = code_folder(self.function_version)
        settings = self.function_version.config
        given = {name: str(value) for name, value in env_vars.items() if not name.startswith("LOCALSTACK_")}
        given |= {name: os.environ[name] for name in PASSED_ON if name not in given}
        own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LAMBDA_TASK_ROOT": str(folder)}
        self._environment = Environment(
            [{"TASK": str(folder), "HANDLER": settings.handler}.get(word, word) for word in COMMAND],
            {**given, **own},
            folder=folder,
            timeout_s=settings.timeout,
            memory_mb=settings.memory_size,
        )
        try:
            self._environment.start()
        except StartError as error:
            raise StatusErrorException("The function did not start", payload=error.payload) from error

    def stop(self) -> None:
        """End it."""
        if self._environment is not None:
            self._environment.stop()
            self._environment = None

    def invoke(self, payload: dict[str, str]) -> Any:
        """Run the function once."""
        request_id = payload["invoke-id"]
        invocation = Invocation(
            request_id, payload["invoked-function-arn"], payload["payload"].encode(), payload.get("trace-id") or ""
        )
        outcome = self._environment.invoke(invocation)
        return InvocationResult(request_id, outcome.payload, is_error=outcome.failed, logs=outcome.log)

    def get_address(self) -> str:
        """Where it is."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Where LocalStack is."""
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Nobody calls back."""
        return ""

    def get_logs(self) -> str:
        """Outcomes have them."""
        return ""

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        """Unpack the code."""
        unpack(function_version)

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """The folder may be another function's as well."""


plugins.DockerRuntimeExecutorPlugin.load = lambda *_arguments, **_named: ProcessExecutor

if __name__ == "__main__":
    main()
