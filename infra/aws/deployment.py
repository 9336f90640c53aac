"""`chalice deploy` of the local stage to emulators: the whole app, each endpoint a running function."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalicelib.settings import variables
from infra.aws import packaging
from infra.aws.configuration import NOT_HANDED_ON
from infra.bootstrap import ROOT
from infra.commands.test import without_settings
from infra.failure import Exit, Failure

STAGE = "local"
DEPLOYED = ROOT / ".chalice" / "deployed" / f"{STAGE}.json"
"""Where chalice notes what it made."""
STORES = {"IOTFLOW_STORE": "sqlite"}
"""All functions are processes of this machine, and may share a file."""


def settings(emulated: Mapping[str, str], data: Path) -> dict[str, str]:
    """What functions, and whoever works on their records, are told.

    Args:
        emulated: How to reach the emulators, see `infra.emulators.stacks`.
        data: Folder of embedded databases.
    """
    given = {name: os.environ[name] for name in _names() - NOT_HANDED_ON if name in os.environ}
    return {**STORES, "IOTFLOW_DATA": str(data.absolute()), **given, **emulated}


def deploy(chosen: Mapping[str, str]) -> str:
    """Deploy; returns the URL of the API.

    Args:
        chosen: As `settings` made them.

    Raises:
        Failure: It cannot be packaged or deployed; with chalice's last words.
    """
    environment = packaging.environment(packaging.FOLDER)
    done = subprocess.run(
        [str(environment / "bin" / "chalice"), "deploy", "--stage", STAGE],
        cwd=ROOT,
        env={**without_settings(os.environ), **chosen},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-packaging.TAIL_LINES :])
        message = f"chalice deploy --stage {STAGE} failed: {last}"
        raise Failure(message, Exit.FAILED)
    (api,) = (each for each in resources() if each["resource_type"] == "rest_api")
    return f"{chosen['AWS_ENDPOINT_URL']}/_aws/execute-api/{api['rest_api_id']}/{STAGE}"


def resources() -> list[dict[str, Any]]:
    """What chalice noted."""
    found: list[dict[str, Any]] = json.loads(DEPLOYED.read_text(encoding="utf-8"))["resources"]
    return found


def forget() -> None:
    """Drop chalice's note: what it tells of went with its emulator."""
    DEPLOYED.unlink(missing_ok=True)


def _names() -> set[str]:
    return {name for variable in variables().values() for name in variable.names}
