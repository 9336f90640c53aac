"""The rights on the table of records are what the adapters do: not one less, and not one more."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamo_connection import Connection
from chalicelib.adapters.dynamo_table import Table
from chalicelib.model import (
    AuditEntry,
    Command,
    CommandStatus,
    CredentialKind,
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


def read_devices(now: Services) -> None:
    now.devices.get(ONE)
    now.devices.find("default", "pump")
    now.devices.removed(before_ms=NOW_MS)
    now.devices.existing([ONE])
    for where in (DeviceFilter(), DeviceFilter(ids=frozenset({1})), DeviceFilter(exclude_ids=frozenset({1}))):
        now.devices.page("default", where)
        now.devices.count("default", where)
    now.devices.stats("default", now_ms=NOW_MS)
    now.devices.tenants()
    now.devices.revision()
    now.devices.check()


def write_devices(now: Services) -> None:
    added = now.devices.add(draft(), key(), now_ms=NOW_MS)
    now.devices.update(replace(added, name="other"), now_ms=NOW_MS)
    now.devices.remove(added.ref, now_ms=NOW_MS)
    now.devices.forget([added.ref])


def read_credentials(now: Services) -> None:
    now.credentials.get("nobody")
    now.credentials.of_device(ONE)
    now.credentials.of_kind("default", CredentialKind.TOKEN)


def write_credentials(now: Services) -> None:
    for each in (token("ci"), key(device_id=1)):
        now.credentials.add(each, now_ms=NOW_MS, max_alive=5)
        now.credentials.expire(each.id, at_ms=NOW_MS + 1)
        now.credentials.remove("default", each.id)


def read_declarations(now: Services) -> None:
    now.declarations.get("default", "meter")
    now.declarations.all("default")


def write_declarations(now: Services) -> None:
    now.declarations.put("default", "meter", {"a": MeasurementType.INT32})
    now.declarations.remove("default", "meter")


def read_presence(now: Services) -> None:
    now.presence.read([ONE])
    now.presence.online("default", since_ms=0)
    now.presence.check()


def write_presence(now: Services) -> None:
    now.presence.mark([Sighting(ONE, NOW_MS)])
    now.presence.forget([ONE])


def read_commands(now: Services) -> None:
    now.commands.get(ONE, "waiting")
    now.commands.pending([ONE], now_ms=NOW_MS)
    now.commands.queued("default", now_ms=NOW_MS)
    now.commands.backlog([ONE], now_ms=NOW_MS)
    now.commands.page(ONE, before_id="waiting")
    now.commands.counts("default")
    now.commands.revision()
    now.commands.check()


def write_commands(now: Services) -> None:
    now.commands.add(a_command("a"), a_command("b"))
    now.commands.advance(ONE, "a", CommandStatus.SUCCEEDED, now_ms=NOW_MS)
    now.commands.purge([ONE])


def tidy_commands(now: Services) -> None:
    now.commands.expire(now_ms=NOW_MS + 1)
    now.commands.forget(before_ms=NOW_MS + 2)


def read_twins(now: Services) -> None:
    now.twins.get(ONE)
    now.twins.changed(since=0)
    now.twins.revision()
    now.twins.check()


def write_twins(now: Services) -> None:
    now.twins.put(Twin(device=ONE, version=1, desired={"a": 1}))
    now.twins.purge([ONE])


def write_idempotency(now: Services) -> None:
    for _ in range(2):
        now.idempotency.begin("caller", "key", "body", now_ms=NOW_MS)
    now.idempotency.finish("caller", "key", "answer")


def read_counters(now: Services) -> None:
    now.counters.totals()
    now.counters.since("name", since_ms=0)
    now.counters.flush()


def write_counters(now: Services) -> None:
    now.counters.add("name", now_ms=0)
    now.counters.flush()


def take_tokens(now: Services) -> None:
    for cost in (0, 1, 1, 5):
        now.limiter.take("key", Limit(3, 0.001), now_ms=NOW_MS, cost=cost)
    now.limiter.check()


ACTS: dict[str, Callable[[Services], object]] = {
    "devices:read": read_devices,
    "devices:write": write_devices,
    "credentials:read": read_credentials,
    "credentials:write": write_credentials,
    "declarations:read": read_declarations,
    "declarations:write": write_declarations,
    "presence:read": read_presence,
    "presence:write": write_presence,
    "audit:read": lambda now: now.audit.page("default"),
    "audit:write": lambda now: now.audit.append(AuditEntry("default", NOW_MS, "me", "did", "that", "ok", "")),
    "commands:read": read_commands,
    "commands:write": write_commands,
    "commands:tidy": tidy_commands,
    "twins:read": read_twins,
    "twins:write": write_twins,
    "idempotency:write": write_idempotency,
    "counters:read": read_counters,
    "counters:write": write_counters,
    "counters:tidy": lambda now: now.counters.expire(before_ms=NOW_MS),
    "limiter:write": take_tokens,
}


def furnish(services: Services) -> None:
    """A device, a command and a twin."""
    services.devices.add(draft("pump"), key(), now_ms=NOW_MS)
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
    uses = {use for use, right in RIGHTS.items() if TABLE in right.actions}
    assert {use for use in uses if not use.startswith("queue:")} == ACTS.keys()
