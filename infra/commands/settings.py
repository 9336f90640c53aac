"""`settings`: every variable with its sentence and default; `.env.example` is this text."""

import argparse

from chalicelib.settings import variables
from chalicelib.variables import Variable
from infra.failure import Exit

HEADING = """\
# Settings of IoTFlow, each with its default. Copy this file to .env and change what you need; the environment wins
# over the file, options of a command win over both. An unknown IOTFLOW_ variable is an error.
# Made by: python3 -m infra settings > .env.example
"""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Example: python3 -m infra settings > .env.example"
    parser.set_defaults(run=settings)


def settings(_options: argparse.Namespace) -> int:
    """Print them."""
    print(documentation(), end="")
    return Exit.OK


def documentation() -> str:
    """The text of `.env.example`."""
    return "\n".join([HEADING, *map(_entry, variables().values())])


def _entry(variable: Variable) -> str:
    name, *others = variable.names
    notes = [variable.doc, *_rule(variable)]
    notes += [f"also read from {', '.join(others)}"] if others else []
    notes += ["a secret: chmod 600 .env"] if variable.secret else []
    return "".join(f"# {note}\n" for note in notes) + f"# {name}={variable.default}\n"


def _rule(variable: Variable) -> list[str]:
    """What the parser itself says to something that no setting takes; nothing where any text will do."""
    try:
        variable.parse("\0")
    except ValueError as error:
        return [str(error)]
    return []
