"""What DynamoDB's failures mean: away, busy, in collision, too large, and more than one transaction takes."""

import socket
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from chalicelib.adapters import aws_client, dynamo_connection, dynamo_devices
from chalicelib.adapters.count_buffer import FLUSH_EVERY_MS
from chalicelib.adapters.dynamo_commands import AT_ONCE, DynamoCommands
from chalicelib.adapters.dynamo_connection import Connection, Refused
from chalicelib.adapters.dynamo_counters import DynamoCounters
from chalicelib.adapters.dynamo_limiter import DynamoLimiter
from chalicelib.adapters.dynamo_requests import Key, put, update
from chalicelib.adapters.dynamo_table import Table
from chalicelib.adapters.dynamo_twins import DynamoTwins
from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.errors import TooLarge, Unavailable
from chalicelib.model import Command, CommandStatus, DeviceRef, Twin
from chalicelib.ports import Limit
from infra.emulators.records import ACCESS
from tests.contract.device_records import NOW_MS, draft, dynamo, key
from tests.contract.dynamo_tables import Tables

ONE = DeviceRef("default", 1)
CONFLICT: dict[str, Any] = {"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]}


class Client:
    """A client of botocore whose answers are prepared: what is an error is raised, the last is given again."""

    def __init__(self, *answers: ClientError | dict[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**options: Any) -> dict[str, Any]:
            self.calls.append(options)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, ClientError):
                raise answer
            return answer

        return call


def error(code: str, operation: str = "PutItem", **more: Any) -> ClientError:
    document: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(document, operation)


def table_of(client: Client) -> Table:
    return Table("records", Connection(lambda _service: client))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are too short to notice."""
    monkeypatch.setattr(dynamo_connection, "LONGEST_PAUSE_S", 0.001)


@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "ThrottlingException", "ResourceNotFoundException"]
)
def test_a_busy_or_missing_table_is_unavailable(code: str) -> None:
    with pytest.raises(Unavailable, match=code):
        table_of(Client(error(code))).check()


def test_a_mistake_of_ours_passes_through() -> None:
    with pytest.raises(ClientError):
        table_of(Client(error("ValidationException"))).check()


@pytest.mark.usefixtures("impatient")
def test_a_transaction_that_collides_is_tried_again() -> None:
    collision = error("TransactionCanceledException", **CONFLICT)
    client = Client(collision, collision, {})
    table_of(client).transact(put(Key("a"), {}), put(Key("b"), {}))
    assert len(client.calls) == 3
    assert client.calls[0] == client.calls[2]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "collision", [error("TransactionCanceledException", **CONFLICT), error("TransactionConflictException")]
)
def test_a_write_that_always_collides_is_unavailable(collision: ClientError) -> None:
    client = Client(collision)
    with pytest.raises(Unavailable, match="too many write the same"):
        table_of(client).write(update(Key("a"), "SET #b = :b", b=1))
    assert len(client.calls) == dynamo_connection.COLLISIONS


def test_a_condition_that_does_not_hold_is_told_with_its_place_and_never_tried_again() -> None:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "ConditionalCheckFailed", "Item": {"a": {"N": "7"}}}]
    client = Client(error("TransactionCanceledException", CancellationReasons=reasons))
    with pytest.raises(Refused) as refused:
        table_of(client).transact(put(Key("a"), {}), put(Key("b"), {}))
    assert (refused.value.at, refused.value.found) == (1, {"a": 7})
    assert len(client.calls) == 1


@pytest.mark.usefixtures("impatient")
def test_keys_that_a_batch_leaves_out_are_asked_for_again() -> None:
    one, two = ({"pk": {"S": name}, "sk": {"S": "-"}} for name in ("one", "two"))
    client = Client(
        {"Responses": {"records": [one]}, "UnprocessedKeys": {"records": {"Keys": [two]}}},
        {"Responses": {"records": [two]}, "UnprocessedKeys": {}},
    )
    assert table_of(client).get_many([Key("one"), Key("two")]).keys() == {Key("one"), Key("two")}
    assert client.calls[1]["RequestItems"]["records"]["Keys"] == [two]


def test_a_server_that_takes_calls_and_never_answers_is_unavailable() -> None:
    quick = aws_client.CONFIG.merge(Config(read_timeout=0.1, retries={"total_max_attempts": 1}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = Session().create_client("dynamodb", endpoint_url=url, config=quick, **ACCESS)
        with pytest.raises(Unavailable, match="does not answer: ReadTimeoutError"):
            Table("records", Connection(lambda _service: client)).check()
        client.close()


def test_a_limiter_whose_table_is_away_goes_by_its_own_buckets() -> None:
    limiter = DynamoLimiter(table_of(Client(error("ThrottlingException"))), MemoryLimiter())
    taken = [limiter.take("a", Limit(2, 0.001), now_ms=NOW_MS).allowed for _ in range(3)]
    assert taken == [True, True, False]


def test_counts_that_could_not_be_written_are_written_later_and_no_others(tables: Tables) -> None:
    table = tables.new("dynamodb")
    away = table_of(Client(error("ThrottlingException")))
    counters = DynamoCounters(table)
    counters.add("first", now_ms=NOW_MS)
    counters.add("second", now_ms=NOW_MS + 1)
    counters._table = away
    with pytest.raises(Unavailable):
        counters.flush()
    counters.add("second", now_ms=NOW_MS + FLUSH_EVERY_MS + 1)
    counters._table = table
    assert counters.totals() == {("first", ()): 1, ("second", ()): 2}


@pytest.mark.parametrize("backend", ["dynamodb", "moto"])
def test_what_no_item_can_hold_is_refused_as_too_large(tables: Tables, backend: str) -> None:
    twins = DynamoTwins(tables.new(backend))
    with pytest.raises(TooLarge) as refused:
        twins.put(Twin(device=ONE, desired={"text": "x" * 420_000}))
    assert refused.value.limit == "400 kB"
    assert twins.get(ONE).version == 0


def test_a_device_with_more_keys_than_a_transaction_takes_is_removed_with_all(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamo_devices, "AT_ONCE", 3)
    records = dynamo(tables.new("dynamodb"))
    device = records.devices.add(draft(), key(), now_ms=NOW_MS)
    keys = [key(device_id=device.id) for _ in range(7)]
    for each in keys:
        records.credentials.add(each, now_ms=NOW_MS)
    assert records.devices.remove(device.ref, now_ms=NOW_MS)
    assert [records.credentials.get(each.id) for each in keys] == [None] * 7
    assert records.devices.stats("default", now_ms=NOW_MS).keys == 0


def test_more_commands_than_a_transaction_takes_keep_their_order_and_can_be_added_again(tables: Tables) -> None:
    commands = DynamoCommands(tables.new("dynamodb"))
    some = [
        Command(
            id=f"c{number}",
            device=DeviceRef("default", number % 5),
            command_type="reboot",
            payload=None,
            created_ms=NOW_MS,
            updated_ms=NOW_MS,
        )
        for number in range(2 * AT_ONCE + 1)
    ]
    devices = sorted({command.device for command in some})
    commands.add(*some[: AT_ONCE + 3])
    commands.add(*some)
    assert commands.counts("default") == {CommandStatus.QUEUED: len(some)}
    assert commands.pending(devices, now_ms=NOW_MS) == some


def test_many_devices_are_asked_for_as_one_tenant(tables: Tables) -> None:
    """More devices than are asked one at a time, and commands of others in between."""
    commands = DynamoCommands(tables.new("dynamodb"))
    base = Command(
        id="c", device=ONE, command_type="reboot", payload=None, created_ms=NOW_MS, updated_ms=NOW_MS, expires_ms=None
    )
    some = [replace(base, device=DeviceRef("default", number)) for number in range(30)]
    commands.add(*some)
    wanted = [command.device for command in some[::2]]
    assert commands.pending(wanted, now_ms=NOW_MS) == some[::2]
    assert commands.backlog(wanted, now_ms=NOW_MS) == dict.fromkeys(wanted, 1)
