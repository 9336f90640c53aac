"""Leases in DynamoDB."""

from contextlib import suppress

from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_requests import Key, path, update
from chalicelib.adapters.dynamo_table import Table
from chalicelib.ports import Tenant, Tenure

_FREE = "attribute_not_exists(#pk) OR #holder = :holder OR #expires_ms <= :now OR #expires_ms > :until"
_SAME = "#number = :number"


class DynamoLease:
    """`Lease` for the processes of any number of machines."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def acquire(self, name: str, holder: str, *, ttl_s: float, now_ms: int) -> Tenure | None:
        change = "ADD #number :one SET #holder = :holder, #expires_ms = :until, #note = :note"
        values = {"one": 1, "holder": holder, "now": now_ms, "until": now_ms + round(ttl_s * 1000), "note": ""}
        try:
            begun = self._table.write(update(_key(name), change, _FREE, **values), tell="UPDATED_NEW")
        except Refused:
            return None
        return Tenure(name, begun["number"])

    def renew(self, tenure: Tenure, *, ttl_s: float, now_ms: int, note: str = "") -> bool:
        change = "SET #expires_ms = :until, #note = :note"
        values = {"number": tenure.number, "until": now_ms + round(ttl_s * 1000), "note": note}
        try:
            self._table.write(update(_key(tenure.name), change, _SAME, **values))
        except Refused:
            return False
        return True

    def release(self, tenure: Tenure) -> None:
        change = "SET #expires_ms = :zero, #holder = :nobody, #note = :nobody"
        with suppress(Refused):
            self._table.write(update(_key(tenure.name), change, _SAME, number=tenure.number, zero=0, nobody=""))

    def tenant(self, name: str, *, now_ms: int) -> Tenant | None:
        item = self._table.get(_key(name))
        if item is None or item["expires_ms"] <= now_ms:
            return None
        return Tenant(item["holder"], item["expires_ms"], item["note"])


def _key(name: str) -> Key:
    return Key(path("lease", name))
