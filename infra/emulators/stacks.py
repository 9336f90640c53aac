"""AWS on this machine, whole: emulators, queue and table in them, and the settings by which programs find both."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import botocore.session

from infra.aws import lambda_process, packaging
from infra.emulators import resources
from infra.emulators.localstack.server import LocalStack
from infra.emulators.recipes import DYNAMODB, ELASTICMQ, Moto
from infra.emulators.server import Emulator

REGION = "us-east-1"
ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
"""What every client insists on; no emulator looks at it."""


@contextmanager
def localstack(home: Path) -> Iterator[dict[str, str]]:
    """LocalStack with DynamoDB Local, until the block ends; the settings of programs that use them.

    Args:
        home: Folder for files and logs.

    Raises:
        Failure: Something is missing, or does not start.
    """
    packages = packaging.environment(packaging.FOLDER)
    with Emulator(DYNAMODB) as records:
        elsewhere = {"AWS_ENDPOINT_URL_DYNAMODB": records.url}
        with LocalStack(home, runtime=_runtime(packages, home), elsewhere=elsewhere) as server:
            yield _ready({"AWS_ENDPOINT_URL": server.url, **elsewhere})


@contextmanager
def elasticmq(_home: Path) -> Iterator[dict[str, str]]:
    """ElasticMQ with DynamoDB Local, until the block ends; the settings of programs that use them.

    Raises:
        Failure: Something is missing, or does not start.
    """
    with ExitStack() as stack:
        queues, records = (stack.enter_context(Emulator(recipe)) for recipe in (ELASTICMQ, DYNAMODB))
        yield _ready({"AWS_ENDPOINT_URL_SQS": queues.url, "AWS_ENDPOINT_URL_DYNAMODB": records.url})


def connection(variables: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes clients of the services that *variables* name."""
    session = botocore.session.get_session()

    def connect(service: str) -> Any:
        named = variables.get(f"AWS_ENDPOINT_URL_{service.upper()}", variables.get("AWS_ENDPOINT_URL"))
        return session.create_client(
            service,
            endpoint_url=named,
            region_name=REGION,
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )

    return connect


def _ready(urls: dict[str, str]) -> dict[str, str]:
    return {**ACCESS, **urls, "IOTFLOW_QUEUE": "sqs", "IOTFLOW_DEVICES": "dynamodb", **resources.make(connection(urls))}


def _runtime(packages: Path, home: Path) -> Path:
    """The folder of what Lambda provides; made anew, since its links may lead to what is gone."""
    folder = home.absolute() / "runtime"
    shutil.rmtree(folder, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    return lambda_process.provide(packages, folder)


@contextmanager
def moto(_home: Path) -> Iterator[dict[str, str]]:
    """Moto's server, until the block ends; the settings of programs that use it.

    No event source mapping is made in it: moto would call a function that does nothing, and delete the messages.

    Raises:
        Failure: It is missing, or does not start.
    """
    with Emulator(Moto()) as server:
        yield _ready({"AWS_ENDPOINT_URL": server.url})


KINDS: dict[str, Callable[[Path], AbstractContextManager[dict[str, str]]]] = {
    "localstack": localstack,
    "elasticmq": elasticmq,
    "moto": moto,
}
