"""DynamoDB Local and ElasticMQ for tests, one of each a run."""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.emulators.recipes import DYNAMODB, ELASTICMQ
from infra.emulators.server import Emulator, Recipe
from infra.failure import Failure
from tests.backends import absent


@contextmanager
def dynamodb() -> Iterator[Emulator]:
    """An empty DynamoDB Local; skip without Java or Maven, fail where the environment insists."""
    with _running(DYNAMODB, "dynamodb") as emulator:
        yield emulator


@contextmanager
def elasticmq() -> Iterator[Emulator]:
    """An empty ElasticMQ; skip without Java or Maven, fail where the environment insists."""
    with _running(ELASTICMQ, "elasticmq") as emulator:
        yield emulator


@contextmanager
def _running(recipe: Recipe, backend: str) -> Iterator[Emulator]:
    try:
        recipe.jars.resolve()
    except Failure as failure:
        absent(backend, str(failure))
    with Emulator(recipe) as emulator:
        yield emulator
