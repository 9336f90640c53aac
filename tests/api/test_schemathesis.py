"""schemathesis finds nothing: examples, coverage, fuzzing and stateful tests, all checks, signed in and not.

The seed is fixed, so that a run means the same everywhere. To look for more, and longer:

    SCHEMATHESIS_EXAMPLES=1000 SCHEMATHESIS_SEED=7 python3 -m infra test api -k schemathesis --timeout=0
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from tests.api.client import Client
from tests.api.service import ROOT, Service

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "40")
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")


def fuzz(service: Service, folder: Path, data: str) -> str:
    """Run it against *service*; returns what it says, and fails if it finds anything."""
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.api.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    if data:
        environment["IOTFLOW_DATA"] = data
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(ROOT / "tests/api/schemathesis.toml")),
            *("run", f"{service.url}/openapi.json"),
            *("--seed", SEED, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-shrink"),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    return run.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "anonymous"])
def test_schemathesis_finds_nothing(service: Service, tmp_path: Path, signed_in: bool) -> None:
    """Every operation is reached, in every phase; the process is the same afterwards, and its log has no traceback."""
    pid = service.pid
    said = fuzz(service, tmp_path, str(service.data) if signed_in else "")
    operations = int(re.findall(r"Tested: (\d+)", said)[0])
    described = sum(map(len, service.nobody.get("/openapi.json").json["paths"].values()))
    assert operations in {described, described - 1}, "some releases leave out the description itself"
    assert all(f"✅ {phase}" in said for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"))
    assert service.pid == pid
    assert service.nobody.get("/health").status == 200
    assert "Traceback" not in service.log


def test_the_description_is_valid_openapi(nobody: Client) -> None:
    document = nobody.get("/openapi.json").json
    jsonschema_rs.Draft202012Validator(OPENAPI_31).validate(document)
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_every_link_leads_to_an_operation_and_its_parameters(nobody: Client) -> None:
    paths = nobody.get("/openapi.json").json["paths"]
    operations = {operation["operationId"]: operation for methods in paths.values() for operation in methods.values()}
    links = [
        link
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert links
    for link in links:
        known = {parameter["name"] for parameter in operations[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= known
