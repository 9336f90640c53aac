"""Idempotency-Key: the first answer again, and nothing twice."""

import uuid
from typing import Any

import pytest

from tests.api.client import Client
from tests.api.crowd import in_parallel
from tests.api.service import RegisteredDevice, Service
from tests.contract.eventually import eventually

SEND = "/api/v1/devices/telemetry"
REGISTER = "/api/v1/devices/register"


def rows(device: RegisteredDevice) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = device.client.get(f"{SEND}?limit=1000").json["telemetry"]
    return found


@pytest.mark.parametrize("path", [SEND, "/api/v1/telemetry"])
def test_telemetry_that_is_sent_again_is_stored_once(device: RegisteredDevice, path: str) -> None:
    first = device.client.post(path, {"data": {"t": 1}}, Idempotency_Key="k", Prefer="wait=10")
    again = device.client.post(path, {"data": {"t": 1}}, Idempotency_Key="k")
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert (first.headers.get("idempotent-replay"), again.headers["idempotent-replay"]) == (None, "true")
    assert device.client.post(path, {"data": {"t": 2}}, Prefer="wait=10").json["stored"] is True
    assert sorted(row["t"] for row in rows(device)) == [1, 2]


def test_another_body_under_a_used_key_is_422(device: RegisteredDevice) -> None:
    assert device.client.post(SEND, {"data": {"t": 1}}, Idempotency_Key="k").status == 201
    answer = device.client.post(SEND, {"data": {"t": 2}}, Idempotency_Key="k")
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")


def test_keys_of_two_callers_have_nothing_to_do_with_each_other(
    device: RegisteredDevice, other_device: RegisteredDevice
) -> None:
    answers = [one.client.post(SEND, {"data": {"t": one.id}}, Idempotency_Key="k") for one in (device, other_device)]
    assert [answer.json["device_id"] for answer in answers] == [device.id, other_device.id]


def test_a_key_has_1_to_64_characters(device: RegisteredDevice) -> None:
    for key, status in (("", 400), ("k" * 65, 400), ("k" * 64, 201), ("ké", 400)):
        answer = device.client.post(SEND, {"data": {"t": 1}}, Idempotency_Key=key)
        assert answer.status == status, key
        if status == 400:
            assert answer.json["field"] == "Idempotency-Key"


def test_a_registration_that_is_sent_again_gives_the_same_device_and_key(nobody: Client, admin: Client) -> None:
    body = {"name": "again", "device_type": "sensor"}
    key = uuid.uuid4().hex
    first = nobody.post(REGISTER, body, Idempotency_Key=key)
    again = nobody.post(REGISTER, body, Idempotency_Key=key)
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert admin.get("/api/v1/admin/devices?search=again").json["total_devices"] == 1
    assert nobody.with_key(again.json["device"]["api_key"]).get("/api/v1/devices/status").status == 200
    assert nobody.post(REGISTER, body).status == 409
    assert nobody.post(REGISTER, body, Idempotency_Key=uuid.uuid4().hex).status == 409
    assert nobody.post(REGISTER, {**body, "name": "other"}, Idempotency_Key=key).status == 422


def test_a_refused_request_may_be_sent_again(device: RegisteredDevice) -> None:
    for _ in range(2):
        answer = device.client.post(SEND, {"data": {}}, Idempotency_Key="k")
        assert (answer.status, answer.headers.get("idempotent-replay")) == (400, None)


def test_repeats_at_the_same_time_are_stored_once(service: Service, device: RegisteredDevice) -> None:
    def send() -> tuple[int, Any]:
        answer = device.client.post(SEND, {"readings": [{"data": {"t": 1}}, {"data": {"t": 2}}]}, Idempotency_Key="k")
        return answer.status, answer.json["timestamp"]

    with in_parallel(16, send) as crowd:
        pass
    assert len(set(crowd.results)) == 1
    assert crowd.results[0][0] == 201
    service.send(device, {"data": {"t": 3}})
    assert eventually(lambda: [row["t"] for row in rows(device)] == [3, 2, 1])


def test_a_batch_without_times_overwrites_nothing_that_was_sent_before(device: RegisteredDevice) -> None:
    """Server times are given before the payload is read: enough of them for every reading that it may hold."""
    for value in range(3):
        assert device.client.post(SEND, {"data": {"t": value}}, Idempotency_Key=f"single {value}").status == 201
    batch = {"readings": [{"data": {"t": value}} for value in range(3, 40)]}
    sent = device.client.post(SEND, batch, Idempotency_Key="batch", Prefer="wait=10")

    assert (sent.status, sent.json["stored"]) == (201, True)
    assert sorted(row["t"] for row in rows(device)) == list(range(40))
