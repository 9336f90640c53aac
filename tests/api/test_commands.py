"""Commands over HTTP: sent to a device or a group, fetched, answered, cancelled."""

import threading
import time
import uuid
from typing import Any

import pytest

from chalicelib.model import Scope
from tests.api.client import Answer, Client
from tests.api.service import RegisteredDevice, Service

A, D, M = "/api/v1/admin/devices", "/api/v1/devices", "/api/v1/mqtt"


@pytest.fixture(scope="module")
def operator(holders: dict[Scope, Client]) -> Client:
    """Who may send commands, and nothing else."""
    return holders[Scope.COMMANDS_WRITE]


def send(operator: Client, device: RegisteredDevice, body: dict[str, Any], **headers: str) -> Answer:
    answer = operator.post(f"{M}/device/{device.id}/command", body, **headers)
    assert answer.status == 200, answer.body
    return answer


def history(admin: Client, device: RegisteredDevice) -> list[dict[str, Any]]:
    commands: list[dict[str, Any]] = admin.get(f"{A}/{device.id}/commands").json["commands"]
    return commands


def test_a_command_is_sent_fetched_and_answered(operator: Client, admin: Client, device: RegisteredDevice) -> None:
    sent = send(operator, device, {"command_type": "reboot", "command": {"delay_s": 5}}).json
    assert sent.keys() == {
        "status", "message", "device_id", "command_id", "command_type", "topic", "qos", "expires_at",
    }  # fmt: skip
    assert (sent["status"], sent["device_id"], sent["qos"]) == ("success", device.id, 1)
    assert sent["topic"] == f"iotflow/devices/{device.id}/commands/reboot"
    fetched = device.client.get(f"{D}/commands").json
    assert fetched.keys() == {"status", "device_id", "commands", "count", "poll_after_s"}
    (command,) = fetched["commands"]
    assert (command["command_id"], command["type"], command["delay_s"]) == (sent["command_id"], "reboot", 5)
    answered = device.client.post(f"{D}/commands/{sent['command_id']}/ack", {"status": "succeeded", "result": [1]})
    assert answered.status == 200
    assert (answered.json["command"]["status"], answered.json["command"]["result"]) == ("succeeded", [1])
    assert device.client.get(f"{D}/commands").json["commands"] == []
    (kept,) = history(admin, device)
    assert kept == answered.json["command"]
    assert (kept["status"], kept["attempts"], kept["command"]) == ("succeeded", 1, {"delay_s": 5})
    assert admin.get(f"{A}/{device.id}/commands/{kept['id']}").json["command"] == kept
    (entry,) = [
        one for one in admin.get("/api/v1/admin/audit").json["entries"] if one["target"] == f"device:{device.id}"
    ]
    assert (entry["action"], entry["detail"]) == ("send_command", f"reboot {kept['id']}")


def test_the_predecessors_body_is_understood(operator: Client, device: RegisteredDevice) -> None:
    body = {"command_type": "config", "command": {"interval": 5}, "qos": 2, "timestamp": "2025-07-03T14:30:00Z"}
    sent = send(operator, device, {**body, "command_id": "run-7"}).json
    assert sent["command_id"] == "run-7"
    assert device.client.get(f"{D}/commands").json["commands"][0]["interval"] == 5
    taken = operator.post(f"{M}/device/{device.id}/command", {"command_type": "control", "command_id": "run-7"})
    assert (taken.status, taken.code) == (409, "id_taken")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [({}, 400, "command_type"), ({"command_type": ""}, 400, "command_type"),
     ({"command_type": "a/b"}, 400, "command_type"), ({"command_type": "a", "ttl": "0s"}, 400, "ttl"),
     ({"command_type": "a", "ttl": "31d"}, 400, "ttl"), ({"command_type": "a", "ttl": "soon"}, 400, "ttl"),
     ({"command_type": "a", "tll": "1h"}, 400, "tll"), ({"command_type": "a", "command_id": "a b"}, 400, "command_id"),
     ({"command_type": "a", "command": "x" * 8192}, 413, "command")],
)  # fmt: skip
def test_a_command_beyond_the_limits_is_refused(
    operator: Client, admin: Client, device: RegisteredDevice, body: dict[str, Any], status: int, field: str
) -> None:
    answer = operator.post(f"{M}/device/{device.id}/command", body)
    assert (answer.status, answer.json["field"]) == (status, field)
    assert history(admin, device) == []


def test_an_idempotency_key_sends_once_and_counts_the_device(
    operator: Client, admin: Client, device: RegisteredDevice, other_device: RegisteredDevice
) -> None:
    key = {"Idempotency_Key": uuid.uuid4().hex}
    first = send(operator, device, {"command_type": "reboot"}, **key)
    again = send(operator, device, {"command_type": "reboot"}, **key)
    assert (again.json, again.headers["idempotent-replay"]) == (first.json, "true")
    assert len(history(admin, device)) == 1
    elsewhere = operator.post(f"{M}/device/{other_device.id}/command", {"command_type": "reboot"}, **key)
    assert elsewhere.status == 422
    assert history(admin, other_device) == []


def test_a_group_is_the_devices_with_that_tag(service: Service, operator: Client, admin: Client) -> None:
    tag = f"hall-{uuid.uuid4().hex[:8]}"
    members = [service.device(tags=(tag, "x")) for _ in range(3)]
    outside, off = service.device(tags=("x",)), service.device(tags=(tag,))
    admin.put(f"{A}/{off.id}/status", {"status": "inactive"})
    sent = operator.post(f"{M}/fleet/{tag}/command", {"command": {"type": "reboot"}})
    assert sent.status == 200, sent.body
    assert (sent.json["devices"], sent.json["skipped"]) == ([member.id for member in members], [])
    for member in members:
        (command,) = member.client.get(f"{D}/commands").json["commands"]
        assert (command["command_id"], command["type"]) == (sent.json["command_id"], "reboot")
        assert command["group_id"] == tag
    assert history(admin, outside) == history(admin, off) == []
    nobody = operator.post(f"{M}/fleet/{tag}-none/command", {})
    assert (nobody.status, nobody.json["field"]) == (404, "group_id")


def test_a_waiting_device_gets_a_command_when_it_comes(
    service: Service, operator: Client, device: RegisteredDevice
) -> None:
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(device.client.get(f"{D}/commands?wait=20")))
    waiting.start()
    started = time.monotonic()
    assert service.nobody.get("/health").status == 200, "others are served meanwhile"
    send(operator, device, {"command_type": "reboot"})
    waiting.join(15)
    assert not waiting.is_alive()
    assert time.monotonic() - started < 10
    assert [command["type"] for command in answers[0].json["commands"]] == ["reboot"]


def test_waiting_ends_without_a_command(device: RegisteredDevice) -> None:
    started = time.monotonic()
    answer = device.client.get(f"{D}/commands?wait=1")
    assert (answer.status, answer.json["count"], answer.json["poll_after_s"]) == (200, 0, 0)
    assert 0.5 < time.monotonic() - started < 10
    for query, field in (("wait=-1", "wait"), ("wait=x", "wait"), ("limit=0", "limit"), ("limit=101", "limit")):
        refused = device.client.get(f"{D}/commands?{query}")
        assert (refused.status, refused.json["field"]) == (400, field)


def test_more_devices_than_threads_may_wait(service: Service) -> None:
    """Some are sent away with the time after which to come again; nobody else has to wait for them."""
    devices = [service.device() for _ in range(12)]
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda one=one: answers.append(one.client.get(f"{D}/commands?wait=2")))
        for one in devices
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [answer.status for answer in answers] == [200] * len(devices)
    away = [answer for answer in answers if answer.json["poll_after_s"] > 0]
    assert away
    assert len(away) < len(devices)


def test_what_is_not_answered_comes_again_until_it_is(operator: Client, device: RegisteredDevice) -> None:
    ids = [send(operator, device, {"command_type": f"step-{number}"}).json["command_id"] for number in range(3)]
    for _ in range(2):
        fetched = device.client.get(f"{D}/commands?limit=2").json["commands"]
        assert [command["command_id"] for command in fetched] == ids[:2]
    device.client.post(f"{D}/commands/{ids[0]}/ack", {"status": "acknowledged"})
    fetched = device.client.get(f"{D}/commands").json["commands"]
    assert [command["command_id"] for command in fetched] == ids[1:]


def test_an_answer_is_checked(operator: Client, device: RegisteredDevice, other_device: RegisteredDevice) -> None:
    command_id = send(operator, device, {"command_type": "reboot"}).json["command_id"]
    path = f"{D}/commands/{command_id}/ack"
    assert other_device.client.post(path, {"status": "succeeded"}).status == 404
    for body, status, field in (
        ({}, 400, "status"),
        ({"status": "cancelled"}, 400, "status"),
        ({"status": "failed", "result": "x" * 8192}, 413, "result"),
    ):
        answer = device.client.post(path, body)
        assert (answer.status, answer.json["field"]) == (status, field)
    assert device.client.post(path, {"status": "failed"}).status == 200
    assert device.client.post(path, {"status": "failed"}).status == 200
    settled = device.client.post(path, {"status": "succeeded"})
    assert (settled.status, settled.code) == (409, "command_settled")


def test_a_command_is_cancelled(
    operator: Client, admin: Client, device: RegisteredDevice, other_device: RegisteredDevice
) -> None:
    command_id = send(operator, device, {"command_type": "reboot"}).json["command_id"]
    assert operator.delete(f"{A}/{other_device.id}/commands/{command_id}").status == 404
    cancelled = operator.delete(f"{A}/{device.id}/commands/{command_id}")
    assert (cancelled.status, cancelled.json["command"]["status"]) == (200, "cancelled")
    assert device.client.get(f"{D}/commands").json["commands"] == []
    done = send(operator, device, {"command_type": "reboot"}).json["command_id"]
    device.client.post(f"{D}/commands/{done}/ack", {"status": "succeeded"})
    too_late = operator.delete(f"{A}/{device.id}/commands/{done}")
    assert (too_late.status, too_late.code) == (409, "command_settled")
    assert [command["status"] for command in history(admin, device)] == ["succeeded", "cancelled"]


def test_commands_are_listed_by_pages(operator: Client, admin: Client, device: RegisteredDevice) -> None:
    ids = [send(operator, device, {"command_type": "reboot"}).json["command_id"] for _ in range(5)]
    seen, query = [], "?limit=2"
    while query:
        page = admin.get(f"{A}/{device.id}/commands{query}").json
        seen += [command["id"] for command in page["commands"]]
        query = f"?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == ids[::-1]
    assert admin.get(f"{A}/{device.id}/commands?cursor=a%20b").json["field"] == "cursor"


def test_a_device_that_asks_for_commands_is_online(admin: Client, device: RegisteredDevice) -> None:
    assert admin.get(f"{A}/{device.id}").json["device"]["is_online"] is False
    device.client.get(f"{D}/commands")
    assert admin.get(f"{A}/{device.id}").json["device"]["is_online"] is True
