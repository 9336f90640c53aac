"""What a broker is to be told, in DynamoDB: the entries commit with the changes that they are about."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_requests import Item, Key, delete, ordered, path, update
from chalicelib.adapters.dynamo_table import Table, in_list
from chalicelib.model import DeviceRef
from chalicelib.ports import BrokerChange

_LIST = "outbox"
_FREE = "#hidden_until_ms <= :now OR #hidden_until_ms > :until"
_KEPT = "if_not_exists(#seed, :seed)"


class DynamoBrokerOutbox:
    """`BrokerOutbox` in the table of `DynamoDevices`, which writes to it when it was made with `outbox=True`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def take(self, *, limit: int, hidden_s: float, now_ms: int) -> list[BrokerChange]:
        until_ms = now_ms + int(hidden_s * 1000)
        listed = self._table.query_list("#list = :list", where=_FREE, list=_LIST, now=now_ms, until=until_ms)
        taken = (self._hide(item, now_ms, until_ms) for item in listed)
        return list(islice((change for change in taken if change is not None), limit))

    def settle(self, changes: Iterable[BrokerChange]) -> None:
        self._table.each(self._settle, list(changes))

    def release(self, changes: Iterable[BrokerChange]) -> None:
        self._table.each(self._show, list(changes))

    def waiting(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        wanted = {_key(device): device for device in devices}
        return {wanted[key] for key in self._table.get_many(wanted)}

    def count(self) -> int:
        return self._table.count_list("#list = :list", list=_LIST)

    def _hide(self, listed: Item, now_ms: int, until_ms: int) -> BrokerChange | None:
        """Take one entry, unless somebody else did; the list may be behind, the entry is not."""
        device = DeviceRef(listed["tenant"], listed["id"])
        hide = update(
            _key(device),
            "SET #hidden_until_ms = :until",
            f"attribute_exists(#pk) AND ({_FREE})",
            now=now_ms,
            until=until_ms,
        )
        try:
            entry = self._table.write(hide, tell="ALL_NEW")
        except Refused:
            return None
        return BrokerChange(entry["number"], device, entry["seed"])

    def _settle(self, change: BrokerChange) -> None:
        try:
            self._table.write(delete(_key(change.device), "#number = :number", number=change.number))
        except Refused:
            self._show(change)

    def _show(self, change: BrokerChange) -> None:
        with suppress(Refused):
            self._table.write(
                update(_key(change.device), "SET #hidden_until_ms = :now", "attribute_exists(#pk)", now=0)
            )


def noted(table: Table, device: DeviceRef, seed: str = "", *, gone: bool = False) -> dict[str, Any]:
    """The write that gives the device's entry a new number, for the transaction of the change."""
    number = table.next_number("outbox")
    values = {"number": number, "tenant": device.tenant, "id": device.id, **in_list(_LIST, ordered(number))}
    change = ", ".join(f"#{name} = :{name}" for name in values)
    new_seed = ":seed" if seed or gone else _KEPT
    return update(
        _key(device),
        f"SET {change}, #hidden_until_ms = if_not_exists(#hidden_until_ms, :zero), #seed = {new_seed}",
        zero=0,
        seed="" if gone else seed,
        **values,
    )


def _key(device: DeviceRef) -> Key:
    return Key(path(_LIST, device.tenant, device.id))
