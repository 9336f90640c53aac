"""The variables a command works with: options win over the environment, the environment over the file `.env`."""

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path

from infra.bootstrap import ROOT
from infra.failure import Exit, Failure

VARIABLES = {
    "host": "HOST",
    "port": "PORT",
    "mqtt_port": "MQTT_PORT",
    "data": "IOTFLOW_DATA",
    "store": "IOTFLOW_STORE",
}
"""Option -> the variable it stands for."""

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_VALUE = re.compile(r"""'([^']*)'\s*(?:\#.*)?|"([^"]*)"\s*(?:\#.*)?|(.*?)(?:\s+\#.*)?""")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every command that looks for an instance."""
    parser.add_argument("--data", metavar="DIR", help="data directory [IOTFLOW_DATA, var]")
    parser.add_argument("--env", metavar="FILE", help="file with settings [.env]")


def gather(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Merge options, environment and file.

    Raises:
        Failure: The file is missing although it was asked for, or a line of it is no assignment.
    """
    file = Path(options.env) if options.env else ROOT / ".env"
    if options.env and not file.exists():
        message = f"there is no file {file}; --env takes a file of NAME=VALUE lines"
        raise Failure(message, Exit.BAD_OPTION)
    from_file = read_env_file(file) if file.exists() else {}
    given = {name: getattr(options, option, None) for option, name in VARIABLES.items()}
    found = {**from_file, **environment, **{name: str(value) for name, value in given.items() if value is not None}}
    home = _home(found)
    return found if not home or found.get("IOTFLOW_STORE", "").strip() else {**found, "IOTFLOW_STORE": home}


def require_home(variables: Mapping[str, str]) -> None:
    """Refuse to work with another store than the one that has the telemetry.

    Raises:
        Failure: `move-store` has moved it, and a setting names the old store.
    """
    given, home = variables.get("IOTFLOW_STORE", "").strip(), _home(variables)
    if home and given and given != home:
        message = (
            f"the telemetry of {data_folder(variables)} is in {home}, and IOTFLOW_STORE={given}: "
            f"set IOTFLOW_STORE={home}, or move it with move-store --to {given}"
        )
        raise Failure(message, Exit.BAD_OPTION)


def _home(variables: Mapping[str, str]) -> str:
    """The store that `move-store` moved to, if it ever did."""
    from chalicelib.adapters.gated_readings import FILE, read_home

    return read_home(data_folder(variables) / FILE).store


def data_folder(variables: Mapping[str, str]) -> Path:
    """The data directory, absolute."""
    from chalicelib.settings import Settings

    given = variables.get("IOTFLOW_DATA", "").strip()
    return (Path(given).expanduser() if given else Settings().data).absolute()


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines, with or without quotes and `export`; `#` begins a comment.

    Raises:
        Failure: A line is something else.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(text)
        value = _VALUE.fullmatch(assignment[2]) if assignment else None
        if assignment is None or value is None:
            message = f"{path} line {number} is not NAME=VALUE"
            raise Failure(message, Exit.BAD_OPTION)
        found[assignment[1]] = value[1] or value[2] or value[3] or ""
    return found
