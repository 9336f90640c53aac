"""Counters in DynamoDB."""

import json
from collections import defaultdict
from typing import NamedTuple

from chalicelib.adapters.count_buffer import CountBuffer
from chalicelib.adapters.dynamo_requests import Item, Key, ordered, path, update
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.memory_counters import hour_of
from chalicelib.ports import Labels

EVERY_MS = 60_000
_TOTALS = "totals"
_ADD = "ADD #amount :amount SET #name = :name, #labels = :labels"


class _Counted(NamedTuple):
    """One item: a counter in total, or its count of an hour."""

    key: Key
    name: str
    labels: str


class DynamoCounters:
    """Counts in total and by hour, summed over all processes.

    Each process buffers up to a minute: a function that is called every few seconds would otherwise pay six writes for
    each call, more than for everything else in it. The counts of its last minute go with it. A write whose answer is
    lost is written again: its counts may then be in twice.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._buffer: CountBuffer[_Counted] = CountBuffer(self._write, every_ms=EVERY_MS)

    def add(self, name: str, labels: Labels = (), amount: float = 1, *, now_ms: int) -> None:
        text = json.dumps(labels, separators=(",", ":"))
        total = _Counted(Key(_TOTALS, path(name, text)), name, text)
        hour = _Counted(Key(path("hours", name), path(ordered(hour_of(now_ms)), text)), name, text)
        self._buffer.add(amount, total, hour, now_ms=now_ms)

    def flush(self) -> None:
        """Make buffered counts visible to everybody.

        Raises:
            Unavailable: They stay buffered.
        """
        self._buffer.flush()

    def totals(self) -> dict[tuple[str, Labels], float]:
        self.flush()
        items = self._table.query("#pk = :pk", pk=_TOTALS)
        return {(item["name"], _labels(item)): item["amount"] for item in items}

    def since(self, name: str, *, since_ms: int) -> dict[Labels, float]:
        self.flush()
        sums: defaultdict[Labels, float] = defaultdict(float)
        first = ordered(hour_of(since_ms))
        for item in self._table.query("#pk = :pk AND #sk >= :first", pk=path("hours", name), first=first):
            sums[_labels(item)] += item["amount"]
        return dict(sums)

    def expire(self, *, before_ms: int) -> None:
        first = ordered(hour_of(before_ms))
        for name in sorted({name for name, _ in self.totals()}):
            old = self._table.query("#pk = :pk AND #sk < :first", pk=path("hours", name), first=first)
            self._table.delete_many([Key(item["pk"], item["sk"]) for item in old])

    def _write(self, counts: dict[_Counted, float]) -> None:
        def write(counted: _Counted) -> None:
            amount, name, labels = counts[counted], counted.name, counted.labels
            self._table.write(update(counted.key, _ADD, amount=amount, name=name, labels=labels))
            del counts[counted]

        self._table.each(write, list(counts))


def _labels(item: Item) -> Labels:
    return tuple((name, value) for name, value in json.loads(item["labels"]))
