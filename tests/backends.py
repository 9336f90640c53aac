"""Programs that some tests need and a laptop may lack."""

import os
import shutil
from typing import NoReturn

import pytest


def require_program(program: str, *, backend: str, package: str) -> str:
    """The path of *program*; without it the test is skipped, or fails where the environment insists.

    Args:
        program: What has to be on the PATH.
        backend: Its word in IOTFLOW_TEST_REQUIRE, a comma-separated list of backends that must be there.
        package: Debian's package of it.
    """
    path = shutil.which(program)
    if path is None:
        absent(backend, f"{program} is missing: apt-get install {package}")
    return path


def absent(backend: str, missing: str) -> NoReturn:
    """Skip the test, with the remedy in *missing*; fail it where the environment insists on *backend*."""
    if backend in os.environ.get("IOTFLOW_TEST_REQUIRE", "").split(","):
        pytest.fail(f"{missing} (IOTFLOW_TEST_REQUIRE asks for {backend})")
    pytest.skip(missing)
