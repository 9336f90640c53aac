"""The generated files in .chalice/: written by a command, compared by a test."""

import json
from pathlib import Path
from typing import Any

from infra.aws import configuration, policies, template
from infra.bootstrap import ROOT
from infra.failure import Exit, Failure

FOLDER = ROOT / ".chalice"


def read_config(folder: Path = FOLDER) -> dict[str, Any]:
    """`.chalice/config.json`, checked.

    Raises:
        ConfigurationError: It says something without effect.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    configuration.check(config)
    return config


def generated(folder: Path = FOLDER) -> dict[Path, str]:
    """Every generated file and what belongs in it."""
    config = read_config(folder)
    return {**policies.files(folder, config["app_name"]), **template.files(folder, config)}


def stale(folder: Path = FOLDER) -> list[Path]:
    """Generated files that are missing, or not what they would be now."""
    return [
        path
        for path, text in generated(folder).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def current(folder: Path = FOLDER) -> dict[str, Any]:
    """`.chalice/config.json`, of which every generated file is up to date.

    Raises:
        Failure: It says something without effect, or a file is not.
    """
    try:
        config, old = read_config(folder), stale(folder)
    except configuration.ConfigurationError as error:
        message = f".chalice/config.json: {error}"
        raise Failure(message, Exit.BAD_OPTION) from None
    if old:
        names = ", ".join(path.name for path in old)
        message = f"out of date in .chalice/: {names}; python3 -m infra aws policies writes them"
        raise Failure(message)
    return config


def write(folder: Path = FOLDER) -> list[Path]:
    """Bring the generated files up to date; returns those that changed."""
    changed = stale(folder)
    texts = generated(folder)
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed
