"""A writer that goes on through faults, and remembers what was acknowledged and how often it was not."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading

DEVICES = [DeviceRef("default", number) for number in range(1, 7)]
BATCH = 20


class Stream:
    """Writes batch after batch of all devices in a thread.

    Args:
        open_store: Makes the store that it writes to.
        name: The measurement.

    Attributes:
        acknowledged: Numbers that were stored for every device.
        failures: Writes that ended with an error.
    """

    def __init__(self, open_store: Callable[[], IotdbReadings], name: str) -> None:
        self._open_store = open_store
        self._name = name
        self.acknowledged: list[int] = []
        self.failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def wait_for(self, batches: int, deadline_s: float = 120.0) -> None:
        """Return when so many more are acknowledged."""
        wanted = len(self.acknowledged) + batches * BATCH
        end_s = time.monotonic() + deadline_s
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < end_s, "writes do not come back"
            time.sleep(0.005)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    def _write(self) -> None:
        store, first = self._open_store(), 0
        while not self._stop.is_set():
            numbers = range(first, first + BATCH)
            rows = [Reading(device, n, {self._name: n}) for device in DEVICES for n in numbers]
            try:
                assert store.write(rows) == []
            except Unavailable:
                self.failures += 1
                continue
            self.acknowledged += numbers
            first += BATCH
        store.close()


def stored(store: IotdbReadings, name: str) -> set[tuple[DeviceRef, int]]:
    """Device and number of everything that can be read now."""
    return {
        (device, reading.timestamp_ms)
        for device in DEVICES
        for reading in store.read(device, start_ms=0, end_ms=10**9, limit=10**6, measurements=[name])
        if reading.values == {name: reading.timestamp_ms}
    }
