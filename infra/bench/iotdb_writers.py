"""Who writes to IoTDB in `bench iotdb`: this adapter, the official client, and prepared frames, the limit."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby

from chalicelib.adapters.iotdb_client import Node
from chalicelib.adapters.iotdb_connection import Connection
from chalicelib.adapters.iotdb_frames import rows
from chalicelib.adapters.iotdb_readings import DATABASE, IotdbReadings
from chalicelib.adapters.iotdb_types import encode
from chalicelib.model import DEFAULT_TENANT, DeviceRef, Reading
from infra.iotdb.server import HOST, Server

DEVICES = 200
TIMEOUT_S = 60.0

Batch = list[Reading]


def device(number: int) -> DeviceRef:
    """One of the fleet."""
    return DeviceRef(DEFAULT_TENANT, 1 + number % DEVICES)


def readings(count: int, clock_ms: Iterator[int]) -> Batch:
    """Readings of five values, of all devices in turn, as an office's sensors send them: two decimals and a switch."""
    batch = []
    for number in range(count):
        now_ms = next(clock_ms)
        step = now_ms // 1000
        values = {
            "temperature": 20 + step * 7 % 997 / 100 + 0.005,
            "humidity": 40 + step * 11 % 1999 / 100 + 0.005,
            "pressure": 1000 + step * 13 % 2999 / 100 + 0.005,
            "battery": 80 + step * 3 % 1499 / 100 + 0.005,
            "online": step % 60 != 0,
        }
        batch.append(Reading(device(number), now_ms, values))
    return batch


def store(server: Server) -> IotdbReadings:
    """This adapter, as `up --store iotdb` makes it."""
    known = server.accounts()
    return IotdbReadings([Node(HOST, server.port)], known.access("writer"), administrator=known.access("root"))


class Official:
    """The official client as its documentation has it; the lists it wants are made of the same readings."""

    def __init__(self, server: Server) -> None:
        with warnings.catch_warnings():  # the package turns warnings on for the whole process
            from iotdb.Session import Session
            from iotdb.utils.IoTDBConstants import TSDataType
            from iotdb.utils.Tablet import Tablet
        access = server.accounts().access("writer")
        self._tablet = Tablet
        self._types = [TSDataType.DOUBLE] * 4 + [TSDataType.BOOLEAN]
        self._session = Session.init_from_node_urls(
            [f"{HOST}:{server.port}"],
            access.user,
            access.password,
            fetch_size=10_000,
            zone_id="UTC",
            enable_redirection=False,
            connection_timeout_in_ms=round(TIMEOUT_S * 1000),
        )
        self._session.open(False)

    def write(self, batch: Batch) -> None:
        """One call for all devices, in the form that costs one fsync."""
        self._session.insert_aligned_records(
            [f"{DATABASE}.devices.device_{reading.device.id}" for reading in batch],
            [reading.timestamp_ms for reading in batch],
            [list(reading.values) for reading in batch],
            [self._types for _ in batch],
            [list(reading.values.values()) for reading in batch],
        )

    def write_tablets(self, batch: Batch) -> None:
        """One call for all devices, in the form that costs an fsync for each."""
        by_device = groupby(sorted(batch, key=lambda reading: reading.device), lambda reading: reading.device)
        tablets = []
        for ref, group in by_device:
            listed = list(group)
            names, times_ms = list(listed[0].values), [reading.timestamp_ms for reading in listed]
            values = [list(reading.values.values()) for reading in listed]
            path = f"{DATABASE}.devices.device_{ref.id}"
            tablets.append(self._tablet(path, names, self._types, values, times_ms))
        self._session.insert_aligned_tablets(tablets)

    def rows(self, statement: str) -> int:
        """How many rows a query has, read the fastest way that the client has."""
        with self._session.execute_query_statement(statement) as found:
            return len(found.todf())

    def close(self) -> None:
        """Log out."""
        self._session.close()


class Replay:
    """A connection and nothing else: what is sent was made before."""

    def __init__(self, server: Server) -> None:
        self._connection = Connection(HOST, server.port, server.accounts().access("writer"))

    def prepared(self, batch: Batch) -> bytes:
        """The frame of a batch."""
        return self._connection.frame(
            rows(
                [f"{DATABASE}.devices.device_{reading.device.id}" for reading in batch],
                [reading.timestamp_ms for reading in batch],
                [list(reading.values) for reading in batch],
                [b"".join(encode(value)[1] for value in reading.values.values()) for reading in batch],
            )
        )

    def write(self, frame: bytes) -> None:
        """Send, and wait for the answer."""
        self._connection.send(frame, timeout_s=TIMEOUT_S)

    def close(self) -> None:
        """Log out."""
        self._connection.close()


def spread(batches: Sequence[Batch]) -> int:
    """How many values there are in all."""
    return sum(len(reading.values) for batch in batches for reading in batch)
