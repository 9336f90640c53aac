"""What a process lets through by itself, and what it shares: token buckets in DynamoDB."""

from typing import Any

import pytest

from chalicelib.adapters.dynamo_limiter import OWN_PART, DynamoLimiter
from chalicelib.adapters.dynamo_requests import Item
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.ports import Limit
from tests.contract.dynamo_tables import Tables
from tests.contract.test_rate_limiter import NOW_MS, Refuses

LARGE = Limit(burst=130, per_s=0.03)
"""Of which a process lets two calls through by itself."""


class Counting(Table):
    """Counts its writes."""

    writes = 0

    def write(self, request: dict[str, Any], *, tell: str = "NONE") -> Item:
        self.writes += 1
        return super().write(request, tell=tell)


@pytest.fixture
def counting(tables: Tables) -> Counting:
    table = tables.new("moto")
    return Counting(table.name, table._connection)


def test_dynamo_limiter_writes_nothing_for_who_keeps_far_from_the_limit(counting: Counting) -> None:
    """A call a minute, at 1200 a minute: at 0.31 calls a second a process has to tell the others."""
    limiter = DynamoLimiter(counting, Refuses())
    decisions = [limiter.take("a", Limit(200, 20.0), now_ms=NOW_MS + number * 60_000) for number in range(20)]
    assert {decision.remaining for decision in decisions} == {199}
    assert counting.writes == 0


def test_dynamo_limiter_lets_one_process_have_exactly_the_burst(counting: Counting) -> None:
    limiter = DynamoLimiter(counting, Refuses())
    remaining = [limiter.take("a", LARGE, now_ms=NOW_MS).remaining for _ in range(130)]
    assert remaining == list(range(129, -1, -1))
    assert not limiter.take("a", LARGE, now_ms=NOW_MS).allowed


def test_dynamo_limiter_lets_each_further_process_have_its_part_only(counting: Counting) -> None:
    one, other = DynamoLimiter(counting, Refuses()), DynamoLimiter(counting, Refuses())
    assert sum(one.take("a", LARGE, now_ms=NOW_MS).allowed for _ in range(135)) == 130
    assert sum(other.take("a", LARGE, now_ms=NOW_MS).allowed for _ in range(10)) == 130 // OWN_PART


def test_dynamo_limiter_never_divides_a_limit_on_guesses(counting: Counting) -> None:
    """As that on refused credentials, 60 a minute: any number of processes let 60 through."""
    limit = Limit(60, 0.001)
    limiters = [DynamoLimiter(counting, Refuses()) for _ in range(4)]
    assert sum(limiters[number % 4].take("a", limit, now_ms=NOW_MS).allowed for number in range(70)) == 60


def test_dynamo_limiter_lets_the_whole_burst_be_taken_at_once(counting: Counting) -> None:
    limiter = DynamoLimiter(counting, Refuses())
    assert limiter.take("a", LARGE, now_ms=NOW_MS, cost=130).allowed
    assert not limiter.take("a", LARGE, now_ms=NOW_MS, cost=130).allowed


def test_dynamo_limiter_warns_once_of_limits_that_nobody_shares(
    counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = DynamoLimiter(Table("is-not-there", counting._connection), MemoryLimiter())
    allowed = [limiter.take("a", Limit(2, 0.001), now_ms=NOW_MS).allowed for _ in range(4)]
    assert allowed == [True, True, False, False]
    (warning,) = caplog.records
    assert warning.message.startswith("Rate limits hold by process only: DynamoDB")
