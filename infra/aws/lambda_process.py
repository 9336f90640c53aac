"""A packaged function as Lambda runs it: a process of its own, AWS's runtime client, the zip in a folder.

The Lambda Runtime API is plain HTTP on loopback: the client asks for the next event, and posts its answer.
Source: AWS, Using the Lambda runtime API for custom runtimes.
"""

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

DEADLINE_S = 30.0
INVOCATION = "/2018-06-01/runtime/invocation/"
PROVIDED = (
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client*",
    "s3transfer",
    "simplejson",
    "six.py",
    "snapshot_restore_py",
    "urllib3",
)
"""What Lambda's image brings along, beside Python itself."""
BOOTSTRAP = """
import sys
task, runtime, handler = sys.argv[1:]
sys.path[:0] = [task, runtime]
from awslambdaric.__main__ import main
main(["awslambdaric", handler])
"""

Recorder = Callable[[str, object], None]
"""pytest's ``record_property``: figures go into the report of a run, not into assertions."""


@dataclass
class Run:
    """What became of a function's process.

    Attributes:
        answers: What it answered, in the order of the events.
        errors: What it reported instead of an answer, or of a start.
        init_ms: From the start of the process until it asked for its first event, Python's own start included.
        handled_ms: How long each event took, the Runtime API included.
        peak_mb: The most memory that it had.
        log: What it wrote.
    """

    answers: list[Any] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    init_ms: float = 0.0
    handled_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    log: str = ""


class RuntimeApi(ThreadingHTTPServer):
    """Hands out events, one after the other, and keeps what comes back.

    Args:
        events: To be handed out.
        run: Where results go.
    """

    daemon_threads = True

    def __init__(self, events: Sequence[Any], run: Run) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.run = run
        self.waiting = list(events)
        self.over = threading.Event()
        self.closing = threading.Event()
        self.clock_s = time.perf_counter()

    def split_ms(self) -> float:
        """Milliseconds since the last call of this, or since the start."""
        before_s, self.clock_s = self.clock_s, time.perf_counter()
        return (self.clock_s - before_s) * 1000


class _Calls(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement
    wbufsize = -1

    def do_GET(self) -> None:
        """Give the next event; when there is none, let the function wait as Lambda would."""
        took_ms = self.server.split_ms()
        if not self.server.run.init_ms:
            self.server.run.init_ms = took_ms
        if not self.server.waiting:
            self.server.over.set()
            self.server.closing.wait(DEADLINE_S)
            return
        deadline_ms = int((time.time() + DEADLINE_S) * 1000)
        self._answer(
            self.server.waiting.pop(0),
            {
                "Lambda-Runtime-Aws-Request-Id": "11111111-2222-3333-4444-555555555555",
                "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:iotflow",
            },
        )

    def do_POST(self) -> None:
        """Take an answer or an error."""
        run = self.server.run
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/response"):
            run.answers.append(body)
            run.handled_ms.append(self.server.split_ms())
        else:
            run.errors.append(body)
        if self.path.endswith("/init/error"):
            self.server.over.set()
        self._answer({"status": "OK"}, {}, status=202)

    def _answer(self, document: Any, headers: Mapping[str, str], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def provide(environment: Path, folder: Path) -> Path:
    """Make Lambda's own packages, and no others, importable from *folder*; *environment* has them installed."""
    (site_packages,) = environment.glob("lib/python*/site-packages")
    folder.mkdir()
    for pattern in PROVIDED:
        for path in site_packages.glob(pattern):
            (folder / path.name).symlink_to(path)
    return folder


def run(
    python: Path, task: Path, runtime: Path, handler: str, events: Sequence[Any], environment: Mapping[str, str]
) -> Run:
    """Give the function *events*, one after the other, and end its process.

    Args:
        python: An interpreter of Lambda's version without packages of its own.
        task: The unpacked zip.
        runtime: See `provide`.
        handler: As in the template, ``app.app``.
        events: What it is to answer.
        environment: The function's variables; it has no others.
    """
    result = Run()
    api = RuntimeApi(events, result)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    process = subprocess.Popen(
        [python, "-I", "-B", "-c", BOOTSTRAP, task, runtime, handler],
        cwd=task,
        env={
            **environment,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "iotflow",
            "_HANDLER": handler,
            "TZ": ":UTC",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _until_over(api, process)
        result.peak_mb = _peak_mb(process.pid)
    finally:
        process.kill()
        result.log = process.communicate()[0]
        api.closing.set()
        api.shutdown()
        api.server_close()
    return result


def _until_over(api: RuntimeApi, process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not api.over.wait(0.05) and process.poll() is None and time.monotonic() < deadline_s:
        pass


def _peak_mb(pid: int) -> float:
    """The most memory that a process had; 0.0 where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0
