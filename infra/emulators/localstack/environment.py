"""One execution environment of a Lambda function: a process with AWS's runtime client, and the API it talks to.

Runs within LocalStack, whose Python has none of this project's packages: standard library only.
Source: AWS, Using the Lambda runtime API for custom runtimes; Lambda execution environment lifecycle.
"""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

INVOCATION = "/2018-06-01/runtime/invocation/"
START_S = 30.0
LONGEST_ANSWER_BYTES = 6 * 1024 * 1024 + 100


class Invocation(NamedTuple):
    """What the function is to do."""

    id: str
    function_arn: str
    payload: bytes
    trace_id: str = ""


class Outcome(NamedTuple):
    """What came of it; `log` is what the function wrote, with Lambda's own lines around it."""

    payload: bytes
    failed: bool
    log: str


class StartError(Exception):
    """The function did not become ready; `payload` is the error as Lambda's callers see it."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload.decode(errors="replace"))
        self.payload = payload


class Environment:
    """A process that runs one invocation at a time.

    Args:
        command: Runs the runtime client.
        variables: All that the process gets, beside the address of its API.
        folder: The unpacked code.
        timeout_s: Of an invocation.
        memory_mb: Told in the log only.
    """

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], *, folder: Path, timeout_s: float, memory_mb: int
    ) -> None:
        self._command = command
        self._variables = variables
        self._folder = folder
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._api = _RuntimeApi()
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed by stop
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and return when it asks for its first invocation.

        Raises:
            StartError: It ended, reported an error, or took too long.
        """
        self._api.restart()
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env={**self._variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._api.server_port}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        error = self._api.wait_until_ready(self._process, START_S)
        if error is not None:
            self._end()
            raise StartError(error or _document("Runtime.ExitError", self._written()))

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run the function once. One that does not answer in time, or ends, is started again the next time.

        Raises:
            StartError: It had to be started again, and could not be.
        """
        if self._process is None:
            self.start()
        began_s = time.time()
        answer = self._answer(invocation, began_s)
        took_ms = (time.time() - began_s) * 1000
        figures = f"Duration: {took_ms:.2f} ms\tBilled Duration: {int(took_ms) + 1} ms"
        log = (
            f"START RequestId: {invocation.id} Version: $LATEST\n{self._written()}"
            f"END RequestId: {invocation.id}\nREPORT RequestId: {invocation.id}\t{figures}\t"
            f"Memory Size: {self._memory_mb} MB\t\n"
        )
        return Outcome(answer.payload, answer.failed, log)

    def stop(self) -> None:
        """End the process and the API."""
        self._end()
        self._api.close()
        self._log.close()

    def _answer(self, invocation: Invocation, began_s: float) -> "_Answer":
        process = self._process
        answer = self._api.ask(invocation, process, began_s + self._timeout_s)
        if answer is not None:
            if len(answer.payload) <= LONGEST_ANSWER_BYTES:
                return answer
            text = f"Response payload size exceeded maximum allowed payload size ({LONGEST_ANSWER_BYTES} bytes)."
            return _Answer(_document("Function.ResponseSizeTooLarge", text), True)
        code = process.poll() if process else None
        self._end()
        if code is None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            text = f"{stamp} {invocation.id} Task timed out after {self._timeout_s:.2f} seconds"
            return _Answer(json.dumps({"errorMessage": text}).encode(), True)
        text = f"RequestId: {invocation.id} Error: Runtime exited with error: exit status {code}"
        return _Answer(_document("Runtime.ExitError", text), True)

    def _end(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _written(self) -> str:
        """What the process wrote since the last call; it only appends, so that the file can be emptied beneath it."""
        descriptor = self._log.fileno()
        written = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        os.ftruncate(descriptor, 0)
        return written.decode(errors="replace")


class _Answer(NamedTuple):
    payload: bytes
    failed: bool


class _RuntimeApi(ThreadingHTTPServer):
    """Hands an invocation to whoever asks for the next one, and takes the answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.todo: queue.Queue[Invocation | None] = queue.Queue()
        self.answers: queue.Queue[_Answer] = queue.Queue()
        self.ready = threading.Event()
        self.init_error: bytes | None = None
        self.current = ""
        self.deadline_s = 0.0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def restart(self) -> None:
        """Forget the process before: nothing that it says counts any more."""
        self.todo.put(None)
        self.todo, self.answers = queue.Queue(), queue.Queue()
        self.ready.clear()
        self.init_error = None
        self.current = ""

    def wait_until_ready(self, process: subprocess.Popen[bytes], timeout_s: float) -> bytes | None:
        """None when it is ready; else what it reported, or nothing."""
        end_s = time.monotonic() + timeout_s
        while not self.ready.wait(0.02):
            if self.init_error is not None:
                return self.init_error
            if process.poll() is not None or time.monotonic() > end_s:
                return b""
        return None

    def ask(self, invocation: Invocation, process: subprocess.Popen[bytes] | None, deadline_s: float) -> _Answer | None:
        """The answer; None when the process ended, or the time is over."""
        self.current, self.deadline_s = invocation.id, deadline_s
        self.todo.put(invocation)
        while process is not None and time.time() < deadline_s:
            try:
                return self.answers.get(timeout=min(0.2, max(0.001, deadline_s - time.time())))
            except queue.Empty:
                if process.poll() is not None:
                    return None
        return None

    def close(self) -> None:
        """End the thread."""
        self.todo.put(None)
        self.shutdown()
        self.server_close()


class _Calls(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """``invocation/next``: wait for one."""
        todo = self.server.todo
        self.server.ready.set()
        invocation = todo.get()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            "Lambda-Runtime-Deadline-Ms": str(int(self.server.deadline_s * 1000)),
        }
        self._reply(200, invocation.payload, headers)

    def do_POST(self) -> None:
        """``invocation/ID/response``, ``invocation/ID/error`` or ``init/error``."""
        body = self._body()
        if self.path.endswith("/init/error"):
            self.server.init_error = body
        elif self.path.startswith(f"{INVOCATION}{self.server.current}/"):
            self.server.answers.put(_Answer(body, self.path.endswith("/error")))
        self._reply(202, b'{"status":"OK"}', {})

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def _document(kind: str, text: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": text}).encode()
