"""The supervisor in the background: forked off, in a session of its own, reporting once through a pipe."""

import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from infra.failure import Exit, Failure
from infra.supervisor.folder import RunFolder
from infra.supervisor.loop import Supervisor
from infra.supervisor.output import SUPERVISOR, LogFiles


def start(make: Callable[[], Supervisor], folder: RunFolder) -> dict[str, int]:
    """Run a supervisor in the background; returns the pids when everything is ready.

    Args:
        make: Makes the supervisor; called in the new process.
        folder: Claimed already; the new process takes it over.

    Raises:
        Failure: A process did not become ready.
    """
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        _be_the_supervisor(make, folder, write_fd)
    os.close(write_fd)
    try:
        with os.fdopen(read_fd, encoding="utf-8") as pipe:
            report: dict[str, Any] = json.loads(pipe.read() or "{}")
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        raise
    if "pids" in report:
        return dict(report["pids"])
    message = report.get("failure") or f"the supervisor died; python3 -m infra logs {SUPERVISOR} may say why"
    raise Failure(message, Exit(report.get("code", Exit.FAILED)))


def _be_the_supervisor(make: Callable[[], Supervisor], folder: RunFolder, write_fd: int) -> NoReturn:
    code = Exit.FAILED
    try:
        os.setsid()
        _leave_the_terminal(folder)
        folder.sign()
        supervisor = make()
        supervisor.run(lambda: _report(write_fd, {"pids": supervisor.pids}))
        code = Exit.OK
    except Failure as failure:
        _report(write_fd, {"failure": str(failure), "code": int(failure.code)})
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)  # nothing of the forked command may run on here


def _leave_the_terminal(folder: RunFolder) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = LogFiles(folder.logs).open(SUPERVISOR)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        if source is not None:
            os.dup2(source, target)


def _report(write_fd: int, content: dict[str, Any]) -> None:
    try:
        with os.fdopen(write_fd, "w", encoding="utf-8") as pipe:
            json.dump(content, pipe)
    except BrokenPipeError:
        pass  # the command that waited for it was interrupted
