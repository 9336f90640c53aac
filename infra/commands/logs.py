"""`logs`: what the processes of the instance of a data directory wrote, in the background."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from infra.aws.names import STAGES
from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit, Failure
from infra.supervisor.folder import RunFolder
from infra.supervisor.logfiles import last_lines
from infra.supervisor.output import SUPERVISOR, Screen
from infra.supervisor.plan import PROCESSES

LOOK_EVERY_S = 0.2


def add_logs(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    names = [SUPERVISOR, *(plan.name for plan in PROCESSES)]
    parser.add_argument(
        "process", nargs="?", metavar="process", help=f"one of {', '.join(names)}; with --stage, a function"
    )
    parser.add_argument("--stage", choices=STAGES, help="of a deployment on AWS, the last ten minutes")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("-n", "--lines", type=int, default=20, metavar="N", help="how many lines of each [20]")
    add_data_options(parser)
    parser.set_defaults(run=logs, names=names)


def logs(options: argparse.Namespace) -> int:
    """Print the last lines of every log, or of one, and follow them if asked to.

    Raises:
        Failure: There are none, or no such process.
    """
    if options.stage:
        from infra.commands import stage  # brings AWS's client

        return stage.show_logs(options.stage, [options.process] if options.process else [], follow=options.follow)
    if options.process and options.process not in options.names:
        message = f"there is no process {options.process}; take {', '.join(options.names)}"
        raise Failure(message, Exit.BAD_OPTION)
    return _show(options)


def _show(options: argparse.Namespace) -> int:
    folder = RunFolder(data_folder(gather(options)))
    names: list[str] = [options.process] if options.process else options.names
    files = {name: folder.logs / f"{name}.log" for name in names}
    if not any(file.exists() for file in files.values()):
        message = f"there are no logs in {folder.logs}; only up -d writes them, up shows them"
        raise Failure(message, Exit.NOT_RUNNING)
    screen = Screen(sys.stdout, names)
    follows = {name: new_lines(file, _size(file)) for name, file in files.items()} if options.follow else {}
    for name, file in files.items():
        for line in last_lines(file, options.lines):
            screen.line(name, line)
    while follows:
        for name, lines in follows.items():
            for line in next(lines):
                screen.line(name, line)
        time.sleep(LOOK_EVERY_S)
    return Exit.OK


def new_lines(path: Path, position: int) -> Iterator[list[str]]:
    """At every step the whole lines added since *position*, in bytes, or the last step; also when it was emptied."""
    while True:
        lines: list[bytes] = []
        if path.exists():
            position = 0 if _size(path) < position else position
            with path.open("rb") as file:
                file.seek(position)
                content, newline, _unfinished = file.read().rpartition(b"\n")
            position += len(content) + len(newline)
            lines = content.split(b"\n") if newline else []
        yield [line.decode(errors="replace") for line in lines]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
