"""The way to DynamoDB: a client that is made on first use, and its failures in our words."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.dynamo_requests import Item, decoded
from chalicelib.errors import TooLarge, Unavailable

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.exceptions import ClientError

CONNECT_S, READ_S = 1.0, 2.0
TRIES = 3
"""Of one call over the network, the first included: at most ten seconds for all of them."""
COLLISIONS = 20
"""How often a write is tried when others write the same items at the same time."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.3
CONNECTIONS = 32
_SILENT = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
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
    """A client for all threads; what it is told besides comes from the environment, as everywhere with AWS.

    Args:
        endpoint_url: Where DynamoDB is; empty for AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, or AWS.
        region: Of AWS; empty for AWS_DEFAULT_REGION.
    """

    def __init__(self, endpoint_url: str = "", region: str = "") -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._lock = threading.Lock()
        self._made: BaseClient | None = None

    def call(self, operation: str, **options: Any) -> dict[str, Any]:
        """Call DynamoDB, again with random pauses while others write the same items.

        Raises:
            Refused: A condition does not hold.
            TooLarge: An item would be over DynamoDB's limit.
            Unavailable: No answer, or DynamoDB asks to come back later.
        """
        from botocore.exceptions import ClientError

        method = getattr(self._client(), operation)
        for pause_s in pauses():
            try:
                with _translated():
                    answer: dict[str, Any] = method(**options)
            except ClientError as error:
                if not _collided(error):
                    raise
                time.sleep(pause_s)
            else:
                return answer
        raise unavailable("is busy")

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    def _client(self) -> "BaseClient":
        with self._lock:
            if self._made is None:
                # boto3 would bring 60 modules more for the same client.
                from botocore.config import Config
                from botocore.session import Session

                config = Config(
                    connect_timeout=CONNECT_S,
                    read_timeout=READ_S,
                    retries={"mode": "standard", "total_max_attempts": TRIES},
                    max_pool_connections=CONNECTIONS,
                )
                self._made = Session().create_client(
                    "dynamodb",
                    region_name=self._region or None,
                    endpoint_url=self._endpoint_url or None,
                    config=config,
                )
            return self._made


def pauses() -> Iterator[float]:
    """Pauses between tries in s, longer and longer, and random so that two who collided do not meet again."""
    pause_s = FIRST_PAUSE_S
    for _ in range(COLLISIONS):
        yield random.uniform(0, pause_s)  # noqa: S311 - no secret
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def unavailable(what: str) -> Unavailable:
    """What a caller is told when the table cannot be asked."""
    return Unavailable(f"The record store {what}")


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnection

    try:
        yield
    except (NoConnection, HTTPClientError) as error:
        raise unavailable("does not answer") from error
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ResourceNotFoundException":
            raise unavailable("has no table") from error
        if code in _SILENT:
            raise unavailable("is busy") from error
        if code == "ConditionalCheckFailedException":
            raise Refused(0, _found(error.response)) from error
        if code == "ValidationException" and "size" in message:
            raise TooLarge("This is more than one record can hold", limit="400 kB") from error
        _refuse(error)
        raise


def _refuse(error: "ClientError") -> None:
    """Raise `Refused` when a condition of a transaction was the reason."""
    for at, reason in enumerate(error.response.get("CancellationReasons", [])):
        if reason.get("Code") == "ConditionalCheckFailed":
            raise Refused(at, _found(reason)) from error


def _collided(error: "ClientError") -> bool:
    if error.response["Error"]["Code"] == "TransactionConflictException":
        return True
    codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    return bool(codes & _COLLIDED)


def _found(response: Any) -> Item | None:
    item = response.get("Item")
    return decoded(item) if item else None
