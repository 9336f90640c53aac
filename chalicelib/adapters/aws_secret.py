"""A secret that AWS Secrets Manager keeps."""

from collections.abc import Callable
from typing import Any

from chalicelib.adapters import aws_client


def read(secret_id: str, *, connect: Callable[[str], Any] = aws_client.client) -> bytes:
    """The secret's newest text; ask once and keep it, each call takes a round trip and costs money.

    Args:
        secret_id: Its name or ARN.
        connect: Makes clients.

    Raises:
        Unavailable: Secrets Manager does not answer, or has no such secret for us.
    """
    client = connect("secretsmanager")
    try:
        with aws_client.answers_of("Secrets Manager"):
            answer = client.get_secret_value(SecretId=secret_id)
    finally:
        client.close()
    return str(answer["SecretString"]).encode()
