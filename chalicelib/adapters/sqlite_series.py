"""Which integer id a device's measurement has in the embedded store, remembered in the process for the write path."""

import sqlite3
from typing import NamedTuple

from chalicelib.model import DeviceRef

_MAX_KNOWN_DEVICES = 100_000


class KnownDevice(NamedTuple):
    """A device's key, and measurement -> series id of those seen so far."""

    key: int
    series: dict[str, int]


class SeriesIds:
    """Ids as the file has them, found or given within a write transaction.

    The file counts its purges, the only thing that removes ids: when the number has changed, in whatever process,
    everything is looked up again. Ids are never reused.
    """

    def __init__(self) -> None:
        self._purges = 0
        self._devices: dict[DeviceRef, KnownDevice] = {}

    def begin(self, connection: sqlite3.Connection) -> None:
        """Forget what another process may have removed; call it first in every write transaction."""
        (purges,) = connection.execute("SELECT done FROM purges").fetchone()
        if purges != self._purges or len(self._devices) > _MAX_KNOWN_DEVICES:
            self.forget()
            self._purges = purges

    def forget(self) -> None:
        """Look everything up again: also after a rollback, which takes new ids back."""
        self._devices.clear()

    def device(self, connection: sqlite3.Connection, device: DeviceRef) -> KnownDevice:
        """The device's ids; it gets a key if it has none."""
        known = self._devices.get(device)
        if known is None:
            key = find_key(connection, device)
            if key is None:
                key = connection.execute("INSERT INTO device (tenant, id) VALUES (?, ?)", device).lastrowid or 0
            known = self._devices[device] = KnownDevice(key, find_series(connection, key))
        return known

    def add(self, connection: sqlite3.Connection, known: KnownDevice, measurement: str) -> int:
        """The id of a measurement that is not in `known.series`; it gets one unless another process gave it."""
        new = (known.key, measurement)
        connection.execute("INSERT INTO series (device, measurement) VALUES (?, ?) ON CONFLICT DO NOTHING", new)
        found = connection.execute("SELECT id FROM series WHERE device = ? AND measurement = ?", new).fetchone()
        series = known.series[measurement] = int(found[0])
        return series


def find_key(connection: sqlite3.Connection, device: DeviceRef) -> int | None:
    """The device's key in the file, None if it never wrote."""
    row = connection.execute("SELECT key FROM device WHERE tenant = ? AND id = ?", device).fetchone()
    return None if row is None else int(row[0])


def find_series(connection: sqlite3.Connection, key: int) -> dict[str, int]:
    """Measurement -> series id of a device, in the order in which they first came."""
    return dict(
        connection.execute("SELECT measurement, id FROM series WHERE device = ? ORDER BY id", (key,)).fetchall()
    )
