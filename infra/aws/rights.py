"""What each ``port:action`` of a declaration means: the methods of the port, and what they need on AWS.

Source of actions: AWS, Service Authorization Reference, for Amazon DynamoDB and Amazon SQS. A transaction needs the
rights of the writes in it. Readings and Redis are reached over the network and need no right of IAM.
"""

from typing import NamedTuple

TABLE, INDEXES, QUEUE, DEAD_LETTERS = "table", "indexes", "queue", "dead_letters"

_GET = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
_PUT = (
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
_READ_TABLE = {TABLE: _GET, INDEXES: ("dynamodb:Query",)}
_WRITE_TABLE = {TABLE: _PUT, INDEXES: ("dynamodb:Query",)}
_ASK_QUEUE = "sqs:GetQueueAttributes"
_BURY = ("dynamodb:PutItem", "dynamodb:UpdateItem")
_TAKE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", _ASK_QUEUE, "sqs:ReceiveMessage")


class Right(NamedTuple):
    """A port's methods, and the AWS actions by the resource they act on."""

    methods: frozenset[str]
    actions: dict[str, tuple[str, ...]]


def _right(methods: str, actions: dict[str, tuple[str, ...]]) -> Right:
    return Right(frozenset(methods.split()), actions)


RIGHTS: dict[str, Right] = {
    "devices:read": _right(
        "get find removed existing page count stats tenants revision check",
        {TABLE: ("dynamodb:DescribeTable", *_GET), INDEXES: ("dynamodb:Query",)},
    ),
    "devices:write": _right("add update remove forget", _WRITE_TABLE),
    "credentials:read": _right("get of_device of_kind", _READ_TABLE),
    "credentials:write": _right("add expire remove", _WRITE_TABLE),
    "declarations:read": _right("get all", _READ_TABLE),
    "declarations:write": _right("put remove", _WRITE_TABLE),
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
    "presence:read": _right("read online check", _READ_TABLE),
    "presence:write": _right("mark forget", _WRITE_TABLE),
    "audit:read": _right("page", _READ_TABLE),
    "audit:write": _right("append", _WRITE_TABLE),
    "commands:read": _right("get pending backlog page counts revision check", _READ_TABLE),
    "commands:write": _right("add advance expire forget purge", _WRITE_TABLE),
    "twins:read": _right("get changed revision check", _READ_TABLE),
    "twins:write": _right("put purge", _WRITE_TABLE),
    "mqtt:read": _right("check", {}),
    "idempotency:write": _right("begin finish expire", _WRITE_TABLE),
    "counters:read": _right("totals since flush", _READ_TABLE),
    "counters:write": _right("add expire flush", _WRITE_TABLE),
    "limiter:write": _right("take check", _WRITE_TABLE),
    "readings:read": _right("read latest aggregate survey count check", {}),
    "readings:write": _right("write", {}),
    "readings:delete": _right("delete purge retain", {}),
}


def methods_of(uses: frozenset[str], port: str) -> frozenset[str]:
    """The methods of *port* that *uses* allow."""
    return frozenset().union(*(right.methods for name, right in RIGHTS.items() if name in uses and _port(name) == port))


def _port(use: str) -> str:
    return use.partition(":")[0]
