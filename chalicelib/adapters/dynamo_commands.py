"""Commands in DynamoDB; see `dynamo_command_items` for how they lie there."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import Any

from chalicelib.adapters import dynamo_command_items as items
from chalicelib.adapters.dynamo_command_items import Stored
from chalicelib.adapters.dynamo_requests import Item, Key, ordered, path
from chalicelib.adapters.dynamo_table import Table, again
from chalicelib.model import PENDING_STATUSES, Command, CommandStatus, DeviceRef

AT_ONCE = 24
"""Commands in one transaction of 100 writes: three each, and a tally for as many tenants."""
FEW_DEVICES = 8
"""The pending commands of so many devices are asked for one device at a time; of more, all of the tenant are read."""


class DynamoCommands:
    """`CommandRepository` in one DynamoDB table.

    One call of `add` is one transaction for every 24 commands. A call that failed in between is completed by the same
    call again, since an id that is there changes nothing.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, *commands: Command) -> None:
        unique = {(command.device, command.id): command for command in reversed(commands)}
        wanted = [command for command in commands if unique[command.device, command.id] is command]
        if not wanted:
            return
        first = self._table.next_number("commands", len(wanted)) - len(wanted) + 1
        placed = [Stored(command, position) for position, command in enumerate(wanted, first)]
        self._table.each(lambda chunk: again(lambda: self._add(chunk)), items.in_chunks(placed, AT_ONCE))

    def get(self, device: DeviceRef, command_id: str) -> Command | None:
        stored = self._stored(device, command_id)
        return None if stored is None else stored.command

    def pending(self, devices: Sequence[DeviceRef], *, now_ms: int, limit: int = 1000) -> list[Command]:
        waiting = sorted(self._waiting(devices, now_ms), key=itemgetter(1))[:limit]
        return [command for command in self._at(waiting) if command.pending(now_ms)]

    def queued(self, tenant: str, *, now_ms: int, limit: int = 10_000) -> list[Command]:
        waiting = sorted(_alive(self._entries(tenant), now_ms), key=itemgetter(1))
        return [command for command in self._at(waiting) if command.status is CommandStatus.QUEUED][:limit]

    def backlog(self, devices: Sequence[DeviceRef], *, now_ms: int) -> Mapping[DeviceRef, int]:
        return Counter(device for device, _ in self._waiting(devices, now_ms))

    def advance(
        self, device: DeviceRef, command_id: str, to: CommandStatus, *, now_ms: int, result: Any = None
    ) -> Command | None:
        return self._change(device, command_id, lambda command: command.advanced(to, now_ms=now_ms, result=result))

    def page(self, device: DeviceRef, *, before_id: str | None = None, limit: int = 100) -> list[Command]:
        condition, named = "#pk = :pk", {"pk": items.partition(device)}
        if before_id is not None:
            place = self._table.get(items.id_key(device, before_id))
            if place is None:
                return []
            condition, named = f"{condition} AND #sk < :before", {**named, "before": ordered(place["position"])}
        found = self._table.query(condition, last_first=True, limit=limit, **named)
        return [items.stored_of(item).command for item in islice(found, limit)]

    def counts(self, tenant: str) -> Mapping[CommandStatus, int]:
        tallies = [tally for tally in self._tallies() if tally["tenant"] == tenant]
        counted = {status: sum(tally.get(f"in_{status}", 0) for tally in tallies) for status in CommandStatus}
        return {status: number for status, number in counted.items() if number}

    def expire(self, *, now_ms: int) -> int:
        def expired(command: Command) -> Command | None:
            over = command.status in PENDING_STATUSES and not command.pending(now_ms)
            return replace(command, status=CommandStatus.EXPIRED, updated_ms=now_ms) if over else None

        number = 0
        for tenant in self._tenants():
            condition, where = "#pk = :pk", "#expires_ms <= :now"
            over = self._table.query(condition, where=where, pk=items.pending_partition(tenant), now=now_ms)
            for entry in list(over):
                device = DeviceRef(tenant, entry["device_id"])
                number += self._change(device, entry["id"], expired) is not None
        return number

    def forget(self, *, before_ms: int) -> int:
        old: list[Stored] = []
        for tenant in self._tenants():
            condition = "#list = :list AND #place < :before"
            found = self._table.query_list(condition, list=items.done_list(tenant), before=ordered(max(0, before_ms)))
            old += map(items.stored_of, found)
        return sum(again(lambda each=each: self._forget(each)) for each in old)  # type: ignore[misc]

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        for device in devices:
            again(lambda device=device: self._purge(device))  # type: ignore[misc]

    def revision(self) -> int:
        return sum(int(tally["revision"]) for tally in self._tallies())

    def check(self) -> None:
        self._table.check()

    def _add(self, chunk: Sequence[Stored]) -> None:
        by_key = {items.id_key(each.command.device, each.command.id): each for each in chunk}
        there = self._table.get_many(by_key)
        new = [each for key, each in by_key.items() if key not in there]
        if new:
            writes = [write for each in new for write in items.added(each)]
            self._table.transact(*writes, *items.tallies_of((each.command for each in new), 1))

    def _stored(self, device: DeviceRef, command_id: str) -> Stored | None:
        place = self._table.get(items.id_key(device, command_id))
        item = self._table.get(Key(items.partition(device), ordered(place["position"]))) if place else None
        return None if item is None else items.stored_of(item)

    def _change(
        self, device: DeviceRef, command_id: str, change: Callable[[Command], Command | None]
    ) -> Command | None:
        def once() -> Command | None:
            stored = self._stored(device, command_id)
            command = change(stored.command) if stored is not None else None
            if stored is not None and command is not None:
                self._table.transact(*items.changed(stored, command))
            return command

        return again(once)

    def _at(self, places: Iterable[tuple[DeviceRef, int]]) -> Iterator[Command]:
        """The commands at these places that are still there, in this order."""
        keys = [Key(items.partition(device), ordered(position)) for device, position in places]
        found = self._table.get_many(keys)
        return (items.stored_of(found[key]).command for key in keys if key in found)

    def _waiting(self, devices: Sequence[DeviceRef], now_ms: int) -> Iterator[tuple[DeviceRef, int]]:
        """Device and position of everything that is to be sent to *devices*."""
        wanted = frozenset(devices)
        tenants = sorted({device.tenant for device in wanted})
        queries: list[DeviceRef | str] = [*(wanted if len(wanted) <= FEW_DEVICES else tenants)]
        for entries in self._table.each(self._entries, queries):
            for device, position in _alive(entries, now_ms):
                if device in wanted:
                    yield device, position

    def _entries(self, whose: DeviceRef | str) -> list[Item]:
        """What is pending for a device, or for a whole tenant."""
        if isinstance(whose, str):
            return list(self._table.query("#pk = :pk", pk=items.pending_partition(whose)))
        condition, prefix = "#pk = :pk AND begins_with(#sk, :prefix)", path(ordered(whose.id), "")
        return list(self._table.query(condition, pk=items.pending_partition(whose.tenant), prefix=prefix))

    def _forget(self, stored: Stored) -> bool:
        item = self._table.get(stored.key)
        if item is None or item["version"] != stored.version:
            return False
        self._table.transact(*items.removed(stored), *items.tallies_of([stored.command], -1))
        return True

    def _purge(self, device: DeviceRef) -> None:
        found = list(map(items.stored_of, self._table.query("#pk = :pk", pk=items.partition(device))))
        for chunk in items.in_chunks(found, AT_ONCE):
            writes = [write for each in chunk for write in items.removed(each)]
            self._table.transact(*writes, *items.tallies_of((each.command for each in chunk), -1))

    def _tallies(self) -> list[Item]:
        return list(self._table.query("#pk = :pk", pk=items.TALLIES))

    def _tenants(self) -> list[str]:
        return sorted({tally["tenant"] for tally in self._tallies()})


def _alive(entries: Iterable[Item], now_ms: int) -> Iterator[tuple[DeviceRef, int]]:
    """Device and position of what may still be sent."""
    for entry in entries:
        if "expires_ms" not in entry or entry["expires_ms"] > now_ms:
            yield DeviceRef(entry["tenant"], entry["device_id"]), entry["position"]
