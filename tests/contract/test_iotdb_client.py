"""The client against a fake server that is slow, wrong or absent."""

import time
from collections.abc import Iterator

import pytest

from chalicelib.adapters.iotdb_client import Client, Patience
from chalicelib.adapters.iotdb_connection import Access
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading
from tests.contract.fake_iotdb import FakeIotdb, serving

ACCESS = Access("writer", "not-a-secret")
QUICK = Patience(deadline_s=3.0, attempt_s=0.3)
DEVICE = DeviceRef("default", 1)


@pytest.fixture
def fake() -> Iterator[FakeIotdb]:
    with serving() as found:
        yield found


@pytest.fixture
def client(fake: FakeIotdb) -> Iterator[Client]:
    client = Client([fake.node], ACCESS, QUICK)
    yield client
    client.close()


@pytest.fixture
def store(fake: FakeIotdb) -> Iterator[IotdbReadings]:
    store = IotdbReadings([fake.node], ACCESS, patience=QUICK)
    yield store
    store.close()


def asked(client: Client, statement: str) -> list[str]:
    """What the server says that the question was."""
    return [text for block in client.rows(statement).blocks for text in block.columns[0]]


def readings(count: int) -> list[Reading]:
    return [Reading(DEVICE, n, {"m": n}) for n in range(count)]


def test_late_answer_is_never_taken_for_another_questions(client: Client, fake: FakeIotdb) -> None:
    for n in range(20):
        fake.delays_s = [0.4] if n % 4 == 0 else []
        assert asked(client, f"SELECT {n}") == [f"SELECT {n}"]
    assert fake.sessions == 6


def test_idle_connection_is_used_again(client: Client, fake: FakeIotdb) -> None:
    for _ in range(10):
        client.rows("SELECT 1")
    assert fake.sessions == 1


def test_silent_server_is_given_up_within_the_deadline(client: Client, fake: FakeIotdb) -> None:
    fake.delays_s = [0.5] * 9
    begin_s = time.monotonic()
    with pytest.raises(Unavailable):
        client.rows("SELECT 1")
    assert time.monotonic() - begin_s < QUICK.deadline_s + QUICK.attempt_s + 1


def test_absent_server_is_unavailable_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as gone:
        node = gone.node
    client = Client([node], ACCESS, QUICK)
    for _ in range(3):
        with pytest.raises(Unavailable):
            client.rows("SELECT 1")
    assert [record.message.partition(":")[0] for record in caplog.records] == ["IoTDB does not answer"]
    assert "not-a-secret" not in caplog.text


def test_next_node_takes_over_when_one_is_gone_or_silent(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as second, serving() as third:
        with serving() as first:
            client = Client([first.node, second.node, third.node], ACCESS, QUICK)
            assert asked(client, "SELECT 1") == ["SELECT 1"]
        assert asked(client, "SELECT 2") == ["SELECT 2"]
        second.delays_s = [1.0]
        assert asked(client, "SELECT 3") == ["SELECT 3"]
        assert (first.sessions, second.sessions, third.sessions) == (1, 1, 1)
        client.close()
    assert [record.message for record in caplog.records if "again" in record.message]


def test_server_that_counts_in_microseconds_is_refused_in_words(client: Client, fake: FakeIotdb) -> None:
    fake.precision = "us"
    with pytest.raises(Unavailable, match="counts time in us; set timestamp_precision=ms"):
        client.rows("SELECT 1")


TRANSIENT = [
    (507, "TSStatus(code:600, message:Fail to do non-query operations because system is read-only.)"),
    (606, "write rejected"),
    (305, "java.lang.ArrayStoreException"),
    (713, "no leader"),
]


@pytest.mark.parametrize("refusal", TRANSIENT, ids=lambda refusal: str(refusal[0]))
def test_write_is_tried_again_after_a_transient_refusal(
    store: IotdbReadings, fake: FakeIotdb, refusal: tuple[int, str]
) -> None:
    fake.refusals = [refusal]
    assert store.write(readings(3)) == []
    assert fake.written == [0, 1, 2]


def test_write_that_stays_refused_for_a_while_is_unavailable_and_rejects_nothing(
    store: IotdbReadings, fake: FakeIotdb
) -> None:
    fake.refusals = TRANSIENT[:1] * 99
    with pytest.raises(Unavailable):
        store.write(readings(3))


def test_write_bisects_down_to_the_guilty_reading(store: IotdbReadings, fake: FakeIotdb) -> None:
    illegal = (509, "a-b is not a legal path")
    fake.refusals = [illegal, illegal, illegal]  # all four, the first two, the first
    (rejected,) = store.write(readings(4))
    assert rejected[:2] == (0, "IoTDB says 509: a-b is not a legal path")
    assert sorted(fake.written) == [1, 2, 3]


def test_write_without_the_right_to_is_unavailable_and_keeps_the_readings(
    store: IotdbReadings, fake: FakeIotdb
) -> None:
    fake.refusals = [(803, "No permissions for this operation, please add privilege WRITE_DATA")]
    with pytest.raises(Unavailable, match="refuses the account"):
        store.write(readings(1))


def test_large_batches_are_cut_into_calls(store: IotdbReadings, fake: FakeIotdb) -> None:
    assert store.write(readings(12_000)) == []
    assert list(dict.fromkeys(fake.written)) == list(range(12_000))
