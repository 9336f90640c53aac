"""What each ``port:action`` of a declaration means: the methods of the port, and what they need on AWS.

Source of actions: AWS, Service Authorization Reference, for Amazon DynamoDB and Amazon SQS. A transaction needs the
rights of the writes in it. Readings and Redis are reached over the network and need no right of IAM.
"""

from typing import NamedTuple

TABLE, INDEXES, QUEUE, DEAD_LETTERS, PEPPER = "table", "indexes", "queue", "dead_letters", "pepper"

_LISTS = {INDEXES: ("dynamodb:Query",)}
_HASH = {PEPPER: ("secretsmanager:GetSecretValue",)}
_ASK_QUEUE = "sqs:GetQueueAttributes"
_BURY = ("dynamodb:PutItem", "dynamodb:UpdateItem")
_TAKE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", _ASK_QUEUE, "sqs:ReceiveMessage")


class Right(NamedTuple):
    """A port's methods, and the AWS actions by the resource they act on."""

    methods: frozenset[str]
    actions: dict[str, tuple[str, ...]]


def _table(actions: str) -> dict[str, tuple[str, ...]]:
    return {TABLE: tuple(f"dynamodb:{action}" for action in actions.split())}


def _right(methods: str, actions: dict[str, tuple[str, ...]]) -> Right:
    return Right(frozenset(methods.split()), actions)


RIGHTS: dict[str, Right] = {
    "devices:read": _right(
        "get find removed existing page count stats tenants revision check",
        _table("BatchGetItem GetItem Query") | _LISTS,
    ),
    "devices:write": _right("add update remove forget", _table("DeleteItem GetItem PutItem UpdateItem")),
    "credentials:read": _right("get of_device of_kind", _table("BatchGetItem GetItem") | _LISTS | _HASH),
    "credentials:write": _right(
        "add expire remove", _table("BatchGetItem DeleteItem GetItem PutItem UpdateItem") | _HASH
    ),
    "declarations:read": _right("get all", _table("GetItem Query")),
    "declarations:write": _right("put remove", _table("DeleteItem PutItem")),
    "queue:write": _right("send", {QUEUE: ("sqs:SendMessage",), TABLE: ("dynamodb:UpdateItem",)}),
    "queue:read": _right("ledger oldest_age_s check", {QUEUE: (_ASK_QUEUE,), TABLE: ("dynamodb:Query",)}),
    "queue:consume": _right(
        "adopt settled receive delete release bury discard", {QUEUE: (*_TAKE, "sqs:SendMessage"), TABLE: _BURY}
    ),
    "queue:tidy": _right("tidy", {DEAD_LETTERS: ("sqs:DeleteMessage", "sqs:ReceiveMessage"), TABLE: _BURY}),
    "queue:dead-letters": _right(
        "dead_letters dead_letter replay discard_letter",
        {
            QUEUE: ("sqs:SendMessage",),
            DEAD_LETTERS: ("sqs:DeleteMessage", "sqs:ReceiveMessage"),
            TABLE: (*_BURY, "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query"),
        },
    ),
    "presence:read": _right("read online check", _table("BatchGetItem GetItem Query")),
    "presence:write": _right("mark forget", _table("DeleteItem UpdateItem")),
    "audit:read": _right("page", _table("Query")),
    "audit:write": _right("append", _table("PutItem UpdateItem")),
    "commands:read": _right(
        "get pending queued backlog page counts revision check", _table("BatchGetItem GetItem Query")
    ),
    "commands:write": _right("add advance purge", _table("BatchGetItem DeleteItem GetItem PutItem Query UpdateItem")),
    "commands:tidy": _right("expire forget", _table("DeleteItem GetItem PutItem Query UpdateItem") | _LISTS),
    "twins:read": _right("get changed revision check", _table("BatchGetItem GetItem Query")),
    "twins:write": _right("put purge", _table("BatchGetItem DeleteItem PutItem UpdateItem")),
    "mqtt:read": _right("check", {}),
    "idempotency:write": _right("begin finish", _table("PutItem UpdateItem")),
    "idempotency:tidy": _right("expire", {}),
    "counters:read": _right("totals since flush", _table("Query")),
    "counters:write": _right("add flush", _table("UpdateItem")),
    "counters:tidy": _right("expire", _table("DeleteItem Query")),
    "limiter:write": _right("take check", _table("GetItem UpdateItem")),
    "readings:read": _right("read latest aggregate survey count check risks", {}),
    "readings:write": _right("write", {}),
    "readings:delete": _right("delete purge retain", {}),
}


def methods_of(uses: frozenset[str], port: str) -> frozenset[str]:
    """The methods of *port* that *uses* allow."""
    return frozenset().union(*(right.methods for name, right in RIGHTS.items() if name in uses and _port(name) == port))


def _port(use: str) -> str:
    return use.partition(":")[0]
