"""Which series each device has, asked of the server once and remembered, so that a wrong type is rare."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from chalicelib.adapters import iotdb_frames as frames
from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_columns import Shape
from chalicelib.adapters.iotdb_names import SeriesName, device_path, encode, quoted
from chalicelib.adapters.iotdb_status import Refusal
from chalicelib.adapters.iotdb_types import EXACT, Slots
from chalicelib.model import Declared, DeviceRef, MeasurementType, Reading, Value

MAX_AGE_S = 300.0
"""What other processes add is known after so long; until then only a type that the server refuses is looked up."""
MAX_DEVICES = 100_000
_ASK_EACH = 8
"""Up to so many new devices are asked for one by one, more with one question for all."""

Layout = dict[str, Slots]
"""Measurement -> its series."""

Declarations = Callable[[DeviceRef], Declared]
"""What is declared of a device's measurements."""


class Known:
    """What is known of one device.

    Attributes:
        path: Of the device.
        fragment: Its path, as it goes on the wire.
        layout: Its series; whoever adds some clears `shapes`.
        shapes: By names of measurements, what rows of them look like.
    """

    __slots__ = ("fragment", "layout", "path", "shapes")

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self.fragment = frames.text(path)
        self.layout = layout
        self.shapes: dict[tuple[str, ...], Shape] = {}


class Layouts:
    """Series by device. Hold `lock` while using what `of` returns, for writers change it.

    Args:
        client: The calls.
        database: Path of the database.
        declared: Asked when a device has a new measurement.
    """

    def __init__(self, client: Client, database: str, declared: Declarations) -> None:
        self.lock = threading.RLock()
        self._client = client
        self._database = database
        self._declared = declared
        self._known: dict[DeviceRef, Known] = {}
        self._since_s = time.monotonic()

    def of(self, devices: Sequence[DeviceRef]) -> list[Known]:
        """What is known of each; asks for those that are new.

        Raises:
            Unavailable: The server does not answer.
        """
        with self.lock:
            if time.monotonic() - self._since_s > MAX_AGE_S or len(self._known) > MAX_DEVICES:
                self._known = {}
                self._since_s = time.monotonic()
            try:
                return [self._known[device] for device in devices]
            except KeyError:
                self._load({device for device in devices if device not in self._known})
            return [self._known[device] for device in devices]

    def introduce(self, reading: Reading, known: Known) -> None:
        """Add all measurements of the reading that are new to its device.

        A series is made by its first value, but one whose type is declared is made here: the server would take some
        values of that type for a series that another process just made with another type, and change them silently.
        """
        new = {name: value for name, value in reading.values.items() if name not in known.layout}
        wanted = _types(new, self._declared(reading.device))
        if wanted:
            try:
                self._client.execute(_creation(known.path, wanted))
            except Refusal as refused:
                if not refused.is_already_there:
                    raise
                known.layout = series_below(self._client, known.path).get(known.path, {})
                if not wanted.keys() <= known.layout.keys():  # nothing is made when one of them is there
                    return self.introduce(reading, known)
            else:
                for name, declared in wanted.items():
                    known.layout.setdefault(name, Slots(name)).declare(declared)
        for name in new:
            known.layout.setdefault(name, Slots(name))
        return None

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        """Ask for them again before the next write."""
        with self.lock:
            for device in devices:
                self._known.pop(device, None)

    def _load(self, missing: Iterable[DeviceRef]) -> None:
        paths = {device: device_path(self._database, device) for device in missing}
        found: dict[str, Layout] = {}
        for path in [self._database] if len(paths) > _ASK_EACH else paths.values():
            found |= series_below(self._client, path)
        for device, path in paths.items():
            self._known[device] = Known(path, found.get(path, {}))


def _types(new: Mapping[str, Value], declared: Declared) -> dict[str, MeasurementType]:
    """Types of the series that are to be made before a value is sent; an integer beyond 2^53 is one that converts."""
    wanted = {name: declared[name] for name in new if name in declared}
    for name, value in new.items():
        if type(value) is int and not -EXACT <= value <= EXACT:
            wanted.setdefault(name, MeasurementType.INT64)
    return wanted


def _creation(device: str, wanted: Declared) -> str:
    columns = ", ".join(f"`{encode(name)}` {declared}" for name, declared in wanted.items())
    return f"CREATE ALIGNED TIMESERIES {quoted(device)}({columns})"


def series_below(client: Client, path: str) -> dict[str, Layout]:
    """What the server has below a device or the whole database."""
    found: defaultdict[str, Layout] = defaultdict(dict)
    answer = client.rows(f"SHOW TIMESERIES {quoted(path)}.**")
    places = {column.name: column.place for column in answer.columns}
    for block in answer.blocks:
        for series, type_name in zip(
            block.columns[places["Timeseries"]], block.columns[places["DataType"]], strict=True
        ):
            device, _, node = series.replace("`", "").rpartition(".")
            name = SeriesName.decode(node)
            slots = found[device].setdefault(name.measurement, Slots(name.measurement))
            slots.add(node, name.tag, type_name)
    return found
