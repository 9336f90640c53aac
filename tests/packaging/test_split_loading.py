"""Who loads the splitter: chalice's command line, and nobody else."""

import os
import subprocess
import sys

import pytest

from infra.bootstrap import ROOT

LOADED = "import sys, app; print(sorted(name for name in sys.modules if name.partition('.')[0] == 'infra')[:1])"


@pytest.mark.parametrize(("variables", "loaded"), [({}, "[]"), ({"AWS_CHALICE_CLI_MODE": "true"}, "['infra']")])
def test_the_app_loads_the_splitter_for_chalices_command_line_only(variables: dict[str, str], loaded: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AWS_CHALICE_CLI_MODE"}
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == loaded
