"""The rights on the table of records are what the adapters do: not one less, and not one more."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamo_connection import Connection
from chalicelib.adapters.dynamo_table import Table
from chalicelib.errors import Conflict
from chalicelib.model import (
    AuditEntry,
    Command,
    CommandStatus,
    CredentialKind,
    Device,
    DeviceRef,
    MeasurementType,
    Sighting,
    Twin,
)
from chalicelib.ports import DeviceFilter, Limit
from chalicelib.wiring import Services
from infra.aws.rights import INDEXES, RIGHTS, TABLE
from infra.emulators.records import ACCESS, make_table_with
from tests.builders import memory_services
from tests.contract.device_records import NOW_MS, draft, key, token

ONE = DeviceRef("default", 1)
KEY = key()
_WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
_CALLS = {
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "delete_item": "DeleteItem",
    "get_item": "GetItem",
    "batch_get_item": "BatchGetItem",
    "query": "Query",
}


class Witness(Connection):
    """Notes which right each call takes."""

    noted: set[tuple[str, str]]

    def call(self, operation: str, **options: Any) -> dict[str, Any]:
        if operation == "transact_write_items":
            kinds = [_WRITES[kind] for request in options["TransactItems"] for kind in request]
        else:
            kinds = [_CALLS[operation]]
        self.noted |= {(INDEXES if "IndexName" in options else TABLE, f"dynamodb:{kind}") for kind in kinds}
        return super().call(operation, **options)


@pytest.fixture
def witness() -> Iterator[Witness]:
    from botocore.session import Session
    from moto import mock_aws

    with mock_aws():
        client = Session().create_client("dynamodb", **ACCESS)
        make_table_with(client, "iotflow-test")
        made = Witness(lambda _service: client)
        made.noted = set()
        yield made
        client.close()


def a_command(command_id: str, status: CommandStatus = CommandStatus.QUEUED) -> Command:
    return Command(
        id=command_id,
        device=ONE,
        command_type="reboot",
        payload=None,
        status=status,
        created_ms=NOW_MS,
        updated_ms=NOW_MS,
        expires_ms=NOW_MS + 1,
    )


def issue_token(now: Services) -> None:
    for each in (token("ci"), replace(token("ci"), id="another")):
        with suppress(Conflict):
            now.credentials.add(each, now_ms=NOW_MS)


def take_idempotently(now: Services) -> None:
    for _ in range(2):
        now.idempotency.begin("caller", "key", "body", now_ms=NOW_MS)
    now.idempotency.finish("caller", "key", "answer")


def read_counters(now: Services) -> None:
    now.counters.totals()
    now.counters.since("name", since_ms=0)
    now.counters.flush()


def list_online(now: Services) -> None:
    for where in (DeviceFilter(), DeviceFilter(ids=frozenset({1})), DeviceFilter(exclude_ids=frozenset({1}))):
        now.devices.page("default", where)
        now.devices.count("default", where)


def list_devices(now: Services) -> None:
    now.devices.page("default", DeviceFilter(tag="hall"))
    now.devices.stats("default", now_ms=NOW_MS)


def tidy_devices(now: Services) -> None:
    now.devices.tenants()
    now.devices.page("default", DeviceFilter())
    now.devices.forget(now.devices.removed(before_ms=NOW_MS + 1) or [ONE])


def tidy_commands(now: Services) -> None:
    now.commands.expire(now_ms=NOW_MS + 1)
    now.commands.forget(before_ms=NOW_MS + 2)


def send_commands(now: Services) -> None:
    now.commands.get(ONE, "a")
    now.commands.backlog([ONE], now_ms=NOW_MS)
    now.commands.add(a_command("a"), a_command("b"))


def fetch_commands(now: Services) -> None:
    now.commands.revision()
    now.commands.pending([ONE], now_ms=NOW_MS)
    now.commands.advance(ONE, "waiting", CommandStatus.SENT, now_ms=NOW_MS)


def change_twin(now: Services) -> None:
    now.twins.get(ONE)
    now.twins.put(Twin(device=ONE, version=1, desired={"a": 1}))


def take_tokens(now: Services) -> None:
    for cost in (1, 1, 1, 1):
        now.limiter.take("key", Limit(3, 0.001), now_ms=NOW_MS, cost=cost)


def updated(now: Services, **changes: str) -> Device:
    device = now.devices.get(ONE)
    assert device is not None
    return now.devices.update(replace(device, **changes), now_ms=NOW_MS)  # type: ignore[arg-type]


def check_devices(now: Services) -> None:
    now.devices.get(ONE)
    now.devices.check()


def count(now: Services) -> None:
    now.counters.add("name", now_ms=0)
    now.counters.flush()


ACTS: dict[str, Callable[[Services], object]] = {
    "devices:get": check_devices,
    "devices:existing": lambda now: now.devices.existing([ONE]),
    "devices:list": list_devices,
    "devices:list-online": list_online,
    "devices:add": lambda now: now.devices.add(draft(), key(), now_ms=NOW_MS),
    "devices:update": lambda now: updated(now, location="attic"),
    "devices:rename": lambda now: updated(now, name="other"),
    "devices:remove": lambda now: now.devices.remove(ONE, now_ms=NOW_MS),
    "devices:tidy": tidy_devices,
    "credentials:get": lambda now: now.credentials.get(KEY.id),
    "credentials:of-device": lambda now: now.credentials.of_device(ONE),
    "credentials:tokens": lambda now: now.credentials.of_kind("default", CredentialKind.TOKEN),
    "credentials:add-key": lambda now: now.credentials.add(key(device_id=1), now_ms=NOW_MS, max_alive=5),
    "credentials:add-token": issue_token,
    "credentials:expire": lambda now: now.credentials.expire(KEY.id, at_ms=NOW_MS + 1),
    "credentials:remove": lambda now: now.credentials.remove("default", KEY.id),
    "declarations:get": lambda now: now.declarations.get("default", "meter"),
    "declarations:list": lambda now: now.declarations.all("default"),
    "declarations:put": lambda now: now.declarations.put("default", "meter", {"a": MeasurementType.INT32}),
    "declarations:remove": lambda now: now.declarations.remove("default", "meter"),
    "presence:get": lambda now: now.presence.read([ONE]),
    "presence:list": lambda now: now.presence.online("default", since_ms=0),
    "presence:check": lambda now: now.presence.check(),
    "presence:mark": lambda now: now.presence.mark([Sighting(ONE, NOW_MS)]),
    "presence:forget": lambda now: now.presence.forget([ONE]),
    "audit:read": lambda now: now.audit.page("default"),
    "audit:write": lambda now: now.audit.append(AuditEntry("default", NOW_MS, "me", "did", "that", "ok", "")),
    "commands:get": lambda now: now.commands.get(ONE, "waiting"),
    "commands:list": lambda now: now.commands.page(ONE, before_id="waiting"),
    "commands:count": lambda now: now.commands.counts("default"),
    "commands:send": send_commands,
    "commands:fetch": fetch_commands,
    "commands:settle": lambda now: now.commands.advance(ONE, "waiting", CommandStatus.SUCCEEDED, now_ms=NOW_MS),
    "commands:purge": lambda now: now.commands.purge([ONE]),
    "commands:tidy": tidy_commands,
    "twins:get": lambda now: now.twins.get(ONE),
    "twins:change": change_twin,
    "twins:purge": lambda now: now.twins.purge([ONE]),
    "idempotency:write": take_idempotently,
    "counters:read": read_counters,
    "counters:write": count,
    "counters:tidy": lambda now: now.counters.expire(before_ms=NOW_MS),
    "limiter:write": take_tokens,
}


def furnish(services: Services) -> None:
    """A device, a command and a twin."""
    services.devices.add(draft("pump"), KEY, now_ms=NOW_MS)
    services.commands.add(a_command("waiting"))
    services.counters.add("name", now_ms=0)
    services.counters.flush()
    services.twins.put(Twin(device=ONE))


@pytest.mark.parametrize("use", ACTS)
def test_a_use_has_the_rights_that_its_calls_take_and_no_other(use: str, witness: Witness) -> None:
    services = memory_services(devices="dynamodb", table="iotflow-test")
    services._table = Table("iotflow-test", witness)
    furnish(services)
    witness.noted.clear()
    ACTS[use](services)
    granted = {(resource, action) for resource, actions in RIGHTS[use].actions.items() for action in actions}
    on_records = {(resource, action) for resource, action in granted if resource in {TABLE, INDEXES}}
    assert witness.noted == on_records


def test_every_use_of_the_table_is_tried() -> None:
    """But those of the queue's records, which have tests of their own."""
    uses = {use for use, right in RIGHTS.items() if right.actions.keys() & {TABLE, INDEXES}}
    assert {use for use in uses if not use.startswith("queue:")} == ACTS.keys()
