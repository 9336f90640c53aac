"""Keys and tokens in DynamoDB, beside the devices; see `dynamo_records`."""

from collections.abc import Iterator
from typing import Any

from chalicelib.adapters import dynamo_records as records
from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_outbox import noted
from chalicelib.adapters.dynamo_requests import Item, delete, put, update
from chalicelib.adapters.dynamo_revision import raised
from chalicelib.adapters.dynamo_table import Table, again
from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Credential, CredentialKind, DeviceRef

_EARLIER = "attribute_exists(#pk) AND (attribute_not_exists(#expires_ms) OR #expires_ms > :at)"


class DynamoCredentials:
    """`CredentialRepository` in the table of `DynamoDevices`; nothing is cached, so that a revocation holds at once.

    Args:
        table: The table.
        outbox: Write to the `DynamoBrokerOutbox` what a broker is to be told.
    """

    def __init__(self, table: Table, *, outbox: bool = False) -> None:
        self._table = table
        self._outbox = outbox

    def get(self, credential_id: str) -> Credential | None:
        item = self._table.get(records.credential_key(credential_id))
        return None if item is None else records.credential_of(item)

    def add(self, credential: Credential, *, now_ms: int, max_alive: int | None = None, seed: str = "") -> None:
        again(lambda: self._add(credential, now_ms, max_alive, seed))

    def expire(self, credential_id: str, *, at_ms: int) -> bool:
        return again(lambda: self._expire(credential_id, at_ms))

    def remove(self, tenant: str, credential_id: str) -> bool:
        return again(lambda: self._remove(tenant, credential_id))

    def of_device(self, device: DeviceRef) -> list[Credential]:
        item = self._table.get(records.device_key(device.id))
        if item is None or item["tenant"] != device.tenant:
            return []
        return records.credentials_of(self._table, item)

    def of_kind(self, tenant: str, kind: CredentialKind) -> list[Credential]:
        items = self._table.query_list("#list = :list", list=records.credential_list(tenant, kind))
        return [records.credential_of(item) for item in items]

    def _add(self, credential: Credential, now_ms: int, max_alive: int | None, seed: str) -> None:
        guards = [*self._holding(credential, now_ms, max_alive), *_named(credential, now_ms)]
        guards += self._note(credential.tenant, credential.device_id, seed)
        try:
            self._table.transact(records.added_credential(credential), *guards, raised(records.REVISION))
        except Refused as refused:
            if credential.kind is CredentialKind.TOKEN and self._name_is_taken(credential, now_ms):
                raise Conflict("A live token has this name", field="name", code="name_taken") from None
            if refused.at == 0:
                raise Conflict("This key id is taken", code="id_taken") from None
            raise

    def _holding(self, credential: Credential, now_ms: int, max_alive: int | None) -> Iterator[dict[str, Any]]:
        """The write that gives a key to its device, if the device's keys are still those that were counted."""
        if credential.device_id is None:
            return
        item = self._table.get(records.device_key(credential.device_id))
        if item is None or item["tenant"] != credential.tenant:
            raise NotFound("There is no such device")
        if max_alive is not None:
            alive = sum(key.alive(now_ms) for key in records.credentials_of(self._table, item))
            if alive >= max_alive:
                raise Conflict(f"The device has {alive} live keys", limit=f"{max_alive} keys", code="too_many_keys")
        same, named = records.same_keys(item)
        condition = f"#tenant = :tenant AND {same}"
        one, tenant = frozenset({credential.id}), credential.tenant
        yield update(
            records.device_key(credential.device_id), "ADD #holds :one", condition, one=one, tenant=tenant, **named
        )

    def _name_is_taken(self, credential: Credential, now_ms: int) -> bool:
        holder = self._table.get(records.token_name_key(credential.tenant, credential.name))
        return holder is not None and ("expires_ms" not in holder or int(holder["expires_ms"]) > now_ms)

    def _expire(self, credential_id: str, at_ms: int) -> bool:
        item = self._table.get(records.credential_key(credential_id))
        if item is None:
            return False
        if "expires_ms" in item and item["expires_ms"] <= at_ms:
            return True
        shorten = "SET #expires_ms = :at"
        writes = [update(records.credential_key(credential_id), shorten, _EARLIER, at=at_ms), raised(records.REVISION)]
        if self._holds_name(item):
            name = records.token_name_key(item["tenant"], item["name"])
            writes.append(update(name, shorten, "#id = :id", at=at_ms, id=credential_id))
        self._table.transact(*writes, *self._note(item["tenant"], item["device_id"]))
        return True

    def _remove(self, tenant: str, credential_id: str) -> bool:
        item = self._table.get(records.credential_key(credential_id))
        if item is None or item["tenant"] != tenant:
            return False
        gone = delete(records.credential_key(credential_id), "#tenant = :tenant", tenant=tenant)
        writes = [gone, raised(records.REVISION)]
        if item["device_id"] is not None:
            one = frozenset({credential_id})
            writes.append(
                update(
                    records.device_key(item["device_id"]),
                    "DELETE #holds :one",
                    "contains(#holds, :id)",
                    one=one,
                    id=credential_id,
                )
            )
        if self._holds_name(item):
            writes.append(delete(records.token_name_key(tenant, item["name"]), "#id = :id", id=credential_id))
        self._table.transact(*writes, *self._note(tenant, item["device_id"]))
        return True

    def _note(self, tenant: str, device_id: int | None, seed: str = "") -> list[dict[str, Any]]:
        """The write into the outbox, for the key of a device."""
        if not self._outbox or device_id is None:
            return []
        return [noted(self._table, DeviceRef(tenant, device_id), seed)]

    def _holds_name(self, item: Item) -> bool:
        """Whether the name of this token is still its own: another may have it since it died."""
        if item["kind"] != CredentialKind.TOKEN:
            return False
        holder = self._table.get(records.token_name_key(item["tenant"], item["name"]))
        return holder is not None and holder["id"] == item["id"]


def _named(credential: Credential, now_ms: int) -> Iterator[dict[str, Any]]:
    """The write that takes the name of a token, if no live one has it."""
    if credential.kind is not CredentialKind.TOKEN:
        return
    until = {} if credential.expires_ms is None else {"expires_ms": credential.expires_ms}
    yield put(
        records.token_name_key(credential.tenant, credential.name),
        {"id": credential.id, **until},
        f"{records.ABSENT} OR #expires_ms <= :now",
        now=now_ms,
    )
