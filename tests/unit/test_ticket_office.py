"""Waiting for commits on an event loop: how a failure is told to the caller, and to the log."""

import asyncio
import logging
from concurrent.futures import Future

import pytest

from chalicelib.errors import Unavailable
from infra.local.redeem import TicketOffice


def failed(error: Exception) -> Future[None]:
    """The ticket of a commit that ended so."""
    ticket: Future[None] = Future()
    ticket.set_exception(error)
    return ticket


def redeem(ticket: Future[None]) -> int:
    """What the caller is told: seconds after which to try again."""
    with pytest.raises(Unavailable) as refusal:
        asyncio.run(TicketOffice().redeem([ticket]))
    return refusal.value.retry_after_s


def test_outage_is_told_to_the_caller_and_not_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever commits logs an outage once; here it would be a line for every commit, on a disk that may be full."""
    caplog.set_level(logging.DEBUG, logger="infra.local.redeem")
    assert redeem(failed(Unavailable("The queue does not answer", retry_after_s=7))) == 7
    assert caplog.records == []


def test_bug_in_a_commit_is_a_refusal_for_the_caller_and_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert redeem(failed(KeyError("a bug"))) >= 1
    assert "KeyError" in caplog.text
