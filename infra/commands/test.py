"""`test`: run the tests, all or some kinds of them."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.bootstrap import ROOT
from infra.failure import Exit, Failure

KINDS = ("unit", "contract", "api", "packaging", "deployment", "e2e")
"""In the order in which they run: the quickest to fail first."""


def add_test(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("what", nargs="*", metavar="KIND|PATH", help=f"{', '.join(KINDS)}, or files [all kinds]")
    parser.add_argument(
        "--coverage", action="store_true", help="measure chalicelib, subprocesses too; fail under 90 %%"
    )
    parser.add_argument("-k", metavar="EXPR", help="only tests whose names match")
    parser.add_argument("-m", metavar="MARKER", help="only tests with this marker")
    parser.epilog = "Other options, --name=value for those with a value, go to pytest."
    parser.set_defaults(run=test, passes_on=True)


def test(options: argparse.Namespace) -> int:
    """Run pytest and return its exit code, or coverage's when only that fails.

    Raises:
        Failure: There is no such kind or file.
    """
    arguments = [*options.rest, *(path_of(word) for word in options.what or KINDS)]
    for option in ("k", "m"):
        if getattr(options, option) is not None:
            arguments = [f"-{option}", getattr(options, option), *arguments]
    pytest = ["-m", "pytest", *arguments]
    if not options.coverage:
        return _python(pytest)
    for old in ROOT.glob(".coverage.*"):
        old.unlink()
    code = _python(["-m", "coverage", "run", *pytest])
    _python(["-m", "coverage", "combine", "--quiet"])
    return code or _python(["-m", "coverage", "report"])


def path_of(word: str) -> str:
    """The folder of a kind, or the file as it was given.

    Raises:
        Failure: It is neither.
    """
    if word in KINDS:
        return f"tests/{word}"
    if Path(word.partition("::")[0]).exists():
        return word
    message = f"there is no kind of tests {word}; take {', '.join(KINDS)} or a file"
    raise Failure(message, Exit.BAD_OPTION)


def _python(arguments: list[str]) -> int:
    return subprocess.run(
        [sys.executable, *arguments], env=without_settings(os.environ), cwd=ROOT, check=False
    ).returncode


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of a running instance, which would decide what the tests see."""
    from chalicelib.settings import variables

    ours = {name for variable in variables().values() for name in variable.names}
    return {name: value for name, value in environment.items() if name not in ours}
