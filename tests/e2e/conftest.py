"""Instances for tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation
from tests.e2e.instance import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """A running instance of the test's own; stopped, or what is left of it, at the end."""
    with Instance(tmp_path / "var") as running:
        yield running


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation that does not run, with a backup; tests leave both as they are."""
    return Installation(tmp_path_factory.mktemp("idle"))
