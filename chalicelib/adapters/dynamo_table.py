"""The DynamoDB table of all records: what is asked of it, with its failures in our words.

All reads but those of the index are strongly consistent. Which keys there are, and why: docs/adr/0026.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from chalicelib.adapters.dynamo_connection import Connection, Refused, busy, pauses
from chalicelib.adapters.dynamo_requests import LIST, PLACE, Item, Key, decoded, encoded, expressions, update

BATCH, TRANSACTION = 100, 100
"""Items. Source: AWS, Amazon DynamoDB, Quotas."""
INDEX = "lists"
_OPERATIONS = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Table:
    """One table.

    Args:
        name: The table.
        connection: To where it is.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self._connection = connection

    def get(self, key: Key) -> Item | None:
        """One item, or None."""
        answer = self._call("get_item", Key=encoded(key._asdict()), ConsistentRead=True)
        return decoded(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Those of the items that are there."""
        wanted = [encoded(key._asdict()) for key in dict.fromkeys(keys)]
        found: dict[Key, Item] = {}
        for start in range(0, len(wanted), BATCH):
            self._get_batch(wanted[start : start + BATCH], found)
        return found

    def query(self, condition: str, *, where: str = "", last_first: bool = False, **named: Any) -> Iterator[Item]:
        """Items in the order of their sort keys, read page by page as they are asked for."""
        return self._pages(condition, where, named, ConsistentRead=True, ScanIndexForward=not last_first)

    def query_list(self, condition: str, *, where: str = "", **named: Any) -> Iterator[Item]:
        """Items of the index, which may be behind by a moment."""
        return self._pages(condition, where, named, IndexName=INDEX)

    def count_list(self, condition: str, *, where: str = "", **named: Any) -> int:
        """How many items of the index there are."""
        texts = expressions(named, KeyConditionExpression=condition, FilterExpression=where)
        return sum(page["Count"] for page in self._answers({**texts, "IndexName": INDEX, "Select": "COUNT"}))

    def write(self, request: dict[str, Any], *, tell: str = "NONE") -> Item:
        """Do one write.

        Args:
            request: From `put`, `update` or `delete`.
            tell: Which values to return: NONE, ALL_OLD, UPDATED_NEW.

        Raises:
            Refused: Its condition does not hold.
        """
        ((kind, options),) = request.items()
        if "ConditionExpression" in options:
            options = {**options, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        answer = self._call(_OPERATIONS[kind], **options, ReturnValues=tell)
        return decoded(answer.get("Attributes", {}))

    def transact(self, *requests: dict[str, Any]) -> None:
        """Do all writes, or none.

        Raises:
            Refused: A condition does not hold.
        """
        named = []
        for request in requests:
            ((kind, options),) = request.items()
            options = {**options, "TableName": self.name}
            if "ConditionExpression" in options:
                options["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            named.append({kind: options})
        self._connection.call("transact_write_items", TransactItems=named)

    def delete_many(self, keys: Iterable[Key]) -> None:
        """Delete items without a condition."""
        self.each(lambda key: self._call("delete_item", Key=encoded(key._asdict())), list(keys))

    def next_number(self, name: str, numbers: int = 1) -> int:
        """The last of so many new numbers; none is ever given twice."""
        counted = self.write(update(Key("counter", name), "ADD #last :numbers", numbers=numbers), tell="UPDATED_NEW")
        return int(counted["last"])

    def each(self, work: Callable[[Argument], Result], arguments: Sequence[Argument]) -> list[Result]:
        """Do the same for each of *arguments*, several at a time."""
        if len(arguments) < 2:
            return [work(argument) for argument in arguments]
        with ThreadPoolExecutor(min(8, len(arguments)), thread_name_prefix="dynamodb") as pool:
            return list(pool.map(work, arguments))

    def check(self) -> None:
        """Make a round trip to the table."""
        self.get(Key("check"))

    def _get_batch(self, keys: list[Any], found: dict[Key, Item]) -> None:
        for pause_s in pauses():
            options = {"Keys": keys, "ConsistentRead": True}
            answer = self._connection.call("batch_get_item", RequestItems={self.name: options})
            for item in map(decoded, answer["Responses"].get(self.name, [])):
                found[Key(item["pk"], item["sk"])] = item
            keys = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not keys:
                return
            time.sleep(pause_s)
        raise busy()

    def _pages(self, condition: str, where: str, named: dict[str, Any], **options: Any) -> Iterator[Item]:
        texts = expressions(named, KeyConditionExpression=condition, FilterExpression=where)
        limit = {"Limit": named["limit"]} if "limit" in named and not where else {}
        for page in self._answers({**texts, **options, **limit}):
            yield from map(decoded, page["Items"])

    def _answers(self, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            answer = self._call("query", **options, **start)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _call(self, operation: str, **options: Any) -> dict[str, Any]:
        return self._connection.call(operation, TableName=self.name, **options)


def again(change: Callable[[], Result]) -> Result:
    """Decide and write, once more when what it was decided on has changed meanwhile.

    Raises:
        Unavailable: Others were faster each time.
    """
    for pause_s in pauses():
        try:
            return change()
        except Refused:
            time.sleep(pause_s)
    raise busy()


def in_list(name: str, place: str) -> Item:
    """The attributes that put an item into a list of the index."""
    return {LIST: name, PLACE: place}
