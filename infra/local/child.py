"""What the supervisor and its processes say to each other, over two inherited pipes and one signal.

* A process writes ``ready`` to the pipe IOTFLOW_READY_FD when it can serve.
* SIGTERM or SIGINT, or the end of the pipe IOTFLOW_PARENT_FD (the supervisor is gone, even by kill -9), tells it to
  drain: finish what was begun, take nothing new, exit.

Both variables are absent when a process is started by hand; then only the signals count.
"""

import os
import select
import signal
import threading
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from types import FrameType

READY_FD = "IOTFLOW_READY_FD"
PARENT_FD = "IOTFLOW_PARENT_FD"


class Child:
    """This process as the supervisor sees it. Make one, in the main thread, before anything else starts.

    Args:
        environment: Both variables are taken out of it, so that grandchildren do not inherit them.

    Attributes:
        draining: Set once, when the process shall end. Wait on it instead of sleeping.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self.draining = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._ready_fd = _descriptor(environment, READY_FD)
        self._parent_fd = _descriptor(environment, PARENT_FD)
        self._signalled, self._signal = os.pipe()
        os.set_blocking(self._signal, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._watch, name="drain-watch", daemon=True).start()

    def ready(self) -> None:
        """Tell the supervisor that this process can serve; only the first call does."""
        if self._ready_fd is None:
            return
        descriptor, self._ready_fd = self._ready_fd, None
        with suppress(BrokenPipeError):  # the supervisor died meanwhile: the other pipe tells
            os.write(descriptor, b"ready\n")
        os.close(descriptor)

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call *callback* once, from another thread, when draining begins; at once if it has begun."""
        with self._lock:
            if not self.draining.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def drain(self) -> None:
        """Begin to drain, as a signal would."""
        with self._lock:
            self.draining.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Only a write here: setting an Event in a signal handler can dead-lock with the thread that waits on it.
        with suppress(BlockingIOError):  # the pipe is full of earlier signals
            os.write(self._signal, b"!")

    def _watch(self) -> None:
        sources = [self._signalled] if self._parent_fd is None else [self._signalled, self._parent_fd]
        select.select(sources, [], [])  # nobody ever writes to the parent's pipe: readable means its end
        self.drain()


def _descriptor(environment: MutableMapping[str, str], name: str) -> int | None:
    text = environment.pop(name, None)
    if text is None:
        return None
    descriptor = int(text)
    os.set_inheritable(descriptor, False)
    return descriptor
