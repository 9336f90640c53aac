"""The way to DynamoDB: its client, conditions that do not hold, and writes that collide."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters import aws_client
from chalicelib.adapters.dynamo_requests import Item, decoded
from chalicelib.errors import TooLarge, Unavailable

COLLISIONS = 20
"""How often a write is tried when others write the same items at the same time."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.3
_COLLIDED = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"})


class Refused(Exception):
    """A condition did not hold.

    Attributes:
        at: Which of the writes it was, from 0; the first one when there are several.
        found: What is there instead, as far as DynamoDB told.
    """

    def __init__(self, at: int, found: Item | None) -> None:
        super().__init__(at)
        self.at = at
        self.found = found


class Connection:
    """A client for all threads, made on first use.

    Args:
        connect: Makes clients.
    """

    def __init__(self, connect: Callable[[str], Any] = aws_client.client) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Any = None

    def open(self) -> Any:
        """The client; making it takes a while, and connects to nothing."""
        with self._lock:
            if self._client is None:
                self._client = self._connect("dynamodb")
            return self._client

    def call(self, operation: str, **options: Any) -> dict[str, Any]:
        """Call DynamoDB, again with random pauses while others write the same items.

        Raises:
            Refused: A condition does not hold.
            TooLarge: An item would be over DynamoDB's limit.
            Unavailable: No answer, or DynamoDB asks to come back later.
        """
        method = getattr(self.open(), operation)
        for pause_s in pauses():
            try:
                with aws_client.answers_of("DynamoDB"), _conditions():
                    answer: dict[str, Any] = method(**options)
            except _CollisionError:
                time.sleep(pause_s)
            else:
                return answer
        raise busy()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


class _CollisionError(Exception):
    """Somebody else writes the same items."""


def pauses() -> Iterator[float]:
    """Pauses between tries in s, longer and longer, and random so that two who collided do not meet again."""
    pause_s = FIRST_PAUSE_S
    for _ in range(COLLISIONS):
        yield random.uniform(0, pause_s)  # noqa: S311 - no secret
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def busy() -> Unavailable:
    """What a caller is told when others were faster each time."""
    return Unavailable("DynamoDB does not do it: too many write the same", retry_after_s=1)


@contextmanager
def _conditions() -> Iterator[None]:
    """Tell refusals from failures, which `aws_client` translates."""
    try:
        yield
    except ClientError as error:
        code, message = str(error.response["Error"]["Code"]), error.response["Error"].get("Message", "")
        reasons: list[Any] = error.response.get("CancellationReasons", [])
        if code == "ConditionalCheckFailedException":
            raise Refused(0, _found(error.response)) from error
        for at, reason in enumerate(reasons):
            if reason.get("Code") == "ConditionalCheckFailed":
                raise Refused(at, _found(reason)) from error
        if code == "TransactionConflictException" or any(reason.get("Code") in _COLLIDED for reason in reasons):
            raise _CollisionError from error
        texts = [message, *(reason.get("Message") or "" for reason in reasons)]
        if any("tem size" in text for text in texts):  # of an item, or the item to update
            raise TooLarge("This is more than one record can hold", limit="400 kB") from error
        raise


def _found(response: Any) -> Item | None:
    item = response.get("Item")
    return decoded(item) if item else None
