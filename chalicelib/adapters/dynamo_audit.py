"""The audit log in DynamoDB."""

from itertools import islice

from chalicelib.adapters.dynamo_requests import Item, Key, ordered, path, put
from chalicelib.adapters.dynamo_table import Table
from chalicelib.model import AuditEntry

_AFTER_ALL = 2**63 - 1
_ABSENT = "attribute_not_exists(#pk)"


class DynamoAudit:
    """Append-only: no write replaces an entry. Ids are numbered within a tenant."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def append(self, entry: AuditEntry) -> None:
        number = self._table.next_number(path("audit", entry.tenant))
        values = entry._replace(id=number)._asdict()
        self._table.write(put(Key(path("audit", entry.tenant), ordered(number)), values, _ABSENT))

    def page(self, tenant: str, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        before = ordered(_AFTER_ALL if before_id is None else min(max(before_id, 0), _AFTER_ALL))
        found = self._table.query(
            "#pk = :pk AND #sk < :before", last_first=True, pk=path("audit", tenant), before=before, limit=limit
        )
        return [_entry(item) for item in islice(found, limit)]


def _entry(item: Item) -> AuditEntry:
    return AuditEntry(**{name: item[name] for name in AuditEntry._fields})
