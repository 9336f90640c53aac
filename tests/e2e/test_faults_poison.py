"""Messages that cannot be stored: they become dead letters with a reason, and cost their neighbours nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import codec
from chalicelib.adapters import sqlite_queue_tables as tables
from chalicelib.adapters.sqlite import Database
from chalicelib.adapters.sqlite_queue import SqliteQueue
from chalicelib.model import DEFAULT_TENANT, Batch, DeviceRef, Reading
from tests.e2e.instance import Instance, eventually
from tests.e2e.load import Fleet, rows_of
from tests.e2e.posting import FIRST_MS, NO_LIMITS, call, ledger, register

LETTERS = "/api/v1/admin/dead-letters"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """Takes whatever a load sends."""
    with Instance(tmp_path / "var", NO_LIMITS) as running:
        yield running


def message(device_id: int, number: int) -> str:
    """As the front writes it."""
    device = DeviceRef(DEFAULT_TENANT, device_id)
    reading = Reading(device, FIRST_MS + 1000 * number, {"n": number})
    return codec.batch_to_json(Batch(device, FIRST_MS, (reading,)))


def slip_in(instance: Instance, *bodies: str) -> list[str]:
    """Put messages of one reading each into the queue by the side door; returns their ids."""
    queue = SqliteQueue(instance.data / "queue.db")
    ids = [queue.send(body, readings=1, now_ms=time.time_ns() // 1_000_000) for body in bodies]
    queue.close()
    return ids


def bury(instance: Instance, letter_id: str, body: str) -> None:
    """Make a dead letter of one reading, of a bug that was mended meanwhile."""
    database = Database(instance.data / "queue.db", tables.MIGRATIONS)
    with database.transaction() as connection:
        row = (letter_id, 1, "Internal error: KeyError", FIRST_MS, FIRST_MS, body)
        connection.execute(
            "INSERT INTO dead_letter (id, readings, reason, sent_ms, buried_ms, body) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        tables.book(connection, accepted=1, dead_lettered=1)
    database.close()


def reasons(instance: Instance) -> dict[str, str]:
    """The dead letters' reasons, by id."""
    status, page = call(instance.url, LETTERS, headers={"Authorization": f"Bearer {instance.token}"})
    assert status == 200, page
    return {letter["id"]: letter["reason"] for letter in page["dead_letters"]}


def replay(instance: Instance, letter_id: str) -> None:
    """Queue a dead letter again."""
    path = f"{LETTERS}/{letter_id}/replay"
    status, answer = call(instance.url, path, headers={"Authorization": f"Bearer {instance.token}"}, method="POST")
    assert status == 200, answer


POISON = ("", "garbage", "[]", "\0", "[" * 100_000, message(10**30, 0))


def test_poison_becomes_dead_letters_with_a_reason_while_its_neighbours_are_stored(instance: Instance) -> None:
    with Fleet(instance.url) as fleet:
        assert fleet.sends()
        poison = set(slip_in(instance, *POISON))
        assert fleet.sends()
        assert eventually(lambda: reasons(instance).keys() == poison), reasons(instance)
        assert fleet.sends()
    fleet.assert_kept(dead_lettered=len(POISON))
    assert all(reason.startswith("Unreadable message: ") for reason in reasons(instance).values())


def test_replayed_dead_letter_is_stored_and_one_that_is_still_poison_comes_back(instance: Instance) -> None:
    owner = register(instance.url, "mended")
    bury(instance, "good", message(owner.id, 7))
    bury(instance, "bad", "garbage")
    assert reasons(instance).keys() == {"good", "bad"}
    replay(instance, "good")
    replay(instance, "bad")
    assert eventually(lambda: "Unreadable" in reasons(instance).get("bad", ""))
    assert reasons(instance).keys() == {"bad"}
    assert eventually(lambda: [number for _, number in rows_of(instance.url, owner)] == [7])
    assert eventually(lambda: ledger(instance.url)["in_flight"] == 0)
    book = ledger(instance.url)
    assert (book["accepted"], book["stored"], book["dead_lettered"]) == (2, 1, 1)
