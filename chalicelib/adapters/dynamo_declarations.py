"""Declared types of measurements in DynamoDB."""

import json

from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_requests import Item, Key, delete, path, put
from chalicelib.adapters.dynamo_table import Table
from chalicelib.model import Declared, MeasurementType


class DynamoDeclarations:
    """`DeclarationRepository`: one item for each device type of a tenant."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, tenant: str, device_type: str) -> Declared:
        item = self._table.get(_key(tenant, device_type))
        return {} if item is None else _declared(item)

    def all(self, tenant: str) -> dict[str, Declared]:
        items = self._table.query("#pk = :pk", pk=path("declared", tenant))
        return dict(sorted((str(item["device_type"]), _declared(item)) for item in items))

    def put(self, tenant: str, device_type: str, declared: Declared) -> None:
        if not declared:
            self.remove(tenant, device_type)
            return
        types = json.dumps({name: str(kind) for name, kind in declared.items()})
        self._table.write(put(_key(tenant, device_type), {"device_type": device_type, "types": types}))

    def remove(self, tenant: str, device_type: str) -> bool:
        try:
            self._table.write(delete(_key(tenant, device_type), "attribute_exists(#pk)"))
        except Refused:
            return False
        return True


def _key(tenant: str, device_type: str) -> Key:
    return Key(path("declared", tenant), f"={device_type}")


def _declared(item: Item) -> Declared:
    return {name: MeasurementType(kind) for name, kind in json.loads(item["types"]).items()}
