"""Commands: what is sent, fetched, answered and taken back."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import commands
from chalicelib.commands import Order
from chalicelib.errors import Conflict, InvalidInput, NotFound, TooLarge
from chalicelib.model import Command, CommandStatus, Device, DeviceStatus
from chalicelib.upkeep import tidy
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, memory_services

REBOOT = Order("reboot", {"delay_s": 5})


@pytest.fixture
def services() -> Services:
    return memory_services()


@pytest.fixture
def device(services: Services) -> Device:
    return a_device(services).device


def send(services: Services, device: Device, order: Order = REBOOT, seed: str = "") -> Command:
    return commands.send(order, device, commands=services.commands, now_ms=NOW_MS, seed=seed)


def test_a_command_is_queued_with_its_expiry(services: Services, device: Device) -> None:
    command = send(services, device, Order("reboot", None, ttl_s=60))
    assert services.commands.pending([device.ref], now_ms=NOW_MS) == [command]
    assert (command.status, command.expires_ms) == (CommandStatus.QUEUED, NOW_MS + 60_000)
    assert send(services, device).id != send(services, device).id


def fill(services: Services, device: Device) -> None:
    """As many commands as may wait."""
    command = send(services, device)
    services.commands.add(*(replace(command, id=f"{number}") for number in range(commands.MAX_PENDING - 1)))


def test_the_same_request_makes_one_command(services: Services, device: Device) -> None:
    other = a_device(services, "other").device
    first = send(services, device, seed="token:ops/key-1")
    assert send(services, device, seed="token:ops/key-1") == first
    assert send(services, device, seed="token:ops/key-2") != first
    assert send(services, other, seed="token:ops/key-1").device == other.ref
    assert len(services.commands.page(device.ref)) == 2


def test_an_id_of_the_senders_own_stands_for_one_order(services: Services, device: Device) -> None:
    first = send(services, device, Order("reboot", 1, command_id="run-7"))
    assert first.id == "run-7"
    assert send(services, device, Order("reboot", 1, command_id="run-7")) == first
    for order in (Order("reboot", 2, command_id="run-7"), Order("update", 1, command_id="run-7")):
        with pytest.raises(Conflict) as refused:
            send(services, device, order)
        assert refused.value.code == "id_taken"


@pytest.mark.parametrize(
    ("order", "field"),
    [(Order("", 1), "command_type"), (Order("a/b", 1), "command_type"), (Order("a" * 65, 1), "command_type"),
     (Order("#", 1), "command_type"), (Order("a\n", 1), "command_type"), (Order("a", 1, ttl_s=0), "ttl"),
     (Order("a", 1, ttl_s=30 * 86_400 + 1), "ttl"), (Order("a", 1, command_id="a b"), "command_id")],
)  # fmt: skip
def test_an_order_beyond_the_limits_is_refused(services: Services, device: Device, order: Order, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        send(services, device, order)
    assert refused.value.field == field


def test_a_payload_of_more_than_8_kb_is_refused(services: Services, device: Device) -> None:
    send(services, device, Order("a", "x" * (commands.MAX_PAYLOAD_BYTES - 2)))
    with pytest.raises(TooLarge) as refused:
        send(services, device, Order("a", "x" * (commands.MAX_PAYLOAD_BYTES - 1)))
    assert (refused.value.field, refused.value.limit) == ("command", "8 kB")


def test_a_device_that_fetches_nothing_gets_no_endless_queue(services: Services, device: Device) -> None:
    fill(services, device)
    with pytest.raises(Conflict) as refused:
        send(services, device)
    assert (refused.value.code, refused.value.limit) == ("backlog_full", "1000 commands")


def tagged(services: Services, name: str, *tags: str, status: DeviceStatus = DeviceStatus.ACTIVE) -> Device:
    made = a_device(services, name).device
    return services.devices.update(replace(made, tags=tags, status=status), now_ms=NOW_MS)


def send_to_hall(services: Services, seed: str = "") -> commands.Sent:
    return commands.send_to_group(
        REBOOT,
        "hall",
        tenant="default",
        devices=services.devices,
        commands=services.commands,
        now_ms=NOW_MS,
        seed=seed,
    )


def test_a_group_is_the_devices_that_carry_its_tag(services: Services) -> None:
    one, two = tagged(services, "one", "hall", "x"), tagged(services, "two", "hall")
    tagged(services, "off", "hall", status=DeviceStatus.INACTIVE)
    outside = tagged(services, "outside", "hall 2")
    sent = send_to_hall(services, seed="key")
    assert (sent.devices, sent.skipped) == ([one.id, two.id], [])
    assert send_to_hall(services, seed="key") == sent
    for member in (one, two):
        (command,) = services.commands.page(member.ref)
        assert (command.id, command.group) == (sent.command_id, "hall")
        assert commands.message(command)["group_id"] == "hall"
    assert services.commands.page(outside.ref) == []


def test_a_member_with_a_full_queue_is_left_out_and_named(services: Services) -> None:
    full, free = tagged(services, "full", "hall"), tagged(services, "free", "hall")
    fill(services, full)
    sent = send_to_hall(services)
    assert (sent.devices, sent.skipped) == ([free.id], [full.id])


def test_a_group_without_devices_is_not_found(services: Services) -> None:
    tagged(services, "outside", "hall 2")
    with pytest.raises(NotFound):
        send_to_hall(services)


def fetch(services: Services, device: Device, now_ms: int = NOW_MS) -> list[Command]:
    return commands.fetch(device.ref, commands=services.commands, now_ms=now_ms, limit=10)


def test_what_is_not_answered_is_fetched_again(services: Services, device: Device) -> None:
    sent = [send(services, device), send(services, device)]
    assert [command.id for command in fetch(services, device)] == [command.id for command in sent]
    answer(services, device, sent[0], CommandStatus.ACKNOWLEDGED)
    (again,) = fetch(services, device)
    assert (again.id, again.attempts, again.status) == (sent[1].id, 2, CommandStatus.SENT)
    assert fetch(services, device, now_ms=NOW_MS + commands.DEFAULT_TTL_S * 1000) == []


def answer(services: Services, device: Device, command: Command, status: CommandStatus, result: Any = None) -> Command:
    return commands.answer(device.ref, command.id, status, result, commands=services.commands, now_ms=NOW_MS)


def test_a_device_says_what_became_of_a_command(services: Services, device: Device) -> None:
    command = send(services, device)
    assert answer(services, device, command, CommandStatus.ACKNOWLEDGED).status is CommandStatus.ACKNOWLEDGED
    done = answer(services, device, command, CommandStatus.SUCCEEDED, {"uptime_s": 1})
    assert (done.status, done.result) == (CommandStatus.SUCCEEDED, {"uptime_s": 1})
    assert answer(services, device, command, CommandStatus.SUCCEEDED, "again") == done
    for status in (CommandStatus.FAILED, CommandStatus.ACKNOWLEDGED):
        with pytest.raises(Conflict) as refused:
            answer(services, device, command, status)
        assert refused.value.code == "command_settled"


@pytest.mark.parametrize("status", sorted(set(CommandStatus) - commands.ANSWERS))
def test_a_device_sets_no_other_status(services: Services, device: Device, status: CommandStatus) -> None:
    command = send(services, device)
    with pytest.raises(InvalidInput) as refused:
        answer(services, device, command, status)
    assert refused.value.field == "status"


def test_a_result_of_more_than_8_kb_is_refused(services: Services, device: Device) -> None:
    command = send(services, device)
    with pytest.raises(TooLarge) as refused:
        answer(services, device, command, CommandStatus.SUCCEEDED, "x" * commands.MAX_PAYLOAD_BYTES)
    assert refused.value.field == "result"


def test_a_device_answers_its_own_commands_only(services: Services, device: Device) -> None:
    command = send(services, device)
    with pytest.raises(NotFound):
        answer(services, a_device(services, "other").device, command, CommandStatus.SUCCEEDED)


def cancel(services: Services, command: Command) -> Command:
    return commands.cancel(command.device, command.id, commands=services.commands, now_ms=NOW_MS)


def test_a_command_is_cancelled_until_the_device_has_it(services: Services, device: Device) -> None:
    one, two = send(services, device), send(services, device)
    assert cancel(services, one).status is CommandStatus.CANCELLED
    assert cancel(services, one).status is CommandStatus.CANCELLED
    assert [command.id for command in fetch(services, device)] == [two.id]
    answer(services, device, two, CommandStatus.ACKNOWLEDGED)
    with pytest.raises(Conflict) as refused:
        cancel(services, two)
    assert refused.value.code == "command_settled"


def test_a_late_result_is_the_truth(services: Services, device: Device) -> None:
    """The device had the command before it was cancelled, and did what it says it did."""
    command = send(services, device)
    fetch(services, device)
    cancel(services, command)
    assert answer(services, device, command, CommandStatus.FAILED, "no").status is CommandStatus.FAILED


def test_waiting_ends_when_a_command_is_there(services: Services, device: Device) -> None:
    wait = {"commands": services.commands, "now_ms": NOW_MS}
    assert commands.wait_for_any(device.ref, **wait, timeout_s=0.05) is False  # type: ignore[arg-type]
    send(services, device)
    assert commands.wait_for_any(device.ref, **wait, timeout_s=0) is True  # type: ignore[arg-type]


def test_a_message_has_what_old_firmware_looks_for_at_the_top(services: Services, device: Device) -> None:
    command = send(services, device, Order("configure", {"config": {"interval": 5}, "command_id": "x"}))
    assert commands.message(command) == {
        "type": "configure",
        "config": {"interval": 5},
        "command_id": command.id,
        "command_type": "configure",
        "command": {"config": {"interval": 5}, "command_id": "x"},
        "timestamp": "2027-01-15T08:00:00.000Z",
        "expires_at": "2027-01-16T08:00:00.000Z",
        "source": "iotflow_api",
    }
    assert commands.message(send(services, device, Order("control", {"type": "reboot"})))["type"] == "reboot"
    assert commands.message(send(services, device, Order("control", [1])))["command"] == [1]


def test_upkeep_expires_forgets_and_purges(services: Services, device: Device) -> None:
    command = send(services, device)
    gone = a_device(services, "gone").device
    send(services, gone)
    services.devices.remove(gone.ref, now_ms=NOW_MS)

    def upkeep(now_ms: int) -> None:
        tidy(
            {},
            devices=services.devices,
            readings=services.readings,
            commands=services.commands,
            twins=services.twins,
            idempotency=services.idempotency,
            counters=services.counters,
            now_ms=now_ms,
        )

    over_ms = NOW_MS + commands.DEFAULT_TTL_S * 1000
    upkeep(over_ms)
    (found,) = services.commands.page(device.ref)
    assert (found.id, found.status) == (command.id, CommandStatus.EXPIRED)
    assert services.commands.page(gone.ref) == []
    upkeep(over_ms + commands.KEPT_MS)
    assert len(services.commands.page(device.ref)) == 1
    upkeep(over_ms + commands.KEPT_MS + 1)
    assert services.commands.page(device.ref) == []
