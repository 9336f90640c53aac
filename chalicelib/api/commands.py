"""Commands: sent by tokens to devices and groups, fetched and answered by devices without MQTT."""

import threading

from chalicelib import access, commands, times, topics
from chalicelib.api import command_shapes as shapes
from chalicelib.api.rates import DEVICE_WRITES
from chalicelib.calls import Call
from chalicelib.http import Resource, clock_ms
from chalicelib.model import Command, CommandStatus, Device, Scope, Sighting
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1", tag="Commands")
READ = access.token(Scope.DEVICES_READ)
WRITE = access.token(Scope.COMMANDS_WRITE)
SENDS = ("devices:get", "commands:send", "audit:write")
MAX_WAITERS = 4
"""A quarter of the local front's threads: waiting devices must not keep others from being served."""
BUSY_POLL_S = 5

_waiters = threading.BoundedSemaphore(MAX_WAITERS)


@resource.post("/mqtt/device/{device_id}/command", access=WRITE, uses=SENDS, idempotent="answer", errors=(409,))
def send_command(call: Call, device_id: int, body: shapes.DeviceCommand) -> shapes.CommandSentOut:
    """Queue a command for a device, which gets it over MQTT or when it asks, now or when it is back."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    sent = send(call, device, shapes.order(body))
    return shapes.CommandSentOut(
        message="Command queued",
        device_id=device_id,
        command_id=sent.id,
        command_type=sent.command_type,
        topic=topics.commands(device_id, sent.command_type),
        expires_at=shapes.optional_iso(sent.expires_ms),
    )


def send(call: Call, device: Device, order: commands.Order) -> Command:
    """Queue *order* for *device* on behalf of the caller, and record that."""
    now = services()
    sent = commands.send(order, device, commands=now.commands, now_ms=call.now_ms, seed=call.repeatable)
    call.audit(now.audit, "send_command", f"device:{device.id}", detail=f"{sent.command_type} {sent.id}")
    return sent


@resource.post(
    "/mqtt/fleet/{group_id}/command",
    access=WRITE,
    uses=("devices:list", "commands:send", "audit:write"),
    idempotent="answer",
)
def send_group_command(call: Call, group_id: str, body: shapes.GroupCommand) -> shapes.GroupCommandSentOut:
    """Queue a command for every device that carries the tag `group_id` and is not inactive."""
    now, order = services(), shapes.order(body)
    sent = commands.send_to_group(
        order,
        group_id,
        tenant=call.principal.tenant,
        devices=now.devices,
        commands=now.commands,
        now_ms=call.now_ms,
        seed=call.repeatable,
    )
    call.audit(now.audit, "send_group_command", f"group:{group_id}", detail=f"{order.command_type} {sent.command_id}")
    return shapes.GroupCommandSentOut(
        message=f"Command queued for {len(sent.devices)} devices",
        group_id=group_id,
        command_id=sent.command_id,
        command_type=order.command_type,
        topic=topics.commands("+", order.command_type),
        expires_at=times.to_iso(sent.expires_ms),
        devices=sent.devices,
        skipped=sent.skipped,
    )


@resource.get(
    "/devices/commands",
    access=access.DEVICE,
    limit=DEVICE_WRITES,
    uses=["commands:fetch", "presence:mark"],
    timeout_s=29,
)
def fetch_commands(call: Call, query: shapes.FetchQuery) -> shapes.FetchedOut:
    """Fetch the commands that wait for the calling device; with `wait`, as soon as there is one.

    For devices without MQTT. A command comes again until it is answered, so a device remembers the ids it has done.
    """
    now, device = services(), call.device.ref
    waited = _wait(call, min(query.wait, shapes.MAX_WAIT_S))
    fetched = commands.fetch(device, commands=now.commands, now_ms=clock_ms(), limit=query.limit)
    now.presence.mark([Sighting(device, call.now_ms)])
    return shapes.fetched_out(device.id, fetched, poll_after_s=0 if waited or fetched else BUSY_POLL_S)


def _wait(call: Call, timeout_s: int) -> bool:
    """Wait for a command; False when so many wait already that the caller does not."""
    if not timeout_s:
        return True
    if not _waiters.acquire(blocking=False):
        return False
    try:
        commands.wait_for_any(call.device.ref, commands=services().commands, now_ms=call.now_ms, timeout_s=timeout_s)
    finally:
        _waiters.release()
    return True


@resource.post(
    "/devices/commands/{command_id}/ack",
    access=access.DEVICE,
    limit=DEVICE_WRITES,
    uses=["commands:settle"],
    errors=(409, 413),
)
def answer_command(call: Call, command_id: str, body: shapes.CommandAnswer) -> shapes.CommandChangedOut:
    """Say what became of a command of the calling device; saying it again changes nothing."""
    answered = commands.answer(
        call.device.ref,
        command_id,
        CommandStatus(body.status),
        body.result,
        commands=services().commands,
        now_ms=call.now_ms,
    )
    return shapes.CommandChangedOut(command=shapes.command_out(answered))


@resource.get("/admin/devices/{device_id}/commands", access=READ, uses=("devices:get", "commands:list"))
def list_commands(call: Call, device_id: int, query: shapes.CommandsQuery) -> shapes.CommandsOut:
    """List a device's commands with their status and results, the last sent first, by pages."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    page = services().commands.page(device.ref, before_id=query.cursor, limit=query.limit + 1)
    shown = page[: query.limit]
    return shapes.CommandsOut(
        device_id=device_id,
        commands=[shapes.command_out(command) for command in shown],
        next_cursor=shown[-1].id if len(page) > query.limit else None,
    )


@resource.get("/admin/devices/{device_id}/commands/{command_id}", access=READ, uses=("devices:get", "commands:get"))
def read_command(call: Call, device_id: int, command_id: str) -> shapes.CommandChangedOut:
    """Read one command of a device."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    found = commands.found(device.ref, command_id, commands=services().commands)
    return shapes.CommandChangedOut(command=shapes.command_out(found))


@resource.delete(
    "/admin/devices/{device_id}/commands/{command_id}",
    access=WRITE,
    uses=("devices:get", "commands:settle", "audit:write"),
    errors=(409,),
)
def cancel_command(call: Call, device_id: int, command_id: str) -> shapes.CommandChangedOut:
    """Cancel a command that the device is not known to have."""
    now = services()
    device = access.visible_device(call.principal, device_id, devices=now.devices)
    cancelled = commands.cancel(device.ref, command_id, commands=now.commands, now_ms=call.now_ms)
    call.audit(now.audit, "cancel_command", f"device:{device_id}", detail=command_id)
    return shapes.CommandChangedOut(command=shapes.command_out(cancelled))
