"""Signals as something to select on: a handler that only writes a byte cannot interrupt anything half done."""

import os
import signal
from types import TracebackType

STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
RESTART = signal.SIGUSR1
"""Start the processes anew: `move-store` has changed the store."""


class Signals:
    """Collects STOP, RESTART and SIGCHLD while it is open; use it in a with statement, in the main thread.

    Attributes:
        fd: Readable when a signal has come.
    """

    def __enter__(self) -> "Signals":
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        self._wakeup_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in (*STOP, RESTART, signal.SIGCHLD)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._write_fd)

    def received(self) -> frozenset[signal.Signals]:
        """The signals that have come since the last call."""
        try:
            return frozenset(map(signal.Signals, os.read(self.fd, 4096)))
        except BlockingIOError:
            return frozenset()
