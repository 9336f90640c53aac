"""Numbers that every change of something raises, in the same transaction as the change.

A revision is a sum of several items: transactions at the same time seldom meet in one, and one read has them all.
"""

import random
from typing import Any

from chalicelib.adapters.dynamo_requests import Key, path, update
from chalicelib.adapters.dynamo_table import Table

SHARDS = 8


def raised(name: str) -> dict[str, Any]:
    """The write that belongs into the transaction."""
    shard = random.randrange(SHARDS)  # noqa: S311 - no secret
    return update(Key(path("revision", name), str(shard)), "ADD #revision :one", one=1)


def revision(table: Table, name: str) -> int:
    """The newest committed revision."""
    items = table.query("#pk = :pk", pk=path("revision", name))
    return sum(item["revision"] for item in items)
