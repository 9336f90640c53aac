"""Which series each device has, asked of the server once and remembered, so that a wrong type is rare."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_names import SeriesName, quoted
from chalicelib.adapters.iotdb_types import Slots

MAX_AGE_S = 300.0
"""What other processes add is known after so long; until then only a type that the server refuses is looked up."""
MAX_DEVICES = 100_000
_ASK_EACH = 8
"""Up to so many new devices are asked for one by one, more with one question for all."""

Layout = dict[str, Slots]
"""Measurement -> its series."""


class Layouts:
    """Series by device path. Hold `lock` while using what `of` returns, for writers change it."""

    def __init__(self, client: Client, database: str) -> None:
        self.lock = threading.RLock()
        self._client = client
        self._database = database
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

    def forget(self, devices: Iterable[str]) -> None:
        """Ask for them again before the next write."""
        with self.lock:
            for device in devices:
                self._known.pop(device, None)

    def _ask(self, path: str) -> None:
        for device, layout in series_below(self._client, path).items():
            self._known.setdefault(device, layout)


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
