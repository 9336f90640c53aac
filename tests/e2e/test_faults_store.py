"""The store, or the queue's file, away for a while: what was accepted is kept, and the log tells it in two lines."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from infra.failure import Exit
from tests.e2e.instance import Instance, eventually, infra
from tests.e2e.load import Fleet
from tests.e2e.posting import NO_LIMITS, call, ledger


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Instance]:
    """An installation that was started before, and is not running now."""
    with Instance(tmp_path / "var", NO_LIMITS) as instance:
        instance.down()
        yield instance


@pytest.fixture
def instance(stopped: Instance) -> Instance:
    """A running one."""
    stopped.up()
    return stopped


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Nobody else can write to the database within the block."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def said(instance: Instance, process: str, words: str) -> int:
    """In how many lines of its log a process said so since the first start."""
    log = (instance.data / "logs" / f"{process}.log").read_text(encoding="utf-8")
    return sum(words in json.loads(line)["message"] for line in log.splitlines())


def test_writes_go_on_while_the_store_is_locked_and_all_is_stored_after(instance: Instance) -> None:
    """Readers of a database in WAL mode need no lock."""
    with Fleet(instance.url) as fleet:
        assert fleet.sends()
        with locked(instance.data / "telemetry.db"):
            assert eventually(lambda: said(instance, "consumer", "store_readings waits") == 1)
            before = fleet.outcomes
            assert fleet.sends(500)
            assert (fleet.outcomes - before).keys() == {"201"}
            assert ledger(instance.url)["queued"] >= 500
            owner = fleet.devices[0].owner
            status, _ = call(instance.url, f"/api/v1/telemetry/{owner.id}", headers={"X-API-Key": owner.key})
            assert status == 200
        assert fleet.sends()
    fleet.assert_kept()
    assert said(instance, "consumer", "store_readings waits") == 1
    assert said(instance, "consumer", "store_readings goes on") == 1


def test_locked_queue_is_503_and_nothing_is_lost(instance: Instance) -> None:
    """A request waits some seconds for the lock before it is refused; all others are served meanwhile."""
    with Fleet(instance.url) as fleet:
        assert fleet.sends()
        with locked(instance.data / "queue.db"):
            assert eventually(lambda: fleet.outcomes["503"] > 0)
            assert call(instance.url, "/health")[0] == 200
        assert fleet.sends()
    fleet.assert_kept()
    assert said(instance, "front", "commits fail") == 1
    assert said(instance, "front", "commits work again") == 1


def test_instance_starts_while_the_store_is_away_and_stores_when_it_is_back(stopped: Instance) -> None:
    """As a volume that is not mounted yet; a start that waited for it would refuse every write."""
    for file in stopped.data.glob("telemetry.db*"):
        file.unlink()
    store = stopped.data / "telemetry.db"
    store.mkdir()
    stopped.up()
    with Fleet(stopped.url) as fleet:
        assert fleet.sends()
        owner = fleet.devices[0].owner
        status, body = call(stopped.url, f"/api/v1/telemetry/{owner.id}", headers={"X-API-Key": owner.key})
        assert (status, body["code"]) == (503, "unavailable")
        assert call(stopped.url, "/status")[1]["status"] == "degraded"
        store.rmdir()
        assert fleet.sends()
    fleet.assert_kept()
    assert fleet.outcomes.keys() == {"201"}


@pytest.mark.parametrize("name", ["devices.db", "queue.db", "telemetry.db"])
def test_database_of_a_newer_release_stops_the_start_in_one_sentence(stopped: Instance, name: str) -> None:
    with closing(sqlite3.connect(stopped.data / name)) as connection:
        connection.execute("PRAGMA user_version = 99")
    refused = infra("up", "-d", "--port", "0", "--data", str(stopped.data))
    assert refused.returncode == Exit.NOT_READY
    assert f"{name} has schema 99" in refused.stderr
    assert "File" not in refused.stderr, "a traceback"
