"""Presence in DynamoDB."""

from collections.abc import Iterable, Sequence

from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_requests import Key, path, update
from chalicelib.adapters.dynamo_table import Table
from chalicelib.model import DeviceRef, Sighting

SHARDS = 16
"""Partitions of a tenant: one takes 1000 marks a second, and a list of who is online reads all of them."""


class DynamoPresence:
    """The newest sighting of every device. At the same millisecond the goodbye wins, whatever the order."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def mark(self, sightings: Sequence[Sighting]) -> None:
        newest: dict[DeviceRef, Sighting] = {}
        for sighting in sorted(sightings, key=lambda seen: (seen.at_ms, not seen.online)):
            newest[sighting.device] = sighting
        self._table.each(self._mark, list(newest.values()))

    def read(self, devices: Sequence[DeviceRef]) -> dict[DeviceRef, Sighting]:
        found = self._table.get_many(map(_key, devices))
        items = ((device, found.get(_key(device))) for device in devices)
        return {device: Sighting(device, item["at_ms"], item["is_online"]) for device, item in items if item}

    def online(self, tenant: str, *, since_ms: int) -> frozenset[int]:
        def of(shard: int) -> list[int]:
            partition = path("seen", tenant, shard)
            where = "#is_online = :yes AND #at_ms >= :since"
            return [
                item["id"]
                for item in self._table.query("#pk = :pk", where=where, pk=partition, yes=True, since=since_ms)
            ]

        return frozenset(device_id for ids in self._table.each(of, range(SHARDS)) for device_id in ids)

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        self._table.delete_many(map(_key, devices))

    def check(self) -> None:
        self._table.check()

    def _mark(self, sighting: Sighting) -> None:
        change = "SET #id = :id, #at_ms = :at_ms, #is_online = :online"
        newer = "attribute_not_exists(#pk) OR #at_ms < :at_ms"
        if not sighting.online:
            newer += " OR (#at_ms = :at_ms AND #is_online = :yes)"
        device, at_ms, online = sighting
        try:
            self._table.write(update(_key(device), change, newer, id=device.id, at_ms=at_ms, online=online, yes=True))
        except Refused:
            return  # what is there is newer


def _key(device: DeviceRef) -> Key:
    return Key(path("seen", device.tenant, device.id % SHARDS), str(device.id))
