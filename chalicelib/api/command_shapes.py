"""What senders and devices write and read of commands and twins."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, Strict, StringConstraints

from chalicelib import commands, times, twin
from chalicelib.commands import MAX_TTL_S, Order
from chalicelib.declare import Answer, Body, DeviceBody, Query
from chalicelib.model import Command, Twin

MAX_WAIT_S = 20
TTL_PATTERN = r"^([1-9][0-9]{0,5}s|[1-9][0-9]{0,3}m|([1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)h|([1-9]|[12][0-9]|30)d)$"
Level = Annotated[
    str, StringConstraints(min_length=1, max_length=64), Field(json_schema_extra={"pattern": r"^[A-Za-z0-9_.:-]+$"})
]
Ttl = Annotated[
    str,
    Field(
        description="how long the command may be sent: a number with s, m, h or d; at most 30d",
        json_schema_extra={"pattern": TTL_PATTERN, "examples": ["24h", "90s"]},
    ),
]
State = dict[Annotated[str, StringConstraints(min_length=1, max_length=100)], JsonValue]


class GroupCommand(Body):
    """A command to every device of a group.

    `qos` and `timestamp` are what the predecessor's clients send: commands travel with QoS 1, under the server's time.
    """

    command_type: Level = "control"
    command: JsonValue = None
    ttl: Ttl = "24h"
    qos: Literal[0, 1, 2] | None = None
    timestamp: JsonValue = None


class DeviceCommand(GroupCommand):
    """A command to one device. A `command_id` of the sender's own makes the command once."""

    command_type: Level
    command_id: Level | None = None


class Publication(Body):
    """A message to the commands of a device; nothing else can be published to."""

    topic: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    payload: JsonValue = None
    qos: Literal[0, 1, 2] = 1
    retain: bool = False


class FetchQuery(Query):
    """How long to wait for a command, and how many to fetch."""

    wait: int = Field(0, ge=0, le=3600, description=f"seconds; the answer comes after {MAX_WAIT_S} at the latest")
    limit: int = Field(10, ge=1, le=100)


class CommandsQuery(Query):
    """Which page of a device's commands."""

    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]{1,64}$")


class CommandAnswer(DeviceBody):
    """What a device says of a command."""

    status: Literal["acknowledged", "succeeded", "failed", "rejected"]
    result: JsonValue = None


class DesiredChange(Body):
    """A merge patch of the desired state: null deletes. With `version`, only that version is changed."""

    desired: State
    version: Annotated[int, Strict()] | None = Field(None, ge=0)


class ReportedChange(DeviceBody):
    """A merge patch of the reported state: null deletes. With `version`, only that version is changed."""

    reported: State
    version: Annotated[int, Strict()] | None = Field(None, ge=0)


class CommandOut(Answer):
    """A command and how far it got. `expires_at` is null for one that never expires."""

    id: str
    device_id: int
    command_type: str
    command: JsonValue
    status: str
    group_id: str | None
    attempts: int
    result: JsonValue
    created_at: str
    updated_at: str
    expires_at: str | None


class CommandSentOut(Answer):
    """A command that is queued."""

    status: Literal["success"] = "success"
    message: str
    device_id: int
    command_id: str
    command_type: str
    topic: str
    qos: Literal[1] = 1
    expires_at: str | None


class GroupCommandSentOut(Answer):
    """A command that is queued for every member, under one id; `skipped` have too many waiting already."""

    status: Literal["success"] = "success"
    message: str
    group_id: str
    command_id: str
    command_type: str
    topic: str
    qos: Literal[1] = 1
    expires_at: str
    devices: list[int]
    skipped: list[int]


class PublishedOut(Answer):
    """A message that is queued as a command."""

    status: Literal["success"] = "success"
    message: str
    topic: str
    qos: Literal[1] = 1
    retain: Literal[False] = False
    command_id: str


class FetchedOut(Answer):
    """Commands as a device gets them, oldest first.

    What is not answered comes again. `poll_after_s` is how long to stay away: too many devices wait already.
    """

    status: Literal["success"] = "success"
    device_id: int
    commands: list[dict[str, Any]]
    count: int
    poll_after_s: int


class CommandChangedOut(Answer):
    """A command after the change."""

    status: Literal["success"] = "success"
    command: CommandOut


class CommandsOut(Answer):
    """A page of a device's commands, the last sent first."""

    status: Literal["success"] = "success"
    device_id: int
    commands: list[CommandOut]
    next_cursor: str | None


class TwinOut(Answer):
    """Desired and reported state; `delta` is what is desired and not reported so."""

    status: Literal["success"] = "success"
    device_id: int
    version: int
    desired: dict[str, Any]
    reported: dict[str, Any]
    delta: dict[str, Any]
    desired_updated_at: str | None
    reported_updated_at: str | None


def order(body: GroupCommand) -> Order:
    """What a body asks for.

    Raises:
        InvalidInput: The `ttl` is no duration.
    """
    ttl_s = min(times.parse_duration_s(body.ttl, field="ttl"), MAX_TTL_S + 1)
    own_id = body.command_id if isinstance(body, DeviceCommand) else None
    return Order(body.command_type, body.command, ttl_s, own_id or "")


def command_out(command: Command) -> CommandOut:
    """A command for people and programs."""
    return CommandOut(
        id=command.id,
        device_id=command.device.id,
        command_type=command.command_type,
        command=command.payload,
        status=command.status,
        group_id=command.group or None,
        attempts=command.attempts,
        result=command.result,
        created_at=times.to_iso(command.created_ms),
        updated_at=times.to_iso(command.updated_ms),
        expires_at=optional_iso(command.expires_ms),
    )


def fetched_out(device_id: int, fetched: list[Command], *, poll_after_s: int) -> FetchedOut:
    """Commands for a device."""
    shown = [commands.message(command) for command in fetched]
    return FetchedOut(device_id=device_id, commands=shown, count=len(shown), poll_after_s=poll_after_s)


def twin_out(found: Twin) -> TwinOut:
    """A twin with the difference of its sides."""
    return TwinOut(
        device_id=found.device.id,
        version=found.version,
        desired=dict(found.desired),
        reported=dict(found.reported),
        delta=twin.delta(found.desired, found.reported),
        desired_updated_at=optional_iso(found.desired_updated_ms),
        reported_updated_at=optional_iso(found.reported_updated_ms),
    )


def optional_iso(timestamp_ms: int | None) -> str | None:
    """ISO 8601, or nothing."""
    return times.to_iso(timestamp_ms) if timestamp_ms is not None else None
