"""Which series each device has, asked of the server once and remembered, so that a wrong type is rare."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_names import SeriesName, encode, quoted
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


class Layouts:
    """Series by device path. Hold `lock` while using what `of` returns, for writers change it.

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
        self._known: dict[str, Layout] = {}
        self._since_s = time.monotonic()

    def load(self, devices: Iterable[str]) -> None:
        """Ask for those that are not known."""
        with self.lock:
            if time.monotonic() - self._since_s > MAX_AGE_S or len(self._known) > MAX_DEVICES:
                self._known.clear()
                self._since_s = time.monotonic()
            missing = [device for device in devices if device not in self._known]
            if len(missing) > _ASK_EACH:
                self._ask(self._database)
            else:
                for device in missing:
                    self._ask(device)
            for device in missing:
                self._known.setdefault(device, {})

    def of(self, device: str) -> Layout:
        """The device's series, to be added to."""
        return self._known.setdefault(device, {})

    def introduce(self, reading: Reading, device: str) -> Layout:
        """The device's series, with all that the reading adds to them.

        A series is made by its first value, but one whose type is declared is made here: the server would take some
        values of that type for a series that another process just made with another type, and change them silently.
        """
        layout = self.of(device)
        new = {name: value for name, value in reading.values.items() if name not in layout}
        wanted = _types(new, self._declared(reading.device))
        if wanted:
            try:
                self._client.execute(_creation(device, wanted))
            except Refusal as refused:
                if not refused.is_already_there:
                    raise
                self.forget([device])
                self.load([device])
                layout = self.of(device)
                if not wanted.keys() <= layout.keys():  # nothing is made when one of them is there
                    return self.introduce(reading, device)
            else:
                for name, declared in wanted.items():
                    layout.setdefault(name, Slots(name)).declare(declared)
        for name in new:
            layout.setdefault(name, Slots(name))
        return layout

    def forget(self, devices: Iterable[str]) -> None:
        """Ask for them again before the next write."""
        with self.lock:
            for device in devices:
                self._known.pop(device, None)

    def _ask(self, path: str) -> None:
        for device, layout in series_below(self._client, path).items():
            self._known.setdefault(device, layout)


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
