"""One deployment for all tests of this folder, as `python3 -m infra deploy --stage local` makes it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.aws import deployment, packaging
from infra.emulators import stacks
from infra.emulators.localstack import server
from infra.emulators.recipes import DYNAMODB
from infra.failure import Failure
from tests.api.client import Client
from tests.api.deployed import Deployed
from tests.api.service import GENEROUS
from tests.backends import absent


class Deployment(NamedTuple):
    """What was deployed.

    Attributes:
        url: Of the API.
        note: The file by which the API's tests find it.
        variables: Settings, and how to reach the emulators.
        connect: Makes clients of AWS's services.
        service: The deployment as a service of the API's tests.
    """

    url: str
    note: Path
    variables: dict[str, str]
    connect: Callable[[str], Any]
    service: Deployed

    @property
    def nobody(self) -> Client:
        """A client without credentials."""
        return Client(self.url)


@pytest.fixture(scope="package")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The deployment; skipped without Java, Maven or Python 3.13, failed where the environment insists.

    It ends with this folder's tests: its settings are in the environment, which what others start would inherit.
    """
    try:
        packaging.environment(packaging.FOLDER)
        server.installed()
        DYNAMODB.jars.resolve()
    except Failure as missing:
        absent("localstack", str(missing))
    home = tmp_path_factory.mktemp("localstack")
    with stacks.localstack(home) as emulated, pytest.MonkeyPatch.context() as patch:
        for name, value in {**GENEROUS, **emulated}.items():
            patch.setenv(name, value)
        with _note_put_aside(home / "deployed.json"):
            yield _deploy(home, emulated)


@contextmanager
def _note_put_aside(aside: Path) -> Iterator[None]:
    """A developer may have a deployment of this checkout, of which chalice's note tells."""
    if deployment.DEPLOYED.exists():
        shutil.move(deployment.DEPLOYED, aside)
    try:
        yield
    finally:
        deployment.forget()
        if aside.exists():
            shutil.move(aside, deployment.DEPLOYED)


def _deploy(home: Path, emulated: dict[str, str]) -> Deployment:
    data = home / "data"
    data.mkdir()
    variables = deployment.settings(emulated, data)
    url = deployment.deploy(variables)
    note = home / "deployment.json"
    note.write_text(json.dumps({"url": url, "variables": variables}), encoding="utf-8")
    return Deployment(url, note, variables, stacks.connection(variables), Deployed(note))
