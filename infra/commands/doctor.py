"""`doctor`: what is installed, reachable and misconfigured, and the command that mends it."""

import argparse
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from infra import terminal
from infra.aws.names import STAGES
from infra.doctor.examination import examine
from infra.doctor.finding import Finding, Level
from infra.environment import add_data_options
from infra.failure import Exit

_COLOURS = {
    Level.OK: terminal.GREEN,
    Level.NOTE: terminal.CYAN,
    Level.WARNING: terminal.YELLOW,
    Level.WRONG: terminal.RED,
}


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="one JSON document: healthy, findings")
    parser.add_argument("--stage", choices=STAGES, help="look at a deployment on AWS instead of this machine")
    add_data_options(parser)
    parser.add_argument("--host", help="address that up would listen on [HOST, 127.0.0.1]")
    parser.add_argument("--port", help="port that up would listen on [PORT, 5000]")
    parser.epilog = "Exit code 1 when something is wrong. Example: python3 -m infra doctor"
    parser.set_defaults(run=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Look at everything; 1 when something is wrong."""
    with _quiet():
        findings = _of_stage(options.stage) if options.stage else list(examine(options))
    findings = [for_instance(finding, options) for finding in findings]
    sick = any(finding.level is Level.WRONG for finding in findings)
    if options.json:
        print(json.dumps({"healthy": not sick, "findings": [finding._asdict() for finding in findings]}))
    else:
        print(render(findings))
    return Exit.FAILED if sick else Exit.OK


@contextmanager
def _quiet() -> Iterator[None]:
    """What an adapter would log within the block is what a finding says."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def _of_stage(name: str) -> list[Finding]:
    from infra.commands import stage  # brings AWS's client

    return stage.examine(name)


def for_instance(finding: Finding, options: argparse.Namespace) -> Finding:
    """The finding with a remedy that is for the instance of *options*."""
    if not finding.remedy.startswith("python3 -m infra"):
        return finding
    given = "".join(f" --{name} {getattr(options, name)}" for name in ("data", "env") if getattr(options, name))
    return finding._replace(remedy=finding.remedy + given)


def render(findings: list[Finding]) -> str:
    """A line for each, its remedy below it, and a sentence at the end."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        word = terminal.paint(f"{finding.level:7}", _COLOURS[finding.level])
        lines.append(f"{word}  {finding.subject:{width}}  {finding.sentence}")
        if finding.remedy:
            lines.append(f"{'':7}  {'':{width}}  {terminal.paint('-> ' + finding.remedy, terminal.BOLD)}")
    return "\n".join([*lines, "", summary(findings)])


def summary(findings: list[Finding]) -> str:
    """How many of them want attention."""
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if wrong:
        return f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong; the commands behind the arrows mend them."
    if warnings:
        return f"Nothing is wrong; {warnings} {'warning' if warnings == 1 else 'warnings'}."
    return "Everything is in order."
