"""What each ``port:action`` of a declaration means: the methods of the port, and what they need on AWS.

Source of actions: AWS, Service Authorization Reference, for Amazon DynamoDB and Amazon SQS. A transaction needs the
rights of the writes in it, a batch of SQS that to the single action. Two uses may allow the same method with other
actions, where these depend on its arguments. Readings and Redis are reached over the network and need no right of IAM.
"""

from typing import NamedTuple

Resources = dict[str, tuple[str, ...]]

TABLE, INDEXES, QUEUE, DEAD_LETTERS, PEPPER = "table", "indexes", "queue", "dead_letters", "pepper"

_LISTS: Resources = {INDEXES: ("dynamodb:Query",)}
_HASH: Resources = {PEPPER: ("secretsmanager:GetSecretValue",)}
_ASK_QUEUE = "sqs:GetQueueAttributes"
_BURY = ("dynamodb:PutItem", "dynamodb:UpdateItem")
_EMPTY = ("sqs:DeleteMessage", "sqs:ReceiveMessage")
_TAKE = (*_EMPTY, _ASK_QUEUE)
"""Of Lambda's pollers, in the function's name. Source: AWS, Amazon SQS, Configuring a queue to trigger a function."""


class Right(NamedTuple):
    """A port's methods, and the AWS actions by the resource they act on."""

    methods: frozenset[str]
    actions: Resources


def _table(actions: str) -> Resources:
    return {TABLE: tuple(f"dynamodb:{action}" for action in actions.split())}


def _right(methods: str, actions: Resources) -> Right:
    return Right(frozenset(methods.split()), actions)


RIGHTS: dict[str, Right] = {
    "devices:get": _right("get check", _table("GetItem")),
    "devices:existing": _right("existing", _table("BatchGetItem")),
    "devices:list": _right("page stats", _LISTS),
    "devices:list-online": _right("page count", _table("BatchGetItem") | _LISTS),
    "devices:add": _right("add", _table("GetItem PutItem UpdateItem")),
    "devices:update": _right("update", _table("GetItem UpdateItem")),
    "devices:rename": _right("update", _table("DeleteItem GetItem PutItem UpdateItem")),
    "devices:remove": _right("remove", _table("DeleteItem GetItem PutItem UpdateItem")),
    "devices:tidy": _right("tenants page removed forget", _table("DeleteItem Query") | _LISTS),
    "credentials:get": _right("get", _table("GetItem") | _HASH),
    "credentials:of-device": _right("of_device", _table("BatchGetItem GetItem")),
    "credentials:tokens": _right("of_kind", _LISTS),
    "credentials:add-key": _right("add", _table("BatchGetItem GetItem PutItem UpdateItem") | _HASH),
    "credentials:add-token": _right("add", _table("GetItem PutItem UpdateItem") | _HASH),
    "credentials:expire": _right("expire", _table("GetItem UpdateItem")),
    "credentials:remove": _right("remove", _table("DeleteItem GetItem UpdateItem")),
    "declarations:get": _right("get", _table("GetItem")),
    "declarations:list": _right("all", _table("Query")),
    "declarations:put": _right("put", _table("PutItem")),
    "declarations:remove": _right("remove", _table("DeleteItem")),
    "queue:write": _right("send", {QUEUE: ("sqs:SendMessage",), TABLE: ("dynamodb:UpdateItem",)}),
    "queue:read": _right("ledger oldest_age_s check", {QUEUE: (_ASK_QUEUE,), TABLE: ("dynamodb:Query",)}),
    "queue:consume": _right("adopt settled bury discard", {QUEUE: _TAKE, TABLE: _BURY}),
    "queue:tidy": _right("tidy", {DEAD_LETTERS: _EMPTY, TABLE: _BURY}),
    "queue:list-letters": _right("dead_letters", {DEAD_LETTERS: _EMPTY, TABLE: (*_BURY, "dynamodb:Query")}),
    "queue:read-letter": _right("dead_letter", _table("GetItem Query")),
    "queue:replay-letter": _right(
        "replay", {QUEUE: ("sqs:SendMessage",)} | _table("DeleteItem GetItem Query UpdateItem")
    ),
    "queue:discard-letter": _right("discard_letter", _table("DeleteItem GetItem Query UpdateItem")),
    "presence:get": _right("read", _table("BatchGetItem")),
    "presence:list": _right("online", _table("Query")),
    "presence:check": _right("check", _table("GetItem")),
    "presence:mark": _right("mark", _table("UpdateItem")),
    "presence:forget": _right("forget", _table("DeleteItem")),
    "audit:read": _right("page", _table("Query")),
    "audit:write": _right("append", _table("PutItem UpdateItem")),
    "commands:get": _right("get", _table("GetItem")),
    "commands:list": _right("page", _table("GetItem Query")),
    "commands:count": _right("counts", _table("Query")),
    "commands:send": _right("get backlog add", _table("BatchGetItem GetItem PutItem Query UpdateItem")),
    "commands:fetch": _right("revision pending advance", _table("BatchGetItem GetItem PutItem Query UpdateItem")),
    "commands:settle": _right("get advance", _table("DeleteItem GetItem PutItem UpdateItem")),
    "commands:purge": _right("purge", _table("DeleteItem Query UpdateItem")),
    "commands:tidy": _right("expire forget", _table("DeleteItem GetItem PutItem Query UpdateItem") | _LISTS),
    "twins:get": _right("get", _table("GetItem")),
    "twins:change": _right("get put", _table("BatchGetItem DeleteItem GetItem PutItem UpdateItem")),
    "twins:purge": _right("purge", _table("BatchGetItem DeleteItem UpdateItem")),
    "mqtt:read": _right("check", {}),
    "idempotency:write": _right("begin finish", _table("PutItem UpdateItem")),
    "idempotency:tidy": _right("expire", {}),
    "counters:read": _right("totals since flush", _table("Query")),
    "counters:write": _right("add flush", _table("UpdateItem")),
    "counters:tidy": _right("expire", _table("DeleteItem Query")),
    "limiter:write": _right("take", _table("UpdateItem")),
    "readings:read": _right("read latest aggregate survey count risks check", {}),
    "readings:write": _right("write", {}),
    "readings:delete": _right("delete purge retain", {}),
}


def methods_of(uses: frozenset[str], port: str) -> frozenset[str]:
    """The methods of *port* that *uses* allow."""
    return frozenset().union(*(right.methods for name, right in RIGHTS.items() if name in uses and _port(name) == port))


def _port(use: str) -> str:
    return use.partition(":")[0]
