"""Counters: counts in total and by hour, in memory, SQLite and DynamoDB."""

import sqlite3
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.dynamo_counters import DynamoCounters
from chalicelib.adapters.memory_counters import MemoryCounters
from chalicelib.adapters.sqlite_counters import SqliteCounters
from chalicelib.errors import Unavailable
from chalicelib.ports import Counters, Labels
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.processes import count, in_processes

HOUR_MS = 3_600_000
NOW_MS = 472_222 * HOUR_MS + 1_234_567
"""In the middle of an hour."""
TOO_LARGE: Labels = (("reason", "too_large"),)
DEPTH: Labels = (("reason", "depth"),)


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def counters(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Counters:
    if request.param in SEMANTICS:
        return DynamoCounters(tables.new(request.param))
    return MemoryCounters() if request.param == "memory" else SqliteCounters(tmp_path / "counters.db")


@pytest.fixture
def sqlite_counters(tmp_path: Path) -> SqliteCounters:
    return SqliteCounters(tmp_path / "counters.db")


def test_counters_add_up_by_name_and_labels(counters: Counters) -> None:
    counters.add("rejected", TOO_LARGE, now_ms=NOW_MS)
    counters.add("rejected", TOO_LARGE, 2, now_ms=NOW_MS + 2 * HOUR_MS)
    counters.add("rejected", DEPTH, 0.5, now_ms=NOW_MS)
    counters.add("accepted", now_ms=NOW_MS)
    counters.flush()
    assert counters.totals() == {("rejected", TOO_LARGE): 3, ("rejected", DEPTH): 0.5, ("accepted", ()): 1}


def test_counters_of_nothing_are_empty(counters: Counters) -> None:
    counters.flush()
    assert counters.totals() == {}
    assert counters.since("rejected", since_ms=0) == {}


def test_counters_since_counts_whole_hours(counters: Counters) -> None:
    hour_ms = NOW_MS - NOW_MS % HOUR_MS
    for at_ms in (hour_ms - 1, hour_ms, hour_ms + HOUR_MS - 1, hour_ms + HOUR_MS):
        counters.add("rejected", TOO_LARGE, now_ms=at_ms)
    counters.add("accepted", now_ms=NOW_MS)
    assert counters.since("rejected", since_ms=NOW_MS) == {TOO_LARGE: 3}
    assert counters.since("rejected", since_ms=hour_ms) == {TOO_LARGE: 3}
    assert counters.since("rejected", since_ms=hour_ms - 1) == {TOO_LARGE: 4}
    assert counters.since("rejected", since_ms=hour_ms + HOUR_MS) == {TOO_LARGE: 1}


def test_counters_expire_drops_hours_and_keeps_totals(counters: Counters) -> None:
    for hours_ago in range(4):
        counters.add("rejected", TOO_LARGE, now_ms=NOW_MS - hours_ago * HOUR_MS)
    counters.flush()
    counters.expire(before_ms=NOW_MS - HOUR_MS)
    assert counters.since("rejected", since_ms=0) == {TOO_LARGE: 2}
    assert counters.totals() == {("rejected", TOO_LARGE): 4}


@pytest.mark.parametrize("counters", ["memory", "sqlite", "dynamodb"], indirect=True)
def test_counters_count_exactly_over_threads(counters: Counters) -> None:
    """With flushes and reads in between."""

    def work(thread: int) -> None:
        for step in range(500):
            counters.add("readings", (("thread", str(thread % 2)),), now_ms=NOW_MS + step * 50)
            if step % 100 == 0:
                counters.totals()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    counters.flush()
    assert counters.totals() == {("readings", (("thread", "0"),)): 2000, ("readings", (("thread", "1"),)): 2000}


labels = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", 'ü"', "[]"])), max_size=2).map(tuple)


@pytest.mark.parametrize("counters", ["memory", "sqlite", "dynamodb"], indirect=True)
@given(
    adds=st.lists(st.tuples(st.sampled_from(["one", "two"]), labels, st.integers(0, 9), st.integers(-3, 3)), max_size=9)
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counters_agree_with_a_sum(counters: Counters, adds: list[tuple[str, Labels, int, int]]) -> None:
    """Whatever the names, the labels and the order of time; what earlier examples left is subtracted."""
    totals, hours = counters.totals(), counters.since("one", since_ms=NOW_MS)
    expected: defaultdict[tuple[str, Labels], float] = defaultdict(float, totals)
    expected_since: defaultdict[Labels, float] = defaultdict(float, hours)
    for name, of_labels, amount, hour in adds:
        counters.add(name, of_labels, amount, now_ms=NOW_MS + hour * HOUR_MS)
        expected[name, of_labels] += amount
        if name == "one" and hour >= 0:
            expected_since[of_labels] += amount
    counters.flush()
    assert counters.totals() == expected
    assert counters.since("one", since_ms=NOW_MS) == expected_since


def test_sqlite_counters_flush_at_the_first_add_after_a_second(tmp_path: Path) -> None:
    writer, reader = SqliteCounters(tmp_path / "counters.db"), SqliteCounters(tmp_path / "counters.db")
    writer.add("readings", now_ms=NOW_MS)
    assert reader.totals() == {("readings", ()): 1}
    writer.add("readings", now_ms=NOW_MS + 999)
    assert reader.totals() == {("readings", ()): 1}, "buffered"
    writer.add("readings", now_ms=NOW_MS + 1000)
    assert reader.totals() == {("readings", ()): 3}
    writer.add("readings", now_ms=NOW_MS - HOUR_MS)
    assert reader.totals() == {("readings", ()): 4}, "a clock that steps back delays nothing"


def test_sqlite_counters_sum_up_over_processes(tmp_path: Path) -> None:
    path = tmp_path / "counters.db"
    in_processes(2, count, str(path), 1000)
    assert SqliteCounters(path).totals() == {("readings", (("source", "http"),)): 2000}


def test_sqlite_counters_outlive_the_process(tmp_path: Path) -> None:
    first = SqliteCounters(tmp_path / "counters.db")
    first.add("readings", now_ms=NOW_MS)
    first.flush()
    assert SqliteCounters(tmp_path / "counters.db").totals() == {("readings", ()): 1}


def test_sqlite_counters_keep_what_a_locked_file_does_not_take(
    sqlite_counters: SqliteCounters, caplog: pytest.LogCaptureFixture
) -> None:
    sqlite_counters.add("readings", now_ms=NOW_MS)
    other = sqlite3.connect(sqlite_counters.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start_s = time.monotonic()
    for second in range(1, 4):
        sqlite_counters.add("readings", now_ms=NOW_MS + second * 1000)
    assert time.monotonic() - start_s < 2, "a request does not wait for the lock"
    with pytest.raises(Unavailable):
        sqlite_counters.flush()
    other.execute("ROLLBACK")
    other.close()
    assert sqlite_counters.totals() == {("readings", ()): 4}
    assert len(caplog.records) == 1, "said once"


def test_sqlite_counters_keep_what_a_full_disk_does_not_take(sqlite_counters: SqliteCounters) -> None:
    """The size of the file is limited to what it has, which SQLite reports as a full disk."""
    connection = sqlite_counters.database.connection()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    names = [f"counter-{number}" for number in range(500)]
    for number, name in enumerate(names):
        sqlite_counters.add(name, now_ms=NOW_MS + number * 10)
    with pytest.raises(Unavailable):
        sqlite_counters.flush()
    connection.execute("PRAGMA max_page_count = 100000")
    assert sqlite_counters.totals() == {(name, ()): 1 for name in names}
