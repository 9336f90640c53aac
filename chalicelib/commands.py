"""Commands to devices: sent, fetched, answered, given up. Ports come in as keyword arguments.

A command is delivered at least once, over MQTT or to a device that polls; a device knows a repetition by the id.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from chalicelib import times
from chalicelib.errors import Conflict, InvalidInput, NotFound, TooLarge
from chalicelib.limits import bytes_in_words
from chalicelib.model import RESULT_STATUSES, Command, CommandStatus, Device, DeviceRef, DeviceStatus
from chalicelib.ports import CommandRepository, DeviceFilter, DeviceRepository

DEFAULT_TTL_S = 86_400
MAX_TTL_S = 30 * 86_400
MAX_PAYLOAD_BYTES = 8192
"""Of a command's payload, and of a device's result."""
MAX_PENDING = 1000
"""Commands that may wait for one device."""
MAX_MEMBERS = 10_000
"""Devices that one command to a group may reach."""
KEPT_MS = 30 * 86_400_000
"""How long a command is remembered after its last step."""
ANSWERS = RESULT_STATUSES | {CommandStatus.ACKNOWLEDGED}
"""What a device may say of a command."""
_PAGE = 1000
_LEVEL = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Order(NamedTuple):
    """What a device is to be told.

    Attributes:
        command_type: 1 to 64 letters, digits and ``_ . : -``: it becomes a level of a topic.
        payload: Any JSON value of at most `MAX_PAYLOAD_BYTES`.
        ttl_s: How long the command may be sent, 1 to `MAX_TTL_S` seconds.
        command_id: The sender's own id, of the same characters as the type; empty: one is made.
    """

    command_type: str
    payload: Any
    ttl_s: int = DEFAULT_TTL_S
    command_id: str = ""


class Sent(NamedTuple):
    """A command to a group: the ids of its members that get it under the one id, and of those whose queue is full."""

    command_id: str
    expires_ms: int
    devices: list[int]
    skipped: list[int]


def send(order: Order, device: Device, *, commands: CommandRepository, now_ms: int, seed: str = "") -> Command:
    """Queue a command for one device.

    Args:
        order: What to tell it.
        device: Whom.
        commands: Where it is queued.
        now_ms: Server time.
        seed: Names an idempotent request: the same seed makes the same command once.

    Returns:
        The command as stored; an earlier one when this id was used for the very same order.

    Raises:
        InvalidInput: The order breaks a limit.
        Conflict: The id stands for another order (``id_taken``), or too many wait already (``backlog_full``).
    """
    command_id = _checked(order).command_id or _made_id(seed)
    known = commands.get(device.ref, command_id)
    if known is None:
        if commands.backlog([device.ref], now_ms=now_ms).get(device.ref, 0) >= MAX_PENDING:
            message = f"{MAX_PENDING} commands wait for this device already"
            raise Conflict(message, limit=f"{MAX_PENDING} commands", code="backlog_full")
        commands.add(_command(order, command_id, device.ref, now_ms))
        known = found(device.ref, command_id, commands=commands)
    if (known.command_type, known.payload) != (order.command_type, order.payload):
        raise Conflict("This id stands for another command", field="command_id", code="id_taken")
    return known


def send_to_group(
    order: Order,
    group: str,
    *,
    tenant: str,
    devices: DeviceRepository,
    commands: CommandRepository,
    now_ms: int,
    seed: str = "",
) -> Sent:
    """Queue a command for every device that carries the tag *group* and is not inactive, in one transaction.

    Raises:
        InvalidInput: The order breaks a limit, or the group has more than `MAX_MEMBERS` devices.
        NotFound: No such device carries the tag.
    """
    command_id = _checked(order).command_id or _made_id(seed)
    members = list(_members(group, tenant, devices))
    if not members:
        raise NotFound("No active device carries this tag", field="group_id")
    backlog = commands.backlog(members, now_ms=now_ms)
    full = [member.id for member in members if backlog.get(member, 0) >= MAX_PENDING]
    reached = [member for member in members if member.id not in set(full)]
    commands.add(*(_command(order, command_id, member, now_ms, group) for member in reached))
    return Sent(command_id, now_ms + order.ttl_s * 1000, [member.id for member in reached], full)


def _members(group: str, tenant: str, devices: DeviceRepository) -> Iterator[DeviceRef]:
    after_id, count = 0, 0
    while page := devices.page(tenant, DeviceFilter(tag=group), after_id=after_id, limit=_PAGE):
        count += len(page)
        if count > MAX_MEMBERS:
            message = f"A command reaches at most {MAX_MEMBERS} devices; this group has more"
            raise InvalidInput(message, field="group_id", limit=f"{MAX_MEMBERS} devices")
        yield from (device.ref for device in page if device.status is not DeviceStatus.INACTIVE)
        after_id = page[-1].id


def fetch(device: DeviceRef, *, commands: CommandRepository, now_ms: int, limit: int) -> list[Command]:
    """Hand the device what waits for it, oldest first, and note that it was sent.

    What the device does not answer is handed out again at its next call: an answer may get lost on its way.
    """
    waiting = commands.pending([device], now_ms=now_ms, limit=limit)
    sent = (commands.advance(device, one.id, CommandStatus.SENT, now_ms=now_ms) for one in waiting)
    return [command for command in sent if command is not None]


def wait_for_any(device: DeviceRef, *, commands: CommandRepository, now_ms: int, timeout_s: float) -> bool:
    """Wait until a command is there for the device, at most *timeout_s*; whether there is one.

    The repository's revision is asked, with pauses from 20 to 200 ms: a command may come from any process.
    """
    started, pause_s = time.monotonic(), 0.02
    seen = -1
    while True:
        revision = commands.revision()
        passed_s = time.monotonic() - started
        if revision != seen and commands.pending([device], now_ms=now_ms + int(passed_s * 1000), limit=1):
            return True
        seen = revision
        if passed_s + pause_s > timeout_s:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, 0.2)


def answer(
    device: DeviceRef, command_id: str, status: CommandStatus, result: Any, *, commands: CommandRepository, now_ms: int
) -> Command:
    """Record what the device says of a command; saying the same again changes nothing.

    Args:
        device: Who says it.
        command_id: Of what.
        status: One of `ANSWERS`.
        result: Any JSON value.
        commands: Where it is recorded.
        now_ms: Server time.

    Raises:
        InvalidInput: A status that is not the device's to set.
        TooLarge: The result has more than `MAX_PAYLOAD_BYTES`.
        NotFound: The device has no such command.
        Conflict: It has another result already (``command_settled``).
    """
    if status not in ANSWERS:
        words = ", ".join(sorted(ANSWERS))
        message = f"status must be one of {words}"
        raise InvalidInput(message, field="status")
    _require_size(result, "result")
    known = found(device, command_id, commands=commands)
    if known.status is status:
        return known
    return _advanced(known, status, result, commands=commands, now_ms=now_ms)


def cancel(device: DeviceRef, command_id: str, *, commands: CommandRepository, now_ms: int) -> Command:
    """Take back a command that the device is not known to have; doing so again changes nothing.

    Raises:
        NotFound: The device has no such command.
        Conflict: The device has it already, or it is over (``command_settled``).
    """
    known = found(device, command_id, commands=commands)
    if known.status is CommandStatus.CANCELLED:
        return known
    return _advanced(known, CommandStatus.CANCELLED, None, commands=commands, now_ms=now_ms)


def _advanced(known: Command, to: CommandStatus, result: Any, *, commands: CommandRepository, now_ms: int) -> Command:
    advanced = commands.advance(known.device, known.id, to, now_ms=now_ms, result=result)
    if advanced is None:
        status = found(known.device, known.id, commands=commands).status
        message = f"The command is {status} and cannot become {to}"
        raise Conflict(message, code="command_settled")
    return advanced


def found(device: DeviceRef, command_id: str, *, commands: CommandRepository) -> Command:
    """The device's command of this id.

    Raises:
        NotFound: There is none.
    """
    command = commands.get(device, command_id)
    if command is None:
        raise NotFound("There is no such command", field="command_id")
    return command


def message(command: Command) -> dict[str, Any]:
    """What a device gets, over MQTT and HTTP alike.

    The keys of a payload that is an object stand at the top as well, and its `type` wins over the command's: firmware
    written for the predecessor looks for them there.
    """
    payload = command.payload if isinstance(command.payload, dict) else {}
    envelope = {
        "command_id": command.id,
        "command_type": command.command_type,
        "command": command.payload,
        "timestamp": times.to_iso(command.created_ms),
        "expires_at": times.to_iso(command.expires_ms) if command.expires_ms is not None else None,
        "source": "iotflow_api",
    }
    group = {"group_id": command.group} if command.group else {}
    return {"type": command.command_type, **payload, **envelope, **group}


def is_type(text: str) -> bool:
    """Whether *text* can be a command's type, and so a level of a topic."""
    return _LEVEL.fullmatch(text) is not None


def require_type(command_type: str, *, field: str = "command_type") -> str:
    """*command_type*, if it can be a level of a topic.

    Raises:
        InvalidInput: It cannot.
    """
    if not is_type(command_type):
        message = f"{field} must have 1 to 64 letters, digits and _ . : -"
        raise InvalidInput(message, field=field, limit="64 characters")
    return command_type


def _checked(order: Order) -> Order:
    require_type(order.command_type)
    if order.command_id:
        require_type(order.command_id, field="command_id")
    if not 1 <= order.ttl_s <= MAX_TTL_S:
        raise InvalidInput("ttl must be from 1s to 30d", field="ttl", limit="30d")
    _require_size(order.payload, "command")
    return order


def _require_size(value: Any, field: str) -> None:
    size_bytes = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size_bytes > MAX_PAYLOAD_BYTES:
        limit = bytes_in_words(MAX_PAYLOAD_BYTES)
        message = f"{field} has {size_bytes} bytes as JSON, at most {limit} are accepted"
        raise TooLarge(message, field=field, limit=limit)


def _made_id(seed: str) -> str:
    return hashlib.sha256(f"command/{seed}".encode()).hexdigest()[:24] if seed else secrets.token_hex(12)


def _command(order: Order, command_id: str, device: DeviceRef, now_ms: int, group: str = "") -> Command:
    return Command(
        id=command_id,
        device=device,
        command_type=order.command_type,
        payload=order.payload,
        created_ms=now_ms,
        updated_ms=now_ms,
        expires_ms=now_ms + order.ttl_s * 1000,
        group=group,
    )
