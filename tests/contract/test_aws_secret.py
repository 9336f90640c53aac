"""The pepper in AWS Secrets Manager."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.session import Session
from moto import mock_aws

from chalicelib.adapters import aws_secret
from chalicelib.errors import Unavailable
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.emulators.records import ACCESS


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client that may make secrets."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", ACCESS["region_name"])
    with mock_aws():
        client = Session().create_client("secretsmanager", **ACCESS)
        yield client
        client.close()


def test_the_pepper_is_read_by_name_and_by_arn_and_once(manager: Any) -> None:
    arn = manager.create_secret(Name="iotflow-prod/pepper", SecretString="p" * 64)["ARN"]
    assert Services(Settings(pepper_secret="iotflow-prod/pepper")).pepper == b"p" * 64
    services = Services(Settings(pepper_secret=arn))
    assert services.pepper == b"p" * 64
    manager.put_secret_value(SecretId=arn, SecretString="q" * 64)
    assert services.pepper == b"p" * 64


def test_the_variable_wins_over_the_secret() -> None:
    assert Services(Settings(pepper="v" * 16, pepper_secret="nowhere")).pepper == b"v" * 16


@pytest.mark.usefixtures("manager")
def test_a_secret_that_is_not_there_is_unavailable_and_no_other_is_made() -> None:
    with pytest.raises(Unavailable, match="Secrets Manager"):
        aws_secret.read("iotflow-prod/pepper")
