"""What chalice makes of this project, made once for all tests."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.aws import files, layer, packaging
from infra.failure import Failure
from tests.backends import absent


@pytest.fixture(scope="session")
def environment() -> Path:
    """The environment that packages; skipped where there is no Python of Lambda's version."""
    try:
        return packaging.environment(packaging.FOLDER)
    except Failure as missing:
        absent("python3.13", str(missing))


@pytest.fixture(scope="session")
def prod(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `sam.json`, `deployment.zip` and the layer for prod."""
    out = tmp_path_factory.mktemp("prod") / "out"
    packaging.package(environment, "prod", out, "--merge-template", str(files.FOLDER / "template-prod.json"))
    layer.build(environment, "arm64", out)
    return out


@pytest.fixture(scope="session")
def template(prod: Path) -> Mapping[str, Any]:
    """The SAM template of prod."""
    found: Mapping[str, Any] = json.loads((prod / "sam.json").read_text())
    return found


@pytest.fixture(scope="session")
def terraform(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The Terraform template of prod."""
    out = tmp_path_factory.mktemp("terraform") / "out"
    packaging.package(environment, "prod", out, "--pkg-format", "terraform")
    found: Mapping[str, Any] = json.loads((out / "chalice.tf.json").read_text())
    return found


@pytest.fixture(scope="session")
def task(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked zip of the local stage, whose processor is this machine's; nobody may write into it."""
    out = tmp_path_factory.mktemp("local") / "out"
    packaging.package(environment, "local", out)
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(out / "deployment.zip") as archive:
        archive.extractall(folder)
    return folder
