"""`down`: stop the instance of a data directory, and wait until it has stopped."""

import argparse
import os
import signal
import time

from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit, Failure
from infra.supervisor.child import DRAIN_S
from infra.supervisor.folder import RunFolder
from infra.supervisor.plan import PROCESSES

PATIENCE_S = DRAIN_S * len(PROCESSES) + 5
"""Each process may take DRAIN_S, one after the other."""


def add_down(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_data_options(parser)
    parser.set_defaults(run=down)


def down(options: argparse.Namespace) -> int:
    """Ask the supervisor to stop everything, and wait.

    Raises:
        Failure: Nothing runs here, or it does not stop in time.
    """
    folder = RunFolder(data_folder(gather(options)))
    pid = folder.supervisor_pid()
    if pid is None:
        message = f"nothing runs with the data directory {folder.data}"
        raise Failure(message, Exit.NOT_RUNNING)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it ended by itself just now
    except PermissionError:
        message = f"process {pid} was started by another user, who has to stop it"
        raise Failure(message) from None
    give_up_s = time.monotonic() + PATIENCE_S
    while folder.supervisor_pid() == pid:
        if time.monotonic() > give_up_s:
            message = f"process {pid} has not stopped after {PATIENCE_S:.0f} s"
            raise Failure(message)
        time.sleep(0.02)
    print("Stopped.")
    return Exit.OK
