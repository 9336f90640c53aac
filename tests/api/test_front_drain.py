"""A front that is told to stop: by a signal, or because its supervisor died."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.running_front import Wire
from tests.contract.eventually import eventually

ROOT = Path(__file__).parents[2]


class Process:
    """A front as the supervisor starts it, with both pipes."""

    def __init__(self, *arguments: str) -> None:
        self.ready_fd, ready = os.pipe()
        parent, self.parent_fd = os.pipe()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.api.front_of_a_small_app", *arguments],
            cwd=ROOT,
            env=os.environ | {"IOTFLOW_READY_FD": str(ready), "IOTFLOW_PARENT_FD": str(parent)},
            pass_fds=(ready, parent),
            stdout=subprocess.PIPE,
            text=True,
        )
        os.close(ready)
        os.close(parent)
        assert self.popen.stdout is not None
        self.stdout = self.popen.stdout
        self.port = int(self.stdout.readline())

    def wire(self) -> Wire:
        """A new connection."""
        return Wire(self.port)


@contextmanager
def process(*arguments: str) -> Iterator[Process]:
    """A running front; killed at the end if it is still there."""
    front = Process(*arguments)
    try:
        assert os.read(front.ready_fd, 100) == b"ready\n"
        assert os.read(front.ready_fd, 100) == b""
        yield front
    finally:
        front.popen.kill()
        front.popen.wait()
        front.stdout.close()
        os.close(front.ready_fd)
        if front.parent_fd >= 0:
            os.close(front.parent_fd)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_front_answers_what_is_in_progress_before_it_ends(number: signal.Signals) -> None:
    """Exit code 0, within 10 s; the answer says that the connection closes; nobody new is let in."""
    with process() as front, ThreadPoolExecutor(1) as pool:
        wire = front.wire()
        waiting = pool.submit(wire.request, "GET /hang HTTP/1.1\nHost: x")
        echo = front.wire()
        assert echo.request("GET /items/1 HTTP/1.1\nHost: x").status == 200
        front.popen.send_signal(number)
        reply = waiting.result(10)
        assert (reply.status, reply.json, reply.headers["connection"]) == (200, {"left": True}, "close")
        assert front.popen.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            front.wire()
        wire.close()
        echo.close()


def test_front_serves_a_client_that_was_just_about_to_ask() -> None:
    """An idle connection gets one more answer after the signal, so that no request is cut."""
    with process() as front:
        wire, witness = front.wire(), front.wire()
        for each in (wire, witness):
            assert each.request("GET /items/1 HTTP/1.1\nHost: x").status == 200
        front.popen.send_signal(signal.SIGTERM)
        assert eventually(lambda: refused(front))
        reply = wire.request("GET /items/2 HTTP/1.1\nHost: x")
        assert (reply.json, reply.headers["connection"]) == ({"name": "2"}, "close")
        assert witness.ended()
        assert front.popen.wait(10) == 0
        wire.close()
        witness.close()


def test_front_drains_when_its_supervisor_is_gone() -> None:
    """The pipe's end is all that a kill -9 of the supervisor leaves; the variables are not passed on."""
    with process() as front:
        os.close(front.parent_fd)
        front.parent_fd = -1
        assert front.popen.wait(10) == 0
        assert front.stdout.read() == "False\n"


@pytest.mark.slow
def test_front_ends_in_time_although_a_handler_hangs() -> None:
    """Within 10 s, with exit code 0; the caller is not told that it succeeded."""
    with process("never") as front, ThreadPoolExecutor(1) as pool:
        wire = front.wire()
        waiting = pool.submit(wire.request, "GET /hang HTTP/1.1\nHost: x")
        echo = front.wire()
        assert echo.request("GET /items/1 HTTP/1.1\nHost: x").status == 200
        began_s = time.monotonic()
        front.popen.send_signal(signal.SIGTERM)
        assert waiting.result(15).status == 503
        assert front.popen.wait(15) == 0
        assert time.monotonic() - began_s < 10.5
        wire.close()
        echo.close()


def refused(front: Process) -> bool:
    """Whether the front accepts no more connections."""
    try:
        front.wire().close()
    except ConnectionRefusedError:
        return True
    return False
