"""What `doctor` finds in a sick service, and how findings are shown."""

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.model import Ledger
from infra.commands.doctor import for_instance, render, summary
from infra.doctor import service
from infra.doctor.finding import Finding, Level, note, ok, warning, wrong
from infra.doctor.service import Reply
from infra.supervisor.folder import InstanceState, ProcessState


def process(**changes: Any) -> ProcessState:
    running = ProcessState("front", "running", 7, restarts=0, started_ms=0, last_exit=None)
    return running._replace(**changes)


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (process(), Level.OK),
        (process(restarts=2, last_exit="signal 9 (SIGKILL)"), Level.WARNING),
        (process(state="waiting", pid=None, restarts=2), Level.WRONG),
        (process(state="starting"), Level.WRONG),
    ],
    ids=["runs", "ran into trouble", "is down", "does not get ready"],
)
def test_processes_that_ended_are_told(state: ProcessState, level: Level) -> None:
    (finding,) = service.processes(InstanceState("http://h", 0, True, (state,)))
    assert finding.level == level
    assert finding.remedy == ("" if level is Level.OK else "python3 -m infra logs front")


def answering(**replies: Reply) -> Callable[[str], Reply]:
    return lambda url: replies[url.rpartition("/")[2]]


@pytest.mark.parametrize(
    ("replies", "level", "words"),
    [
        ({"status": Reply(200, {"status": "healthy", "failed_checks": []})}, Level.OK, "says healthy"),
        (
            {"status": Reply(503, {"status": "unhealthy", "failed_checks": ["queue"]})},
            Level.WRONG,
            "queue does not answer the service",
        ),
        ({"status": Reply(401, None), "health": Reply(200, {})}, Level.OK, "/status wants a token here"),
        ({"status": Reply(403, None), "health": Reply(0, None)}, Level.WRONG, "does not answer"),
        ({"status": Reply(0, None)}, Level.WRONG, "does not answer"),
        ({"status": Reply(500, {"error": "x"})}, Level.WRONG, "answers 500"),
        ({"status": Reply(200, "something else")}, Level.WRONG, "answers 200"),
    ],
    ids=["healthy", "backend silent", "closed", "closed and silent", "silent", "bug", "another program"],
)
def test_service_that_is_sick_is_told(replies: dict[str, Reply], level: Level, words: str) -> None:
    (finding,) = service.answers("http://h:1", answering(**replies))
    assert finding.level == level
    assert words in finding.sentence


BOOK = Ledger(accepted=10, stored=6, queued=4, in_flight=0, dead_lettered=0, discarded=0)


@pytest.mark.parametrize(
    ("book", "age_s", "running", "levels"),
    [
        (BOOK, 0.1, True, [Level.OK]),
        (BOOK, 600.0, True, [Level.WARNING, Level.OK]),
        (BOOK, 600.0, False, [Level.OK]),
        (BOOK._replace(queued=1, dead_lettered=3), 0.1, True, [Level.WARNING, Level.OK]),
        (BOOK._replace(queued=1), 0.1, True, [Level.WRONG, Level.OK]),
    ],
    ids=["flows", "stands", "is down", "dead letters", "out of balance"],
)
def test_queue_that_does_not_flow_is_told(book: Ledger, age_s: float, running: bool, levels: list[Level]) -> None:
    assert [finding.level for finding in service.queue(book, age_s, running=running)] == levels


def test_redis_url_that_is_wrong_is_told_without_its_password() -> None:
    finding = service.redis("http://user:hunter2@cache")
    assert finding.level is Level.WRONG
    assert "hunter2" not in "".join(finding)


def options(**given: str | None) -> argparse.Namespace:
    return argparse.Namespace(**{"data": None, "env": None, **given})


def test_remedy_is_for_the_instance_that_was_looked_at() -> None:
    finding = wrong("x", "y", "python3 -m infra migrate")
    assert for_instance(finding, options()) == finding
    assert for_instance(finding, options(data="/d", env="e")).remedy == "python3 -m infra migrate --data /d --env e"
    assert for_instance(wrong("x", "y", "chmod 600 f"), options(data="/d")).remedy == "chmod 600 f"


def test_findings_are_shown_with_what_mends_them() -> None:
    shown = render([ok("disk", "large"), wrong("pepper", "open", "chmod 600 pepper")])
    assert shown.splitlines() == [
        "ok       disk    large",
        "wrong    pepper  open",
        "                 -> chmod 600 pepper",
        "",
        "1 thing is wrong; the commands behind the arrows mend them.",
    ]


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        ([ok("a", "b"), note("a", "b")], "Everything is in order."),
        ([warning("a", "b", "c"), ok("a", "b")], "Nothing is wrong; 1 warning."),
        ([wrong("a", "b", "c")] * 2, "2 things are wrong; the commands behind the arrows mend them."),
    ],
)
def test_last_line_says_how_much_is_wrong(findings: list[Finding], sentence: str) -> None:
    assert summary(findings) == sentence
