"""Checks of the settings: the file they come from, and doors that stand open."""

import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from chalicelib.settings import Settings
from infra.doctor.finding import Finding, ok, warning, wrong

SHORTEST_PEPPER = 32


def env_file(path: Path, values: Mapping[str, str], secret_names: Collection[str]) -> Finding:
    """Whether the secrets in the file *path*, which holds *values*, are its owner's alone."""
    held = sorted(name for name in secret_names if values.get(name))
    if not held:
        return ok("env file", f"{path} holds no secrets")
    if others_may_read(path):
        sentence = f"{path} holds {', '.join(held)}, and other users can read it"
        return wrong("env file", sentence, f"chmod 600 {path}")
    return ok("env file", f"{path} is its owner's alone")


def doors(settings: Settings) -> Iterator[Finding]:
    """Whether strangers may do something on the network."""
    found = 0
    if settings.registration_is_open and not settings.on_loopback:
        found += 1
        sentence = f"anybody who reaches {settings.host} may register devices"
        yield warning("doors", sentence, "set IOTFLOW_STAGE=prod, or IOTFLOW_ENROLLMENT_TOKEN")
    if settings.telemetry_is_public and not settings.on_loopback:
        found += 1
        sentence = f"anybody who reaches {settings.host} may read all telemetry"
        yield warning("doors", sentence, "unset IOTFLOW_PUBLIC_TELEMETRY, unless that is meant")
    if 0 < len(settings.pepper) < SHORTEST_PEPPER:
        found += 1
        sentence = f"IOTFLOW_PEPPER has fewer than {SHORTEST_PEPPER} characters, so it could be guessed"
        yield warning("doors", sentence, "take a longer one before the first device; a new pepper ends every key")
    if not found:
        where = "open on this machine only" if settings.local else "closed to strangers"
        yield ok("doors", f"stage {settings.stage} on {settings.host}: {where}")


def others_may_read(path: Path) -> bool:
    """Whether users beside the owner have any right to the file."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
