"""A gate before the store of one machine, so that telemetry can move to another store while devices send.

The gate is a file in the data directory that says which store has the telemetry; while it is empty, the one that is
configured has. Every write holds a shared lock on it. `move-store` takes the exclusive one: it then waits for writes
under way, and later ones are refused as `Unavailable`, so that the queue keeps their readings. When it writes another
name into the file, processes that still work with the old store cannot write any more. Killed, it lets go of the lock.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from chalicelib.aggregates import AggregateQuery, AggregateRow, Survey
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading, Value
from chalicelib.ports import ReadingStore, Rejected

FILE = "store"
_LONGEST = 64


class Home(NamedTuple):
    """Which store has the telemetry, and to which it is being copied; empty when nothing was ever moved."""

    store: str = ""
    copying_to: str = ""


def read_home(path: Path) -> Home:
    """What the file says; nothing if there is none."""
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return Home()


def open_gate(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the file, which is made when missing; others may read it, whoever makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o644)


def write_home(descriptor: int, home: Home) -> None:
    """Replace what the file says, durably; hold the exclusive lock."""
    os.pwrite(descriptor, f"{' '.join(home)}".ljust(_LONGEST).encode(), 0)
    os.fsync(descriptor)


class GatedReadings:
    """A store whose writes and deletes pass the gate.

    Args:
        store: The store.
        name: Its name in the file.
        gate: The file.
    """

    def __init__(self, store: ReadingStore, name: str, gate: Path) -> None:
        self._store = store
        self._name = name
        self._gate = gate

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        with self._passing():
            return self._store.write(readings)

    def delete(
        self, device: DeviceRef, *, start_ms: int, end_ms: int, measurements: Sequence[str] | None = None
    ) -> int:
        with self._passing():
            return self._store.delete(device, start_ms=start_ms, end_ms=end_ms, measurements=measurements)

    def retain(self, longest: int, devices: Sequence[tuple[DeviceRef, int]], *, now_ms: int) -> int:
        with self._passing():
            return self._store.retain(longest, devices, now_ms=now_ms)

    def purge(self, device: DeviceRef) -> None:
        with self._passing():
            self._store.purge(device)

    def read(
        self,
        device: DeviceRef,
        *,
        start_ms: int,
        end_ms: int,
        limit: int,
        newest_first: bool = False,
        measurements: Sequence[str] | None = None,
    ) -> list[Reading]:
        return self._store.read(
            device,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=limit,
            newest_first=newest_first,
            measurements=measurements,
        )

    def latest(self, device: DeviceRef) -> dict[str, tuple[int, Value]]:
        return self._store.latest(device)

    def aggregate(self, device: DeviceRef, query: AggregateQuery) -> list[AggregateRow]:
        return self._store.aggregate(device, query)

    def survey(self, devices: Sequence[DeviceRef], *, start_ms: int, end_ms: int) -> Survey:
        return self._store.survey(devices, start_ms=start_ms, end_ms=end_ms)

    def count(self, device: DeviceRef) -> int:
        return self._store.count(device)

    def check(self) -> None:
        self._store.check()

    def risks(self) -> list[str]:
        return self._store.risks()

    @contextmanager
    def _passing(self) -> Iterator[None]:
        try:
            descriptor = open_gate(self._gate)
        except OSError as error:
            message = "The data directory does not answer"
            raise Unavailable(message) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            home = _parsed(os.pread(descriptor, _LONGEST, 0))
            if home.store not in {"", self._name}:
                message = "Telemetry has moved to another store, and this process still works with the old one"
                raise Unavailable(message)
            yield
        except BlockingIOError:
            message = "Telemetry is being moved to another store"
            raise Unavailable(message) from None
        finally:
            os.close(descriptor)


def _parsed(content: bytes) -> Home:
    return Home(*content.decode().split()[: len(Home._fields)])
