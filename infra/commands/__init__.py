"""The verbs of `python3 -m infra`. Each is declared in VERBS and lives in a module that is loaded only when called.

A module offers ``add_VERB(parser)`` for each of its verbs (``create-admin``: ``add_create_admin``): it declares the
options and names the function to run, ``parser.set_defaults(run=function)``, which takes the parsed options and
returns the exit code, or raises `Failure`. With ``passes_on=True`` it finds options nobody declared in ``rest``.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from infra import bootstrap, terminal
from infra.failure import Exit, Failure


class Verb(NamedTuple):
    """One word that can follow `python3 -m infra`. Those for developers install more packages."""

    name: str
    module: str
    summary: str
    for_developers: bool = False


VERBS = (
    Verb("up", "infra.commands.up", "start everything; -d in the background"),
    Verb("down", "infra.commands.down", "stop what up -d started"),
    Verb("status", "infra.commands.status", "show every process: state, pid, restarts, uptime"),
    Verb("logs", "infra.commands.logs", "show what the processes wrote; -f follows"),
    Verb("doctor", "infra.commands.doctor", "look for what is missing or misconfigured, and say what mends it"),
    Verb("create-admin", "infra.commands.credentials", "make an administrator's token and show it once"),
    Verb("create-device", "infra.commands.credentials", "register a device; show its id, and its key once"),
    Verb("tokens", "infra.commands.tokens", "list, create or revoke tokens of people and programs"),
    Verb("certs", "infra.commands.certs", "make a development CA and a certificate for MQTT over TLS"),
    Verb("backup", "infra.commands.backup", "write everything into one archive, also while it runs"),
    Verb("restore", "infra.commands.backup", "verify an archive and put it in the place of what is there"),
    Verb("export", "infra.commands.export", "write telemetry into files: csv, jsonl, parquet, tsfile"),
    Verb("import", "infra.commands.import_", "store the readings of such files"),
    Verb("move-store", "infra.commands.move_store", "move telemetry to IoTDB, or back, while devices send"),
    Verb("migrate", "infra.commands.migrate", "bring every embedded database to this release's schema"),
    Verb("reset", "infra.commands.reset", "delete devices, keys and telemetry, and start over"),
    Verb("settings", "infra.commands.settings", "print every setting with its default, as in .env.example"),
    Verb("shell", "infra.commands.shell", "open a Python prompt with the ports and use cases at hand"),
    Verb("iotdb", "infra.commands.iotdb", "run a real IoTDB server here: start, stop, status, cli, logs"),
    Verb("mosquitto", "infra.commands.mosquitto", "run or configure a Mosquitto: start, stop, config, reconcile"),
    Verb("bench", "infra.commands.bench", "measure how fast it is here: http, store or query"),
    Verb("aws", "infra.commands.aws", "list Lambda functions, or write the policies and templates they need"),
    Verb("cost", "infra.commands.cost", "print what a fleet costs a month on AWS, by service"),
    Verb("destroy", "infra.commands.stage", "delete the stack of a stage on AWS; records and dead letters stay"),
    Verb("replay", "infra.commands.stage", "list the dead letters of a stage on AWS, or queue them again"),
    Verb("tail", "infra.commands.stage", "follow the logs of a stage on AWS"),
    Verb("compose", "infra.commands.compose", "print how to reach the services of docker-compose.yml"),
    Verb("package", "infra.commands.package", "make the template and the zip that AWS deploys"),
    Verb("deploy", "infra.commands.deploy", "deploy everything to a LocalStack of this machine, without containers"),
    Verb("emulators", "infra.commands.deploy", "run AWS's services here: start, stop, status"),
    Verb("test", "infra.commands.test", "run the tests, or one kind of them", for_developers=True),
    Verb("check", "infra.commands.check", "run ruff and mypy", for_developers=True),
)


def run(arguments: Sequence[str]) -> int:
    """Do what the command line says and return the exit code."""
    try:
        return _run(arguments)
    except Failure as failure:
        _complain(str(failure))
        return failure.code
    except ModuleNotFoundError as error:
        _complain(f"the Python module {error.name} is missing: remove {bootstrap.VENV} and run the command again")
        return Exit.INSTALLATION
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `head` for example, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _run(arguments: Sequence[str]) -> int:
    outer = argparse.ArgumentParser(prog="python3 -m infra", add_help=False)
    outer.add_argument("--verbose", action="store_true")
    outer.add_argument("-h", "--help", action="store_true")
    outer.add_argument("verb", nargs="?")
    given = list(arguments)
    options = outer.parse_args(given[: _end_of_verb(given)])
    if options.help or not options.verb:
        print(overview())
        return Exit.OK if options.help else Exit.BAD_OPTION
    verb = next((verb for verb in VERBS if verb.name == options.verb), None)
    if verb is None:
        message = f"there is no verb {options.verb}; python3 -m infra --help lists them"
        raise Failure(message, Exit.BAD_OPTION)
    bootstrap.enter(["-m", "infra", *given], for_developers=verb.for_developers, verbose=options.verbose)
    parser = argparse.ArgumentParser(
        prog=f"python3 -m infra {verb.name}", description=f"{verb.summary[0].upper()}{verb.summary[1:]}."
    )
    add: Callable[[argparse.ArgumentParser], None] = getattr(
        import_module(verb.module), f"add_{verb.name.replace('-', '_')}"
    )
    add(parser)
    parsed, rest = parser.parse_known_args(given[_end_of_verb(given) :])
    if rest and not getattr(parsed, "passes_on", False):
        parser.error(f"unknown: {' '.join(rest)}")
    parsed.rest = rest
    return int(parsed.run(parsed))


def overview() -> str:
    """The help text: one line a verb."""
    lines = terminal.table([(f"  {verb.name}", verb.summary) for verb in VERBS])
    heading = terminal.paint("usage: python3 -m infra [--verbose] VERB [OPTION ...]", terminal.BOLD)
    return "\n".join([heading, "", *lines, "", "python3 -m infra VERB --help says more."])


def _end_of_verb(arguments: Sequence[str]) -> int:
    """Where the verb's own options begin."""
    for position, argument in enumerate(arguments):
        if not argument.startswith("-"):
            return position + 1
    return len(arguments)


def _complain(sentence: str) -> None:
    print(f"{terminal.paint('iotflow:', terminal.RED, sys.stderr)} {sentence}", file=sys.stderr)
