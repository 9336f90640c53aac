"""How commands lie in the table.

A command lies with those of its device, in the order in which they were added; a second item finds it by its id, and
a third, while it is pending, lists it with all that its tenant has to send. Counts by status and the revision share
items, a few for each tenant, so that one write keeps both.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from chalicelib.adapters.dynamo_requests import Item, Key, delete, ordered, path, put, update
from chalicelib.adapters.dynamo_table import in_list
from chalicelib.model import PENDING_STATUSES, Command, CommandStatus, DeviceRef

SHARDS = 8
TALLIES = "command-tallies"
_ABSENT = "attribute_not_exists(#pk)"
_SAME = "#version = :seen"


class Stored(NamedTuple):
    """A command, its place among all, and how often it was changed."""

    command: Command
    position: int
    version: int = 1

    @property
    def key(self) -> Key:
        """Where it is."""
        return Key(partition(self.command.device), ordered(self.position))


def partition(device: DeviceRef) -> str:
    """The partition of a device's commands."""
    return path("commands", device.tenant, device.id)


def id_key(device: DeviceRef, command_id: str) -> Key:
    """What finds a command by its id."""
    return Key(path("command-ids", device.tenant, device.id), f"={command_id}")


def pending_partition(tenant: str) -> str:
    """The partition of all that a tenant has to send."""
    return path("pending", tenant)


def done_list(tenant: str) -> str:
    """The list of what needs nothing any more, by the time of its last change."""
    return path("done", tenant)


def added(stored: Stored) -> list[dict[str, Any]]:
    """The writes of a new command, the first refused when the id is there."""
    command = stored.command
    writes = [
        put(id_key(command.device, command.id), {"position": stored.position}, _ABSENT),
        put(stored.key, _values(stored)),
    ]
    if command.status in PENDING_STATUSES:
        until = {} if command.expires_ms is None else {"expires_ms": command.expires_ms}
        named = {"tenant": command.device.tenant, "device_id": command.device.id, "id": command.id}
        writes.append(put(_pending_key(stored), {**named, "position": stored.position, **until}))
    return writes


def changed(stored: Stored, command: Command) -> list[dict[str, Any]]:
    """The writes that make *command* of the stored one, refused when it is another already."""
    new = Stored(command, stored.position, stored.version + 1)
    writes = [put(stored.key, _values(new), _SAME, seen=stored.version)]
    if command.status not in PENDING_STATUSES:
        writes.append(delete(_pending_key(stored)))
    steps = Counter({command.status: 1})
    steps.subtract({stored.command.status: 1})
    return [*writes, tallied(command.device.tenant, steps)]


def removed(stored: Stored) -> list[dict[str, Any]]:
    """The writes that remove a command, refused when it has changed."""
    command = stored.command
    return [
        delete(stored.key, _SAME, seen=stored.version),
        delete(id_key(command.device, command.id)),
        delete(_pending_key(stored)),
    ]


def tallied(tenant: str, steps: Counter[CommandStatus]) -> dict[str, Any]:
    """The write that counts commands by status, and raises the revision."""
    shard = random.randrange(SHARDS)  # noqa: S311 - no secret
    counts: dict[str, Any] = {f"in_{status}": number for status, number in steps.items() if number}
    change = "ADD " + ", ".join(f"#{name} :{name}" for name in ["revision", *counts])
    both = f"{change} SET #tenant = :tenant"
    return update(Key(TALLIES, path(tenant, shard)), both, revision=1, tenant=tenant, **counts)


def tallies_of(commands: Iterable[Command], sign: int) -> list[dict[str, Any]]:
    """The writes that count so many commands more, or less with *sign* -1."""
    by_tenant: dict[str, Counter[CommandStatus]] = {}
    for command in commands:
        by_tenant.setdefault(command.device.tenant, Counter())[command.status] += sign
    return [tallied(tenant, steps) for tenant, steps in by_tenant.items()]


def stored_of(item: Item) -> Stored:
    """What an item says."""
    values = {**json.loads(item["rest"]), "id": item["id"], "status": CommandStatus(item["status"])}
    command = Command(**values, device=DeviceRef(item["tenant"], item["device_id"]))
    return Stored(command, item["position"], item["version"])


def in_chunks(whole: Sequence[Stored], size: int) -> list[Sequence[Stored]]:
    """Pieces that fit into a transaction each."""
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _pending_key(stored: Stored) -> Key:
    device = stored.command.device
    return Key(pending_partition(device.tenant), path(ordered(device.id), ordered(stored.position)))


def _values(stored: Stored) -> dict[str, Any]:
    command = stored.command
    fields = ("command_type", "payload", "created_ms", "updated_ms", "expires_ms", "group", "result", "attempts")
    values = {
        "tenant": command.device.tenant,
        "device_id": command.device.id,
        "id": command.id,
        "status": command.status.value,
        "position": stored.position,
        "version": stored.version,
        "rest": json.dumps({name: getattr(command, name) for name in fields}),
    }
    if command.status in PENDING_STATUSES:
        return values
    place = path(ordered(command.updated_ms), command.device.id, ordered(stored.position))
    return {**values, **in_list(done_list(command.device.tenant), place)}
