"""A running service for each file of tests, and who calls it."""

from collections.abc import Iterator

import pytest

from chalicelib.model import Scope
from tests.api.client import Client
from tests.api.deployed import deployed
from tests.api.service import RegisteredDevice, Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real front and consumer, in the local stage on loopback; or a deployment, see `deployed`."""
    deployment = deployed()
    if deployment is not None:
        yield deployment
        return
    with running(tmp_path_factory.mktemp("service")) as one:
        yield one


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    """Where it listens."""
    return service.url


@pytest.fixture
def nobody(service: Service) -> Client:
    """A client without credentials."""
    return service.nobody


@pytest.fixture
def device(service: Service) -> RegisteredDevice:
    """A device of the test's own."""
    return service.device()


@pytest.fixture
def other_device(service: Service) -> RegisteredDevice:
    """Another one."""
    return service.device()


@pytest.fixture(scope="module")
def admin(service: Service) -> Client:
    """An administrator."""
    return service.admin


@pytest.fixture(scope="module")
def holders(service: Service) -> dict[Scope, Client]:
    """For each scope a client whose token has it and no other."""
    return {scope: service.nobody.with_token(service.token(scope)) for scope in Scope}
