"""The API's own tests, and the README's examples, against the deployment.

LocalStack answers some 35 calls a second, so these are the files that cover each resource; of the rest, hostile
requests, access for every scope and conventions of every route test what functions run alike wherever they run.
"""

import os
import subprocess
import sys

import pytest

from infra.bootstrap import ROOT
from tests.api import deployed as marker
from tests.contract.eventually import eventually
from tests.deployment.conftest import Deployment
from tests.e2e.test_readme import LOUD_CURL, blocks

FILES = ("aggregates", "commands", "configuration", "devices", "history", "readings", "repeats", "twin")
NOT_OF_A_DEPLOYMENT = "not more_devices_than_threads"
"""About the threads of our own front."""
PATIENCE_S = 60.0


@pytest.mark.parametrize("name", FILES)
def test_the_apis_tests_pass(deployed: Deployment, name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-k", NOT_OF_A_DEPLOYMENT, f"tests/api/test_{name}.py"],
        cwd=ROOT,
        env={**os.environ, marker.VARIABLE: str(deployed.note)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]


def test_every_curl_example_of_the_readme_works(deployed: Deployment) -> None:
    """As in `tests.e2e.test_readme`, with the URL of the deployment, and the id of the device that it registers."""
    admin = deployed.service.admin.headers["Authorization"].removeprefix("Bearer ")
    device_id = deployed.service.device().id + 1
    script = LOUD_CURL + "".join(blocks("bash")).replace("http://localhost:5000", deployed.url)
    ran = subprocess.run(
        ["bash", "-c", script.replace("/telemetry/1", f"/telemetry/{device_id}")],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": admin},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

    def stored() -> bool:
        """A busy machine may take longer than the examples wait."""
        latest = deployed.nobody.get(f"/api/v1/telemetry/{device_id}/latest").json["latest_data"]
        return bool(latest.get("temperature") == 23.5)

    assert eventually(stored, PATIENCE_S)
