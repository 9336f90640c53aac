"""What SQS cannot keep: its ledger, and dead letters that can be listed. Items of the DynamoDB table.

    pk LEDGER    sk SHARD            accepted, stored, discarded, dead_lettered: to be summed
    pk LETTER    sk ID               a dead letter; its body when that is short
    pk LETTER#ID sk 000, 001, ...    the parts of a longer body: an item holds 400 kB, a message 1 MiB

A letter and what the ledger says of it change in one transaction. What SQS does is not part of any transaction, so
the other counts follow it: see docs/adr/0020.
"""

import itertools
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.adapters import aws_client
from chalicelib.errors import Unavailable
from chalicelib.model import DeadLetter

log = logging.getLogger(__name__)

Item = dict[str, Any]

SHARDS = 16
"""One item takes 1 000 writes a second. Source: AWS, DynamoDB, Partitions and data distribution."""
PART_BYTES = 300_000
ATTEMPTS = 8
"""Of a transaction that meets another on the same count."""
_COUNTS = ("accepted", "stored", "discarded", "dead_lettered")


class Counts(NamedTuple):
    """Readings, by what became of them.

    Attributes:
        first_ms: When the first was accepted; 0: none was.
        through_ms: When the newest of those that are stored had been sent; 0: none is.
    """

    accepted: int = 0
    stored: int = 0
    discarded: int = 0
    dead_lettered: int = 0
    first_ms: int = 0
    through_ms: int = 0


class SqsRecords:
    """The records of one queue.

    Args:
        table: Of DynamoDB, with the keys ``pk`` and ``sk``.
        connect: Makes clients.
    """

    def __init__(self, table: str, *, connect: Callable[[str], Any] = aws_client.client) -> None:
        self._table = table
        self._connect = connect
        self._shards = itertools.count(os.getpid())

    @cached_property
    def _dynamodb(self) -> Any:
        return self._connect("dynamodb")

    def count(self, *, at_ms: int, **readings: int) -> None:
        """Add to the ledger what has happened already. When that fails it is logged and the count is short.

        Args:
            at_ms: When the readings were accepted.
            readings: ``accepted``, ``stored`` or ``discarded``.
        """
        try:
            with aws_client.answers_of("DynamoDB"):
                self._dynamodb.update_item(**self._addition(f"{next(self._shards) % SHARDS:02}", readings, at_ms))
        except Unavailable as error:
            log.warning("The ledger misses %s: %s", readings, error.message)

    def counts(self) -> Counts:
        """The sums over all shards."""
        items = list(self._query("LEDGER"))
        sums = {name: sum(int(item[name]["N"]) for item in items if name in item) for name in _COUNTS}
        times = [(int(item["first_ms"]["N"]), int(item.get("through_ms", _n(0))["N"])) for item in items]
        known = [first for first, _ in times if first]
        return Counts(
            **sums, first_ms=min(known, default=0), through_ms=max((through for _, through in times), default=0)
        )

    def add(self, letter: DeadLetter, *, stored: int) -> None:
        """Keep a dead letter; once more is harmless and counts nothing.

        Args:
            letter: It.
            stored: Readings of the same message that are stored.
        """
        parts = _parts(letter.body)
        head: Item = {"pk": _s("LETTER"), "sk": _s(letter.id), "reason": _s(letter.reason)}
        numbers = {"readings": letter.readings, "sent_ms": letter.sent_ms, "buried_ms": letter.buried_ms}
        head |= {name: _n(value) for name, value in numbers.items()} | {"parts": _n(len(parts))}
        if len(parts) == 1:
            head["body"] = _s(letter.body)
        else:
            self._write_parts(letter.id, parts)
        put = {"TableName": self._table, "Item": head, "ConditionExpression": "attribute_not_exists(pk)"}
        added = {"dead_lettered": letter.readings, "stored": stored}
        self._together({"Put": put}, self._addition(_shard_of(letter.id), added, letter.sent_ms))

    def letters(self, *, after_id: str, limit: int) -> list[DeadLetter]:
        """Dead letters in the order of their ids."""
        return [self._letter(item) for item in itertools.islice(self._query("LETTER", after=after_id), limit)]

    def letter(self, letter_id: str) -> DeadLetter | None:
        """One dead letter."""
        with aws_client.answers_of("DynamoDB"):
            found = self._dynamodb.get_item(**self._key("LETTER", letter_id), ConsistentRead=True).get("Item")
        return None if found is None else self._letter(found)

    def remove(self, letter: DeadLetter, *, discarded: int = 0) -> bool:
        """Drop a dead letter, counting *discarded* readings of it as such; False when it is gone already."""
        taken = {**self._key("LETTER", letter.id), "ConditionExpression": "attribute_exists(pk)"}
        counts = {"dead_lettered": -letter.readings, "discarded": discarded}
        removed = self._together({"Delete": taken}, self._addition(_shard_of(letter.id), counts, letter.sent_ms))
        for number in range(len(_parts(letter.body))) if removed else ():
            with aws_client.answers_of("DynamoDB"):
                self._dynamodb.delete_item(**self._key(f"LETTER#{letter.id}", f"{number:03}"))
        return removed

    def _write_parts(self, letter_id: str, parts: list[str]) -> None:
        for number, part in enumerate(parts):
            item = {"pk": _s(f"LETTER#{letter_id}"), "sk": _s(f"{number:03}"), "body": _s(part)}
            with aws_client.answers_of("DynamoDB"):
                self._dynamodb.put_item(TableName=self._table, Item=item)

    def _letter(self, item: Item) -> DeadLetter:
        letter_id = item["sk"]["S"]
        if int(item["parts"]["N"]) > 1:
            body = "".join(part["body"]["S"] for part in self._query(f"LETTER#{letter_id}"))
        else:
            body = item["body"]["S"]
        readings, sent_ms, buried_ms = (int(item[name]["N"]) for name in ("readings", "sent_ms", "buried_ms"))
        return DeadLetter(letter_id, body, readings, item["reason"]["S"], sent_ms, buried_ms)

    def _addition(self, shard: str, readings: dict[str, int], at_ms: int) -> Item:
        names = {f"#{name}": name for name in readings}  # "stored" is a word of DynamoDB's own
        values = {f":{name}": _n(amount) for name, amount in readings.items()}
        sets = "SET first_ms = if_not_exists(first_ms, :at)"
        if "stored" in readings:
            sets += ", through_ms = :at"
        return {
            **self._key("LEDGER", shard),
            "UpdateExpression": f"{sets} ADD {', '.join(f'#{name} :{name}' for name in readings)}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {**values, ":at": _n(at_ms)},
        }

    def _together(self, change: Item, addition: Item) -> bool:
        """Change a letter and the ledger; False when the letter's condition does not hold."""
        for attempt in range(ATTEMPTS):
            with suppress(_MeetsAnotherError):
                return self._transact(change, addition, last=attempt == ATTEMPTS - 1)
        return False

    def _transact(self, change: Item, addition: Item, *, last: bool) -> bool:
        with aws_client.answers_of("DynamoDB"):
            try:
                self._dynamodb.transact_write_items(TransactItems=[change, {"Update": addition}])
            except ClientError as error:
                reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                if reasons[:1] == ["ConditionalCheckFailed"]:
                    return False
                if "TransactionConflict" not in reasons:
                    raise
                if not last:
                    raise _MeetsAnotherError from error
                message = "DynamoDB does not do it: TransactionConflict"
                raise Unavailable(message, retry_after_s=1) from error
        return True

    def _query(self, partition: str, *, after: str = "") -> Iterator[Item]:
        """The items of a partition by sort key, page after page."""
        condition, values = "pk = :pk", {":pk": _s(partition)}
        if after:
            condition, values = "pk = :pk AND sk > :after", {**values, ":after": _s(after)}
        start: Item = {}
        while True:
            with aws_client.answers_of("DynamoDB"):
                page = self._dynamodb.query(
                    TableName=self._table,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ConsistentRead=True,
                    **start,
                )
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _key(self, partition: str, sort: str) -> Item:
        return {"TableName": self._table, "Key": {"pk": _s(partition), "sk": _s(sort)}}


class _MeetsAnotherError(Exception):
    """Another transaction works on the same count."""


def _parts(body: str) -> list[str]:
    """*body* in pieces of `PART_BYTES` or less; characters stay whole, one has four bytes at most."""
    if len(body.encode()) <= PART_BYTES:
        return [body]
    step = PART_BYTES if body.isascii() else PART_BYTES // 4
    return [body[at : at + step] for at in range(0, len(body), step)]


def _shard_of(letter_id: str) -> str:
    """Counts of letters have items of their own, which no other count's write holds up."""
    return f"letters#{zlib.crc32(letter_id.encode()) % SHARDS:02}"


def _s(text: str) -> dict[str, str]:
    return {"S": text}


def _n(number: int) -> dict[str, str]:
    return {"N": str(number)}
