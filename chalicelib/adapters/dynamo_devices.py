"""Device records in DynamoDB; see `dynamo_records` for how they lie there."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from chalicelib.adapters import dynamo_records as records
from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_outbox import noted
from chalicelib.adapters.dynamo_requests import Item, Key, delete, ordered, path, put, update
from chalicelib.adapters.dynamo_revision import raised, revision
from chalicelib.adapters.dynamo_table import TRANSACTION, Table, again, in_list
from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Credential, CredentialKind, Device, DeviceDraft, DeviceRef
from chalicelib.ports import DeviceFilter, DeviceStats

FEW_IDS = 300
"""So many devices are read one by one rather than found in the list."""
AT_ONCE = TRANSACTION - 10
"""Keys that are removed in one transaction with their device."""
_REMINDER = "removed"
_CONDITIONS = {
    "status": "#status = :status",
    "device_type": "#device_type = :device_type",
    "tag": "contains(#tags, :tag)",
    "search": "(contains(#folded_name, :search) OR contains(#folded_location, :search))",
}


class DynamoDevices:
    """`DeviceRepository` in one DynamoDB table.

    What is read by id or name is the newest; lists, counts and reminders come from the index and may be behind by a
    moment.

    Args:
        table: The table.
        outbox: Write to the `DynamoBrokerOutbox` what a broker is to be told.
    """

    def __init__(self, table: Table, *, outbox: bool = False) -> None:
        self._table = table
        self._outbox = outbox

    def add(self, draft: DeviceDraft, key: Credential, *, now_ms: int, seed: str = "") -> Device:
        tenants = Key("tenants", draft.tenant)
        if self._table.get(tenants) is None:
            self._table.write(put(tenants, {"tenant": draft.tenant}))
        device = Device.added(draft, device_id=self._table.next_number("devices"), now_ms=now_ms)
        values = {**records.device_values(device), "holds": frozenset({key.id})}
        try:
            self._table.transact(
                put(records.name_key(draft.tenant, draft.name), {"id": device.id}, records.ABSENT),
                records.added_credential(replace(key, device_id=device.id)),
                put(records.device_key(device.id), values, records.ABSENT),
                raised(records.REVISION),
                *self._note(device.ref, seed),
            )
        except Refused as refused:
            raise _taken() if refused.at == 0 else Conflict("This key id is taken", code="id_taken") from None
        return device

    def get(self, device: DeviceRef) -> Device | None:
        item = self._item(device)
        return None if item is None else records.device_of(item)

    def find(self, tenant: str, name: str) -> Device | None:
        holder = self._table.get(records.name_key(tenant, name))
        found = None if holder is None else self.get(DeviceRef(tenant, holder["id"]))
        return found if found is not None and found.name == name else None

    def update(self, device: Device, *, now_ms: int) -> Device:
        stored = self.get(device.ref)
        if stored is None:
            raise NotFound("There is no such device")
        if stored.version != device.version:
            raise _stale()
        updated = replace(device, updated_ms=now_ms, version=device.version + 1)
        writes = [_changed(updated, stored.version), raised(records.REVISION)]
        if stored.name != device.name:
            writes += [
                put(records.name_key(device.tenant, device.name), {"id": device.id}, records.ABSENT),
                delete(records.name_key(stored.tenant, stored.name)),
            ]
        if stored.status != updated.status:
            writes += self._note(device.ref)
        try:
            self._table.transact(*writes)
        except Refused as refused:
            if refused.at == 0:
                raise (_stale() if refused.found else NotFound("There is no such device")) from None
            raise _taken() from None
        return updated

    def remove(self, device: DeviceRef, *, now_ms: int) -> bool:
        return again(lambda: self._remove(device, now_ms))

    def removed(self, *, before_ms: int, limit: int = 100) -> list[DeviceRef]:
        condition = "#list = :list AND #place < :place"
        reminders = self._table.query_list(condition, list=_REMINDER, place=ordered(max(0, before_ms)), limit=limit)
        return [DeviceRef(item["tenant"], item["id"]) for item in islice(reminders, limit)]

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        self._table.delete_many(_reminder_key(device) for device in devices)

    def existing(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        wanted = set(devices)
        found = self._table.get_many(records.device_key(device.id) for device in wanted)
        return wanted.intersection(DeviceRef(item["tenant"], item["id"]) for item in found.values())

    def page(self, tenant: str, where: DeviceFilter, *, after_id: int = 0, limit: int = 100) -> list[Device]:
        if where.ids is not None and len(where.ids) <= FEW_IDS:
            wanted = (device_id for device_id in where.ids if device_id > after_id)
            return [records.device_of(item) for item in islice(self._few(tenant, where, wanted), limit)]
        condition, named = _condition(where)
        everything = "#list = :list AND #place > :after"
        after = ordered(max(0, after_id))
        found = self._table.query_list(
            everything, where=condition, list=records.device_list(tenant), after=after, limit=limit, **named
        )
        chosen = (item for item in found if _is_among(item["id"], where))
        return [records.device_of(item) for item in islice(chosen, limit)]

    def count(self, tenant: str, where: DeviceFilter) -> int:
        if where.ids is not None and len(where.ids) <= FEW_IDS:
            return sum(1 for _ in self._few(tenant, where, where.ids))
        condition, named = _condition(where)
        named["list"] = records.device_list(tenant)
        if where.ids is None and not where.exclude_ids:
            return self._table.count_list("#list = :list", where=condition, **named)
        return sum(
            _is_among(item["id"], where) for item in self._table.query_list("#list = :list", where=condition, **named)
        )

    def stats(self, tenant: str, *, now_ms: int) -> DeviceStats:
        devices = list(self._table.query_list("#list = :list", list=records.device_list(tenant)))
        alive = "attribute_not_exists(#expires_ms) OR #expires_ms > :now"
        keys = records.credential_list(tenant, CredentialKind.DEVICE_KEY)
        return DeviceStats(
            by_status=Counter(item["status"] for item in devices),
            by_type=Counter(item["device_type"] for item in devices),
            keys=self._table.count_list("#list = :list", where=alive, list=keys, now=now_ms),
        )

    def tenants(self) -> list[str]:
        ever = [item["tenant"] for item in self._table.query("#pk = :pk", pk="tenants")]
        return sorted(tenant for tenant in ever if self.page(tenant, DeviceFilter(), limit=1))

    def revision(self) -> int:
        return revision(self._table, records.REVISION)

    def check(self) -> None:
        self._table.check()

    def _item(self, device: DeviceRef) -> Item | None:
        item = self._table.get(records.device_key(device.id))
        return item if item is not None and item["tenant"] == device.tenant else None

    def _remove(self, device: DeviceRef, now_ms: int) -> bool:
        item = self._item(device)
        if item is None:
            return False
        held = sorted(item.get("holds", ()))
        if len(held) > AT_ONCE:
            self._drop(item, held[:AT_ONCE])
            return self._remove(device, now_ms)
        same, named = records.same_keys(item)
        self._table.transact(
            delete(records.device_key(device.id), f"#version = :version AND {same}", version=item["version"], **named),
            delete(records.name_key(device.tenant, item["name"])),
            *records.removed_credentials(held),
            put(
                _reminder_key(device),
                {
                    "tenant": device.tenant,
                    "id": device.id,
                    **in_list(_REMINDER, path(ordered(now_ms), ordered(device.id))),
                },
            ),
            raised(records.REVISION),
            *self._note(device, gone=True),
        )
        return True

    def _note(self, device: DeviceRef, seed: str = "", *, gone: bool = False) -> list[dict[str, Any]]:
        return [noted(self._table, device, seed, gone=gone)] if self._outbox else []

    def _drop(self, item: Item, credential_ids: list[str]) -> None:
        """Remove some of a device's keys: it has more than one transaction takes, and is about to go."""
        same, named = records.same_keys(item)
        self._table.transact(
            update(
                records.device_key(item["id"]), "DELETE #holds :gone", same, gone=frozenset(credential_ids), **named
            ),
            *records.removed_credentials(credential_ids),
            raised(records.REVISION),
        )

    def _few(self, tenant: str, where: DeviceFilter, ids: Iterable[int]) -> Iterator[Item]:
        found = self._table.get_many(records.device_key(device_id) for device_id in ids)
        items = sorted(found.values(), key=lambda item: int(item["id"]))
        return (item for item in items if item["tenant"] == tenant and _matches(item, where))


def _changed(device: Device, version: int) -> dict[str, Any]:
    """The write of all fields; the keys that the device holds stay."""
    values = {name: value for name, value in records.device_values(device).items() if name != "id"}
    change = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
    condition = "#version = :seen AND #tenant = :tenant"
    return update(records.device_key(device.id), change, condition, seen=version, **values)


def _condition(where: DeviceFilter) -> tuple[str, dict[str, Any]]:
    """What the table itself can filter, and the values."""
    asked = {
        "status": where.status,
        "device_type": where.device_type,
        "tag": where.tag,
        "search": where.search.casefold() if where.search else None,
    }
    named = {name: value for name, value in asked.items() if value is not None}
    return " AND ".join(_CONDITIONS[name] for name in named), named


def _is_among(device_id: int, where: DeviceFilter) -> bool:
    return (where.ids is None or device_id in where.ids) and device_id not in (where.exclude_ids or ())


def _matches(item: Item, where: DeviceFilter) -> bool:
    folded = where.search.casefold() if where.search else ""
    return (
        where.status in (None, item["status"])
        and where.device_type in (None, item["device_type"])
        and (where.tag is None or where.tag in item["tags"])
        and (folded in item["folded_name"] or folded in item["folded_location"])
        and _is_among(item["id"], where)
    )


def _reminder_key(device: DeviceRef) -> Key:
    return Key(path(_REMINDER, device.tenant, device.id))


def _taken() -> Conflict:
    return Conflict("A device has this name", field="name", code="name_taken")


def _stale() -> Conflict:
    return Conflict("The device was changed meanwhile", code="stale_version")
