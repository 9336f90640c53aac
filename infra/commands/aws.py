"""`aws`: the generated files of a deployment, written or compared."""

import argparse

from infra.aws import files
from infra.aws.configuration import ConfigurationError
from infra.aws.functions import functions
from infra.bootstrap import ROOT
from infra.failure import Exit, Failure
from infra.terminal import table


def add_aws(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    policies = actions.add_parser(
        "policies", help="write the policies and templates in .chalice/ that declarations ask for"
    )
    policies.add_argument("--check", action="store_true", help="write nothing, fail when one is out of date")
    policies.set_defaults(run=write)
    actions.add_parser("functions", help="list every Lambda function and what it may touch").set_defaults(run=show)


def write(options: argparse.Namespace) -> int:
    """Bring the generated files up to date, or say which are not.

    Raises:
        Failure: `.chalice/config.json` is wrong, or with --check a file is out of date.
    """
    try:
        changed = files.stale() if options.check else files.write()
    except ConfigurationError as error:
        message = f".chalice/config.json: {error}"
        raise Failure(message, Exit.BAD_OPTION) from None
    names = ", ".join(str(path.relative_to(ROOT)) for path in changed)
    if options.check and changed:
        message = f"out of date: {names}; python3 -m infra aws policies writes them"
        raise Failure(message)
    print(f"written: {names}" if changed else "all up to date")
    return Exit.OK


def show(_options: argparse.Namespace) -> int:
    """Print a line for each function."""
    rows = [
        (name, f"{each.memory_mb} MB", f"{each.timeout_s} s", " ".join(sorted(each.uses)) or "-")
        for name, each in sorted(functions().items())
    ]
    print("\n".join(table([("function", "memory", "time-out", "uses"), *rows])))
    return Exit.OK
