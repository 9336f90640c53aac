"""Clients of AWS's services, and what their failures mean here.

botocore alone: boto3 takes 25 ms more of every cold start and adds nothing that is used. Endpoint, region and
credentials are botocore's own variables (AWS_ENDPOINT_URL, AWS_REGION, ...), which Lambda and emulators set.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable

CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=32,
    tcp_keepalive=True,
)
"""Three attempts end well before API Gateway's 29 seconds do. A long poll needs more, see `LONG_POLL_S`."""
LONG_POLL_S = 2
"""How long a receive may wait for messages: within the read time-out of `CONFIG`."""

_CONFIGS = {"dynamodb": CONFIG.merge(Config(connect_timeout=1, read_timeout=2))}
"""A call of DynamoDB takes milliseconds, and one of our requests makes several."""
_AWAY = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "KmsAccessDenied",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ResourceNotFoundException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TransactionInProgressException",
        "UnrecognizedClientException",
    }
)
"""Errors of the account or the moment, beside those with status 5xx. Any other is a mistake in a call of ours."""
_NO_QUEUE = ("NonExistentQueue", "QueueDoesNotExist")
_lock = threading.Lock()
_session = cache(botocore.session.get_session)
"""One for all clients: it reads the descriptions of services that they share."""


def client(service: str) -> Any:
    """A new client, for any number of threads; connects to nothing yet."""
    with _lock:  # making clients is not safe in threads, using them is
        return _session().create_client(service, config=_CONFIGS.get(service, CONFIG))


def code_of(error: ClientError) -> str:
    """The error's word without the service's prefix: ``AWS.SimpleQueueService.NonExistentQueue`` ends so."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition(".")[2]


@contextmanager
def answers_of(service: str) -> Iterator[None]:
    """Translate failures of a call within the block.

    Args:
        service: Its name, for the sentence: ``SQS``.

    Raises:
        Unavailable: It is silent, refuses us, or has too much to do; the call may have had its effect.
    """
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = code_of(error)
        if status < 500 and code not in _AWAY and not code.endswith(_NO_QUEUE):
            raise
        message = f"{service} does not do it: {code or status}"
        raise Unavailable(message) from error
    except BotoCoreError as error:
        message = f"{service} does not answer: {type(error).__name__}"
        raise Unavailable(message) from error
