"""Runs many devices: a heap of who is due when, and a few threads that serve whoever is."""

import heapq
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from simulators.device import SimulatedDevice
from simulators.timeline import Timeline

INTERRUPTED_PATIENCE_S = 5.0
"""How long an interrupted run still tries to deliver what is waiting."""


class FleetRun:
    """One run of a fleet. Each device is in the heap or with one thread, so it needs no lock of its own.

    Args:
        devices: who takes part.
        timeline: when the run ends.
        clock: real time, epoch seconds.
        workers: how many devices are served at once.
        patience_s: after its end the run goes on as long as the service takes something at least this often.
    """

    def __init__(
        self,
        devices: Sequence[SimulatedDevice],
        timeline: Timeline,
        *,
        clock: Callable[[], float],
        workers: int,
        patience_s: float,
    ) -> None:
        self._timeline = timeline
        self._clock = clock
        self._workers = min(workers, len(devices)) or 1
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._heap = [(clock(), number, device) for number, device in enumerate(devices)]
        self._unfinished = len(devices)
        self._deadline_s = timeline.wall_end_s + patience_s
        self._devices = devices
        self._pool: ThreadPoolExecutor | None = None
        self._futures: list[Future[None]] = []

    def start(self) -> None:
        """Start to serve the devices, and return."""
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="fleet")
        self._futures = [self._pool.submit(self._work) for _ in range(self._workers)]

    def wait(self, timeout_s: float) -> bool:
        """Return True once the run is over, False when it is not after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(self._over, timeout_s)

    def interrupt(self) -> None:
        """End the run early: make nothing more, and deliver what is waiting within a few seconds."""
        with self._changed:
            self._timeline.interrupt(self._clock())
            self._patience_s = 0.0
            self._deadline_s = self._clock() + INTERRUPTED_PATIENCE_S
            self._heap = [(self._clock(), number, device) for _, number, device in self._heap]
            heapq.heapify(self._heap)
            self._changed.notify_all()

    def abandon(self) -> None:
        """End the run at once."""
        with self._changed:
            self._deadline_s = 0.0
            self._patience_s = 0.0
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait for requests under way and settle every device's counts. Raises what a thread raised."""
        if self._pool is not None:
            self._pool.shutdown()
        for future in self._futures:
            future.result()
        for device in self._devices:
            device.settle()

    def _over(self) -> bool:
        return self._unfinished == 0 or self._clock() >= self._deadline_s

    def _work(self) -> None:
        try:
            while (entry := self._take()) is not None:
                number, device = entry
                before = device.progress
                due_s = device.step()
                self._put_back(due_s, number, device, progressed=device.progress > before)
        except BaseException:
            self.abandon()
            raise

    def _take(self) -> tuple[int, SimulatedDevice] | None:
        """Wait for the next device that is due; None when the run is over."""
        with self._changed:
            while not self._over():
                now_s = self._clock()
                if self._heap and self._heap[0][0] <= now_s:
                    _, number, device = heapq.heappop(self._heap)
                    return number, device
                next_s = min(self._heap[0][0], self._deadline_s) if self._heap else self._deadline_s
                self._changed.wait(next_s - now_s)
            self._changed.notify_all()
            return None

    def _put_back(self, due_s: float | None, number: int, device: SimulatedDevice, *, progressed: bool) -> None:
        with self._changed:
            if progressed:
                self._deadline_s = max(self._deadline_s, self._clock() + self._patience_s)
            if due_s is None:
                self._unfinished -= 1
                if self._unfinished == 0:
                    self._changed.notify_all()
                return
            heapq.heappush(self._heap, (due_s, number, device))
            if self._heap[0][2] is device:
                self._changed.notify()
