"""Idempotency: first answers by (caller, key), in memory, SQLite and DynamoDB."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.adapters.dynamo_idempotency import DynamoIdempotency
from chalicelib.adapters.memory_idempotency import MemoryIdempotency
from chalicelib.adapters.sqlite_idempotency import SqliteIdempotency
from chalicelib.errors import Unprocessable
from chalicelib.ports import Attempt, Idempotency
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.processes import begin, in_processes

NOW_MS = 1_700_000_000_000
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def idempotency(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Idempotency:
    if request.param in SEMANTICS:
        return DynamoIdempotency(tables.new(request.param))
    return MemoryIdempotency() if request.param == "memory" else SqliteIdempotency(tmp_path / "idempotency.db")


def test_idempotency_first_use_starts_now(idempotency: Idempotency) -> None:
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS) == Attempt(NOW_MS, None)


def test_idempotency_second_use_knows_the_first(idempotency: Idempotency) -> None:
    idempotency.begin("device:1", "key", "body", now_ms=NOW_MS)
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS + 5) == Attempt(NOW_MS, None)
    idempotency.finish("device:1", "key", '{"id": 1}')
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS + 9) == Attempt(NOW_MS, '{"id": 1}')


def test_idempotency_keeps_the_first_answer(idempotency: Idempotency) -> None:
    idempotency.begin("device:1", "key", "body", now_ms=NOW_MS)
    idempotency.finish("device:1", "key", "first")
    idempotency.finish("device:1", "key", "second")
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS).answer == "first"


def test_idempotency_refuses_another_request_under_the_same_key(idempotency: Idempotency) -> None:
    idempotency.begin("device:1", "key", "body", now_ms=NOW_MS)
    with pytest.raises(Unprocessable) as caught:
        idempotency.begin("device:1", "key", "another body", now_ms=NOW_MS + DAY_MS - 1)
    assert (caught.value.field, caught.value.limit) == ("Idempotency-Key", "24 h")
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS) == Attempt(NOW_MS, None)


def test_idempotency_keeps_callers_and_keys_apart(idempotency: Idempotency) -> None:
    idempotency.begin("device:1", "key", "body", now_ms=NOW_MS)
    idempotency.finish("device:1", "key", "answer")
    assert idempotency.begin("device:2", "key", "other", now_ms=NOW_MS + 1) == Attempt(NOW_MS + 1, None)
    assert idempotency.begin("device:1", "other", "other", now_ms=NOW_MS + 1) == Attempt(NOW_MS + 1, None)


def test_idempotency_forgets_after_a_day(idempotency: Idempotency) -> None:
    idempotency.begin("device:1", "key", "body", now_ms=NOW_MS)
    idempotency.finish("device:1", "key", "answer")
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS + DAY_MS - 1).answer == "answer"
    again = idempotency.begin("device:1", "key", "another body", now_ms=NOW_MS + DAY_MS)
    assert again == Attempt(NOW_MS + DAY_MS, None)


def test_idempotency_remembers_when_the_clock_steps_back(idempotency: Idempotency) -> None:
    idempotency.begin("device:1", "key", "body", now_ms=NOW_MS)
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS - DAY_MS).started_ms == NOW_MS


def test_idempotency_answer_without_a_beginning_is_dropped(idempotency: Idempotency) -> None:
    idempotency.finish("device:1", "key", "answer")
    assert idempotency.begin("device:1", "key", "body", now_ms=NOW_MS) == Attempt(NOW_MS, None)


@pytest.mark.parametrize("idempotency", ["memory", "sqlite"], indirect=True)
def test_idempotency_expire_forgets_the_old_and_says_how_many(idempotency: Idempotency) -> None:
    for number in range(10):
        idempotency.begin("device:1", f"key-{number}", "body", now_ms=NOW_MS + number)
    assert idempotency.expire(before_ms=NOW_MS + 4) == 4
    assert idempotency.expire(before_ms=NOW_MS + 4) == 0
    assert idempotency.begin("device:1", "key-3", "body", now_ms=NOW_MS + 50) == Attempt(NOW_MS + 50, None)
    assert idempotency.begin("device:1", "key-4", "body", now_ms=NOW_MS + 50) == Attempt(NOW_MS + 4, None)


@pytest.mark.parametrize("idempotency", ["memory", "sqlite", "dynamodb"], indirect=True)
def test_idempotency_threads_agree_on_the_first_use(idempotency: Idempotency) -> None:
    def start(number: int) -> int:
        key = f"key-{number // 8}"
        return idempotency.begin("device:1", key, "body", now_ms=NOW_MS + number).started_ms

    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(start, range(160)))
    for first in range(0, 160, 8):
        assert len(set(started[first : first + 8])) == 1


def test_sqlite_idempotency_processes_agree_on_the_first_use(tmp_path: Path) -> None:
    keys = [f"key-{number}" for number in range(100)]
    path = str(tmp_path / "idempotency.db")
    one, other = in_processes(2, begin, path, keys, NOW_MS)
    assert one == other == [NOW_MS + number for number in range(100)]
    later = SqliteIdempotency(path)
    assert later.begin("device:1", "key-7", "body", now_ms=NOW_MS + DAY_MS).started_ms == NOW_MS + 7
