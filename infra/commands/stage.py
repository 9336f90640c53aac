"""`destroy`, `replay`, `tail`, and what `deploy`, `status`, `logs` and `doctor` do on AWS: a stage, operated."""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters.sqs_queue import SqsQueue
from chalicelib.model import DeadLetter
from chalicelib.times import to_iso
from infra import terminal
from infra.aws import files, stagelogs, state
from infra.aws.functions import functions, lambda_name
from infra.aws.names import STAGES, dead_letters_name, queue_name, table_name
from infra.aws.stack import Change, Stack, in_words
from infra.commands import package
from infra.doctor.finding import Finding
from infra.failure import Exit, Failure

MOST_GROUPS = 10
"""Log groups that are asked in turn; with more, AWS's limit on such calls would be felt."""
SINCE_S = 600
LETTERS = 1000


def add_destroy(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--stage", required=True, choices=STAGES[1:], help="whose stack is deleted")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=destroy)


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--stage", required=True, choices=STAGES, help="whose dead letters")
    parser.add_argument("letters", nargs="*", metavar="ID", help="dead letters to queue again; none lists them")
    parser.add_argument("--all", action="store_true", help="queue all of them again")
    parser.set_defaults(run=replay)


def add_tail(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--stage", required=True, choices=STAGES, help="whose logs")
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="at most 10 [submit_telemetry store_readings]")
    parser.set_defaults(run=lambda options: show_logs(options.stage, options.functions, follow=True))


def deploy(stage: str, *, only_plan: bool, asks: bool) -> int:
    """Package, say what would change, and change it once somebody agrees.

    Raises:
        Failure: A check failed, or AWS refuses.
    """
    with tempfile.TemporaryDirectory() as folder, said():
        who = client("sts").get_caller_identity()
        print(f"account {who['Account']}, region {client('sts').meta.region_name}, as {who['Arn']}")
        package.make(stage, Path(folder) / "out")
        stack = Stack(stage, client)
        plan = stack.plan(stack.publish(Path(folder) / "out"))
        print(planned(plan.changes))
        if not plan.changes or only_plan:
            stack.drop(plan)
            return Exit.OK
        if asks and not confirmed(f"Deploy {stack.name}?", stack.name):
            stack.drop(plan)
            return Exit.FAILED
        stack.execute(plan)
        print("\n".join(f"{name} {value}" for name, value in sorted(stack.outputs().items())))
    return Exit.OK


def planned(changes: Sequence[Change]) -> str:
    """A plan for people: what is added by kind, everything else by name."""
    if not changes:
        return "nothing would change"
    added = Counter(change.kind for change in changes if change.action == "Add")
    rows = [("add", kind, str(count)) for kind, count in sorted(added.items())]
    others = [change for change in changes if change.action != "Add"]
    rows += [(_verb(change), change.kind, change.name) for change in sorted(others)]
    return "\n".join(terminal.table([("would", "kind", "what"), *rows]))


def _verb(change: Change) -> str:
    """What happens to a resource; that its content would be lost is said loudly."""
    if change.action == "Modify" and change.replaced != "False":
        return terminal.paint("REPLACE" if change.replaced == "True" else "replace?", terminal.RED)
    return change.action.lower()


def destroy(options: argparse.Namespace) -> int:
    """Delete the stack; the table, the secret and the dead letters stay.

    Raises:
        Failure: There is no such stack, or it cannot be deleted.
    """
    with said():
        stack = Stack(options.stage, client)
        if not stack.status():
            message = f"there is no stack {stack.name}"
            raise Failure(message, Exit.NOT_RUNNING)
        if not options.yes and not confirmed(f"Delete the stack {stack.name}?", stack.name):
            return Exit.FAILED
        kept = stack.delete()
    print(f"The stack {stack.name} is deleted. These stay: {', '.join(kept)}")
    return Exit.OK


def replay(options: argparse.Namespace) -> int:
    """List dead letters, or queue some of them again.

    Raises:
        Failure: One of them is not there.
    """
    with said():
        queue = _queue(options.stage)
        letters = queue.dead_letters(limit=LETTERS)
        if not options.letters and not options.all:
            print(_listed(letters))
            return Exit.OK
        wanted = [letter.id for letter in letters] if options.all else options.letters
        for letter_id in wanted:
            if not queue.replay(letter_id, now_ms=_now_ms()):
                message = f"there is no dead letter {letter_id}"
                raise Failure(message)
    print(f"{len(wanted)} queued again")
    return Exit.OK


def show_logs(stage: str, names: list[str], *, follow: bool, since_s: float = SINCE_S) -> int:
    """Print log lines of functions.

    Raises:
        Failure: There is no such function, or there are too many.
    """
    chosen = names or ["submit_telemetry", "store_readings"]
    unknown = sorted(set(chosen) - functions().keys())
    if unknown:
        message = f"there is no function {', '.join(unknown)}; python3 -m infra aws functions lists them"
        raise Failure(message, Exit.BAD_OPTION)
    if len(chosen) > MOST_GROUPS:
        message = f"at most {MOST_GROUPS} functions at once"
        raise Failure(message, Exit.BAD_OPTION)
    groups = {name: f"/aws/lambda/{lambda_name(_app_name(), stage, name)}" for name in chosen}
    since_ms = _now_ms() - int(since_s * 1000)
    with said():
        for line in stagelogs.lines(client("logs"), groups, since_ms=since_ms, follow=follow):
            name = terminal.paint(line.function, terminal.CYAN)
            print(f"{to_iso(line.timestamp_ms)} {name} {line.text}", flush=True)
    return Exit.OK


def show_status(stage: str, *, as_json: bool) -> int:
    """Print how the stage is; 1 when a part is missing."""
    with said():
        found = state.look(_app_name(), stage, client)
    print(json.dumps(found._asdict()) if as_json else _described(found))
    whole = state.MISSING not in {*found.functions.values(), found.mapping, found.table}
    return Exit.OK if whole and found.queue else Exit.FAILED


def examine(stage: str) -> list[Finding]:
    """What is wrong with the stage."""
    with said():
        return list(state.findings(state.look(_app_name(), stage, client), stage))


def client(service: str) -> Any:
    """A client of AWS for the operator's account, or for AWS_ENDPOINT_URL."""
    return boto3.client(service)


@contextmanager
def said() -> Iterator[None]:
    """Let what AWS refuses within the block be a sentence.

    Raises:
        Failure: It refused, or was silent.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Failure(in_words(error)) from error


def confirmed(question: str, word: str, ask: Callable[[str], str] = input) -> bool:
    """Whether somebody at a terminal types *word*."""
    if not sys.stdin.isatty():
        message = "nobody is there to ask: give --yes"
        raise Failure(message, Exit.BAD_OPTION)
    return ask(f"{question} Type {word} to go on: ").strip() == word


def _queue(stage: str) -> SqsQueue:
    sqs = client("sqs")
    urls = [sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (queue_name(stage), dead_letters_name(stage))]
    return SqsQueue(urls[0], urls[1], table_name(stage), connect=client)


def _listed(letters: list[DeadLetter]) -> str:
    if not letters:
        return "there are no dead letters"
    rows = [(letter.id, to_iso(letter.buried_ms), str(letter.readings), letter.reason) for letter in letters]
    return "\n".join(terminal.table([("id", "buried", "readings", "reason"), *rows]))


def _described(found: state.StageState) -> str:
    active = sum(each == "Active" for each in found.functions.values())
    rows = [
        ("part", "state"),
        ("functions", f"{active} of {len(found.functions)} active"),
        ("consumer", found.mapping if found.partial else f"{found.mapping}, without partial batches"),
        ("queue", _depth(found.queue)),
        ("dead letters", _depth(found.dead_letters)),
        ("table", found.table),
        ("alarms", ", ".join(found.alarms) or "none"),
    ]
    return "\n".join(terminal.table(rows))


def _depth(queue: state.Queue | None) -> str:
    return state.MISSING if queue is None else f"{queue.waiting} waiting, {queue.in_flight} in flight"


def _app_name() -> str:
    return str(files.read_config()["app_name"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
