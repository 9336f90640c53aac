"""`reset`: start over with nothing."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

from chalicelib.adapters.gated_readings import FILE
from chalicelib.settings import Settings
from infra import terminal
from infra.backup.manifest import PEPPER
from infra.databases import databases
from infra.environment import add_data_options
from infra.failure import Exit, Failure
from infra.installation import at_rest, in_words, settings_of


def add_reset(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_data_options(parser)
    parser.epilog = "Example: python3 -m infra backup last.tar.gz && python3 -m infra reset --yes"
    parser.set_defaults(run=reset)


def reset(options: argparse.Namespace) -> int:
    """Delete devices, keys, telemetry and logs of an installation; files of others in its directory stay.

    Raises:
        Failure: It runs, or nobody said yes.
    """
    settings = settings_of(options)
    if not belongings(settings):
        print(f"There is nothing to delete in {settings.data}.")
        return Exit.OK
    with in_words(), at_rest(settings):
        files = belongings(settings)
        if not options.yes:
            confirm(files, sys.stdin)
        for file in files:
            file.unlink(missing_ok=True)
    print("Deleted. The next start makes a new installation, with a new administrator's token.")
    return Exit.OK


def belongings(settings: Settings) -> list[Path]:
    """The files of an installation; never a folder, which may be somebody's home."""
    files = [file for database in databases(settings) for file in database.files]
    files += [
        settings.data / PEPPER,
        settings.data / FILE,
        *sorted((settings.data / "imports").glob("*.json")),
        *sorted((settings.data / "logs").glob("*.log*")),
    ]
    return [file for file in files if file.exists()]


def confirm(files: list[Path], answers: TextIO) -> None:
    """Ask, and read one of the *answers*.

    Raises:
        Failure: The answer is not yes.
    """
    print("\n".join(f"  {file}  {file.stat().st_size / 1000:.1f} kB" for file in files))
    question = terminal.paint("Devices, keys and telemetry in these files will be gone. Type yes to delete them: ", "1")
    print(question, end="", flush=True)
    if answers.readline().strip().lower() != "yes":
        message = "nothing was deleted; --yes does not ask"
        raise Failure(message, Exit.BAD_OPTION)
