"""From readings to rows for the server: many at once where they fit a shape, the others value by value."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from chalicelib.adapters import iotdb_columns as columns
from chalicelib.adapters import iotdb_frames as frames
from chalicelib.adapters.iotdb_columns import Shape
from chalicelib.adapters.iotdb_frames import Rows
from chalicelib.adapters.iotdb_layout import Known, Layouts
from chalicelib.model import MAX_INT64, MIN_INT64, Reading, Value
from chalicelib.ports import Rejected
from chalicelib.storable import find_flaw

MAX_ROWS = 5_000
MAX_BYTES = 1_000_000
"""Of one call; 12 MB and more were never answered, and 200 MB killed the server."""


class Batch(NamedTuple):
    """Readings, their places in the caller's list, and each as a row for the server."""

    readings: Sequence[Reading]
    positions: Sequence[int]
    rows: Rows

    def part(self, begin: int, end: int) -> "Batch":
        """Readings from *begin* up to but without *end*."""
        return Batch(self.readings[begin:end], self.positions[begin:end], self.rows.part(begin, end))

    def without(self, places: Collection[int]) -> "Batch":
        """All but some readings."""
        if not places:
            return self
        kept = [place for place in range(len(self.readings)) if place not in places]
        readings = [self.readings[place] for place in kept]
        return Batch(readings, [self.positions[place] for place in kept], self.rows.only(kept))

    def halves(self) -> "tuple[Batch, Batch]":
        """The first and the second half."""
        middle = len(self.readings) // 2
        return self.part(0, middle), self.part(middle, len(self.readings))

    def calls(self) -> "Iterator[Batch]":
        """Cut into calls of at most `MAX_ROWS`, and of at most `MAX_BYTES` unless a single row is larger."""
        count = len(self.readings)
        if count > 1 and (count > MAX_ROWS or self.rows.size_bytes() > MAX_BYTES):
            for half in self.halves():
                yield from half.calls()
        elif count:
            yield self


class Encoder:
    """Makes rows of readings.

    Args:
        layouts: What series there are; the encoder adds to it.
    """

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts

    def encode(self, readings: Sequence[Reading], positions: Sequence[int]) -> tuple[Batch, list[Rejected]]:
        """The rows of the readings that can be stored, and the others, each with its one of *positions*.

        Raises:
            Unavailable: The server was asked for its series, and did not answer.
        """
        if not readings:
            return Batch(readings, positions, Rows((), (), (), ())), []
        devices, times_ms, given = zip(*readings, strict=True)
        with self._layouts.lock:
            known = self._layouts.of(devices)
            shapes, values = _packed(given, known)
            flaws: dict[int, str] = {}
            for place in [place for place, shape in enumerate(shapes) if shape is None]:
                flaw = find_flaw(readings[place])
                if flaw is None:
                    shapes[place], values[place] = self._placed(readings[place], known[place])
                else:
                    flaws[place] = flaw
        if min(times_ms) < MIN_INT64 or max(times_ms) > MAX_INT64:
            flaws |= {place: flaw for place, one in enumerate(readings) if (flaw := find_flaw(one)) is not None}
        names = [b"" if shape is None else shape.names for shape in shapes]
        batch = Batch(readings, positions, Rows([each.fragment for each in known], names, values, times_ms))
        return batch.without(flaws), [Rejected(positions[place], flaw) for place, flaw in flaws.items()]

    def _placed(self, reading: Reading, known: Known) -> tuple[Shape, bytes]:
        """One row, value by value; adds the series that it needs."""
        if not reading.values.keys() <= known.layout.keys():
            self._layouts.introduce(reading, known)
        nodes: list[str] = []
        values: list[bytes] = []
        for name, value in reading.values.items():
            known.layout[name].place(value, nodes, values)
        known.shapes.clear()
        return Shape(frames.names(nodes)), frames.values(b"".join(values))


Values = Mapping[str, Value]


def _packed(given: Sequence[Values], known: Sequence[Known]) -> tuple[list[Shape | None], list[bytes]]:
    """The shapes of all rows, and the values of those that fit theirs.

    A row that fits none has None, and so has every other row of its device: what it adds to the device's series may
    be needed by the rows after it.
    """
    shapes = [
        each.shapes.get(names := tuple(values)) or _shape(each, names)
        for each, values in zip(known, given, strict=True)
    ]
    tables = _tables(shapes, given)
    apart = {known[place] for place, shape in enumerate(shapes) if shape is None} if None in shapes else set()
    for shape, (places, table) in tables.items():
        apart |= {known[places[row]] for row in columns.misfits(shape, table)}
    if apart:
        shapes = [None if each in apart else shape for each, shape in zip(known, shapes, strict=True)]
        tables = _tables(shapes, given)
    packed = [b""] * len(given)
    for shape, (places, table) in tables.items():
        for place, row in zip(places, columns.pack(shape, table), strict=True):
            packed[place] = row
    return shapes, packed


def _shape(known: Known, names: tuple[str, ...]) -> Shape | None:
    shape = columns.shape_of([known.layout.get(name) for name in names])
    if shape is not None:
        known.shapes[names] = shape
    return shape


def _tables(
    shapes: Sequence[Shape | None], given: Sequence[Values]
) -> dict[Shape, tuple[Sequence[int], columns.Table]]:
    """By shape, the places of its rows, and their values by column."""
    distinct = set(shapes)
    if len(distinct) == 1:  # as a queue has it when all devices are of one kind
        return {shape: (range(len(given)), columns.table(shape, given)) for shape in distinct if shape is not None}
    places: defaultdict[Shape, list[int]] = defaultdict(list)
    for place, shape in enumerate(shapes):
        if shape is not None:
            places[shape].append(place)
    return {shape: (found, columns.table(shape, [given[place] for place in found])) for shape, found in places.items()}
