"""EventBridge rates, run locally."""

import threading
from typing import Any

import pytest
from chalice.app import Chalice, Cron, Rate

from infra.local.schedules import Schedule, interval_s, run_all, schedules_of


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        (Rate(1, unit=Rate.MINUTES), 60),
        (Rate(5, unit=Rate.MINUTES), 300),
        (Rate(2, unit=Rate.HOURS), 7200),
        ("rate(1 day)", 86400),
    ],
)
def test_rate_is_read(expression: object, seconds: int) -> None:
    """As chalice writes it, and as text."""
    assert interval_s(expression) == seconds


@pytest.mark.parametrize("expression", [Cron(0, 1, "*", "*", "?", "*"), "rate(0 minutes)", "rate(5 weeks)"])
def test_other_expression_is_refused(expression: object) -> None:
    """Rather than a job that silently never runs."""
    with pytest.raises(ValueError, match="is not rate"):
        interval_s(expression)


def test_schedules_of_an_app_run_with_documented_events(caplog: pytest.LogCaptureFixture) -> None:
    """Soon after the start; one that fails is logged and stops no other; draining ends them."""
    app = Chalice("clock", configure_logs=False)
    draining = threading.Event()
    events: list[dict[str, Any]] = []

    @app.schedule(Rate(5, unit=Rate.MINUTES))
    def broken(event: Any) -> None:
        raise RuntimeError(event.source)

    @app.schedule(Rate(5, unit=Rate.MINUTES))
    def sound(event: Any) -> None:
        events.append(event.to_dict())
        draining.set()

    run_all(schedules_of(app), draining, first_s=0.0)
    assert "The schedule broken failed" in caplog.text
    [event] = events
    assert event["detail-type"] == "Scheduled Event"
    assert event["source"] == "aws.events"
    assert event["resources"] == ["arn:aws:events:local:000000000000:rule/sound"]
    assert set(event) == {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}


def test_schedule_runs_again_and_skips_what_it_missed() -> None:
    """A run that takes several intervals is followed by one run, not by several at once."""
    draining = threading.Event()
    runs: list[str] = []

    def slow(event: dict[str, Any], _context: object) -> None:
        runs.append(event["id"])
        threading.Event().wait(0.05)
        if len(runs) == 4:
            draining.set()

    run_all([Schedule("slow", 0.01, slow)], draining, first_s=0.0)
    assert len(set(runs)) == 4
