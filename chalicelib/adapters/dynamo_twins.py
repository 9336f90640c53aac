"""Twins in DynamoDB.

Who follows all changes must miss none, so changes are numbered in the order in which they commit: the number is taken
in the transaction that uses it. Changes therefore go one after the other, some fifty a second over all devices.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from chalicelib.adapters.dynamo_requests import Item, Key, delete, ordered, path, put, update
from chalicelib.adapters.dynamo_table import Table, again
from chalicelib.errors import Conflict
from chalicelib.model import DeviceRef, Twin

_NEWEST = Key("twins", "newest")
_CHANGES = "twin-changes"


class DynamoTwins:
    """`TwinRepository`: the twin, and a place in the list of changes that it leaves when it changes again."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, device: DeviceRef) -> Twin:
        item = self._table.get(_key(device))
        return Twin(device=device) if item is None else _twin(item)

    def put(self, twin: Twin) -> Twin:
        return again(lambda: self._put(twin))

    def changed(self, *, since: int, limit: int = 1000) -> list[Twin]:
        condition = "#pk = :pk AND #sk > :since"
        since = max(since, 0)
        changes = islice(
            self._table.query(condition, pk=_CHANGES, since=ordered(since), limit=limit),
            limit,
        )
        devices = [DeviceRef(change["tenant"], change["device_id"]) for change in changes]
        found = self._table.get_many(map(_key, devices))
        return [_twin(found[_key(device)]) for device in dict.fromkeys(devices) if _key(device) in found]

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        for device in devices:
            again(lambda device=device: self._purge(device))  # type: ignore[misc]

    def revision(self) -> int:
        item = self._table.get(_NEWEST)
        return 0 if item is None else int(item["revision"])

    def check(self) -> None:
        self._table.check()

    def _put(self, twin: Twin) -> Twin:
        stored, newest = self._read(twin.device)
        if (stored["version"] if stored else 0) != twin.version:
            raise Conflict("The twin was changed meanwhile", field="version", code="stale_version")
        written = replace(twin, version=twin.version + 1)
        condition = "#version = :seen" if stored else "attribute_not_exists(#pk)"
        values = {**_values(written), "revision": newest + 1}
        reference = {"tenant": twin.device.tenant, "device_id": twin.device.id}
        self._table.transact(
            put(_key(twin.device), values, condition, seen=twin.version),
            _next(newest),
            put(Key(_CHANGES, ordered(newest + 1)), reference),
            *_left(stored),
        )
        return written

    def _purge(self, device: DeviceRef) -> None:
        stored, newest = self._read(device)
        gone = [delete(_key(device), "#version = :seen", seen=stored["version"])] if stored else []
        self._table.transact(*gone, _next(newest), *_left(stored))

    def _read(self, device: DeviceRef) -> tuple[Item | None, int]:
        """The stored twin and the newest revision."""
        found = self._table.get_many([_key(device), _NEWEST])
        newest = found.get(_NEWEST)
        return found.get(_key(device)), int(newest["revision"]) if newest else 0


def _key(device: DeviceRef) -> Key:
    return Key(path("twin", device.tenant, device.id))


def _next(newest: int) -> dict[str, Any]:
    """The write that takes the next revision, if nobody has taken it."""
    condition = "#revision = :newest" if newest else "attribute_not_exists(#pk)"
    return update(_NEWEST, "SET #revision = :next", condition, next=newest + 1, newest=newest)


def _left(stored: Item | None) -> list[dict[str, Any]]:
    """The write that takes the twin's last change out of the list."""
    return [delete(Key(_CHANGES, ordered(stored["revision"])))] if stored else []


def _values(twin: Twin) -> dict[str, Any]:
    return {
        "tenant": twin.device.tenant,
        "device_id": twin.device.id,
        "version": twin.version,
        "desired": json.dumps(dict(twin.desired)),
        "reported": json.dumps(dict(twin.reported)),
        "desired_updated_ms": twin.desired_updated_ms,
        "reported_updated_ms": twin.reported_updated_ms,
    }


def _twin(item: Item) -> Twin:
    return Twin(
        device=DeviceRef(item["tenant"], item["device_id"]),
        desired=json.loads(item["desired"]),
        reported=json.loads(item["reported"]),
        version=item["version"],
        desired_updated_ms=item["desired_updated_ms"],
        reported_updated_ms=item["reported_updated_ms"],
    )
