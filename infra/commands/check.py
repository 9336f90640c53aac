"""`check`: ruff and mypy, as CI runs them."""

import argparse
import subprocess
import sys
import time

from infra import terminal
from infra.bootstrap import ROOT
from infra.failure import Exit

STEPS = (
    ("ruff check", ("ruff", "check", ".")),
    ("ruff format", ("ruff", "format", "--check", ".")),
    ("mypy", ("mypy", ".")),
)


def add_check(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.set_defaults(run=check)


def check(_options: argparse.Namespace) -> int:
    """Run every step, also after one has failed; show the output of those that fail."""
    failed = 0
    for name, command in STEPS:
        started_s = time.monotonic()
        step = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        word = terminal.paint("FAILED", terminal.RED) if step.returncode else terminal.paint("ok", terminal.GREEN)
        print(f"{name:12} {word}  {time.monotonic() - started_s:.1f} s", flush=True)
        if step.returncode:
            print(step.stdout, end="", flush=True)
            failed += 1
    return Exit.FAILED if failed else Exit.OK
