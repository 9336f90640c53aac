"""Idempotency keys in DynamoDB."""

from contextlib import suppress

from chalicelib.adapters.dynamo_connection import Refused
from chalicelib.adapters.dynamo_requests import Key, path, put, update
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.memory_idempotency import KEPT_MS, known
from chalicelib.ports import Attempt

_FIRST = "attribute_not_exists(#pk) OR #started_ms <= :over_ms"
_UNANSWERED = "attribute_exists(#pk) AND attribute_not_exists(#answer)"


class DynamoIdempotency:
    """First answers by (caller, key). The table forgets them by itself after a day, so `expire` has nothing to do."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def begin(self, caller: str, key: str, fingerprint: str, *, now_ms: int) -> Attempt:
        values = {"fingerprint": fingerprint, "started_ms": now_ms, "expires_s": (now_ms + KEPT_MS) // 1000 + 1}
        try:
            self._table.write(put(_key(caller, key), values, _FIRST, over_ms=now_ms - KEPT_MS))
        except Refused as refused:
            first = refused.found or {}
            return known(fingerprint, first["fingerprint"], first["started_ms"], first.get("answer"))
        return Attempt(now_ms, None)

    def finish(self, caller: str, key: str, answer: str) -> None:
        with suppress(Refused):  # it has an answer, or was never begun
            self._table.write(update(_key(caller, key), "SET #answer = :answer", _UNANSWERED, answer=answer))

    def expire(self, *, before_ms: int) -> int:  # noqa: ARG002 - see the class
        return 0


def _key(caller: str, key: str) -> Key:
    return Key(path("once", caller, key))
