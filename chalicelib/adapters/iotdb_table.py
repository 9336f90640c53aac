"""From the columns of an answer to measurements: which columns belong together, and what a row of them means."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from chalicelib.adapters.iotdb_blocks import STRING, TEXT, TYPE_NUMBERS, Block
from chalicelib.adapters.iotdb_connection import Column
from chalicelib.adapters.iotdb_names import SeriesName
from chalicelib.adapters.iotdb_types import KIND, TAGS, choose, restore
from chalicelib.model import Value


class Source(NamedTuple):
    """Where one measurement is in a block: place by type, and the place of its kinds."""

    measurement: str
    places: dict[int, int]
    kind: int | None

    def values(self, block: Block) -> list[Any]:
        """The measurement's value in each row, None where it has none."""
        columns = {number: block.columns[place] for number, place in self.places.items()}
        if self.kind is None and len(columns) == 1:
            ((number, column),) = columns.items()
            return [None if value is None else restore(value, number, None) for value in column]
        kinds = [None] * len(block.times) if self.kind is None else block.columns[self.kind]
        numbers = tuple(columns)
        rows = zip(*columns.values(), strict=True) if columns else iter([()] * len(kinds))
        return [choose(dict(zip(numbers, row, strict=True)), kind) for row, kind in zip(rows, kinds, strict=True)]


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
    for block in blocks:
        table = zip(*(source.values(block) for source in found), strict=True)
        for timestamp_ms, row in zip(block.times, table, strict=False):  # no columns, no rows
            values = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            if values:
                yield timestamp_ms, values
