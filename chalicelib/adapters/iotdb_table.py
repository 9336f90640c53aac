"""From the columns of an answer to measurements: which columns belong together, and what a row of them means."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from chalicelib.adapters.iotdb_blocks import DOUBLE, FLOAT, STRING, TEXT, TYPE_NUMBERS, Block
from chalicelib.adapters.iotdb_connection import Column
from chalicelib.adapters.iotdb_names import SeriesName
from chalicelib.adapters.iotdb_types import EXACT, KIND, TAGS, Kind, choose
from chalicelib.model import Value


class Source(NamedTuple):
    """Where one measurement is in a block: place by type, and the place of its kinds."""

    measurement: str
    places: dict[int, int]
    kind: int | None

    def values(self, block: Block) -> list[Any]:
        """The measurement's value in each row, None where it has none."""
        columns = {number: block.columns[place] for number, place in self.places.items()}
        if len(columns) == 1 and FLOAT not in columns:
            ((number, column),) = columns.items()
            return self._restored(column, block) if number == DOUBLE else column
        kinds = [None] * len(block.times) if self.kind is None else block.columns[self.kind]
        numbers = tuple(columns)
        rows = zip(*columns.values(), strict=True) if columns else iter([()] * len(kinds))
        return [choose(dict(zip(numbers, row, strict=True)), kind) for row, kind in zip(rows, kinds, strict=True)]

    def _restored(self, column: list[Any], block: Block) -> list[Any]:
        """`choose`, where there is but one series, of numbers."""
        if self.kind is None:
            return [
                value if value is None or not value.is_integer() or abs(value) > EXACT else int(value)
                for value in column
            ]
        return [
            value if kind == Kind.FLOAT or value is None or not value.is_integer() or abs(value) > EXACT else int(value)
            for value, kind in zip(column, block.columns[self.kind], strict=True)
        ]


def sources(columns: Iterable[Column]) -> list[Source]:
    """Group an answer's columns, in the order of their measurements' names."""
    places: defaultdict[str, dict[int, int]] = defaultdict(dict)
    kinds: dict[str, int] = {}
    for column in columns:
        name = node_of(column.name)
        if name.tag == KIND:
            kinds[name.measurement] = column.place
            continue
        number = TYPE_NUMBERS[column.type_name]
        places[name.measurement][STRING if number == TEXT else number] = column.place
    return [Source(name, places[name], kinds.get(name)) for name in sorted(places)]


def node_of(series: str) -> SeriesName:
    """The measurement and tag of a series, by its full path."""
    return SeriesName.decode(series.rpartition(".")[2].strip("`"))


def nodes_for(measurements: Iterable[str]) -> list[str]:
    """Every series that these measurements may have; those that they do not have the server leaves out."""
    tags = ["", *TAGS.values(), KIND]
    return [SeriesName(name, tag).encode() for name in dict.fromkeys(measurements) for tag in tags]


def rows(columns: Sequence[Column], blocks: Iterable[Block]) -> Iterator[tuple[int, dict[str, Value]]]:
    """Time in ms and values of each row that has any."""
    found = sources(columns)
    names = [source.measurement for source in found]
    if len(found) == 1:  # a page of one measurement, by far the most common: a third of the time
        (name,) = names
        for block in blocks:
            column = found[0].values(block)
            yield from [(at, {name: value}) for at, value in zip(block.times, column, strict=True) if value is not None]
        return
    for block in blocks:
        table = zip(*(source.values(block) for source in found), strict=True)
        for timestamp_ms, row in zip(block.times, table, strict=False):  # no columns, no rows
            if None not in row:
                yield timestamp_ms, dict(zip(names, row, strict=True))
            elif any(value is not None for value in row):
                yield timestamp_ms, {name: value for name, value in zip(names, row, strict=True) if value is not None}
