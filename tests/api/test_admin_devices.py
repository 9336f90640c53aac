"""What administrators do with devices, row by row of the contract."""

import uuid
from typing import Any

import pytest

from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service

ADMIN = "/api/v1/admin"
SEND = "/api/v1/devices/telemetry"


def test_devices_are_listed_filtered_and_paged(service: Service, admin: Client) -> None:
    mark = uuid.uuid4().hex
    made = [service.device(f"{mark} {number}", device_type=f"type {mark}") for number in range(7)]
    made[0].client.post("/api/v1/devices/heartbeat")
    admin.put(f"{ADMIN}/devices/{made[1].id}/status", {"status": "inactive"})
    everything = admin.get(f"{ADMIN}/devices?search={mark.upper()}").json
    assert everything.keys() == {"status", "total_devices", "devices", "next_cursor"}
    assert (everything["status"], everything["total_devices"], everything["next_cursor"]) == ("success", 7, None)
    assert [one["id"] for one in everything["devices"]] == [one.id for one in made]
    assert everything["devices"][0].keys() >= {"id", "name", "status", "is_online", "config_count", "last_seen"}
    assert "api_key" not in everything["devices"][0]
    kind = f"{ADMIN}/devices?device_type=type%20{mark}"

    def ids(query: str) -> list[int]:
        found = admin.get(kind + query).json
        assert found["total_devices"] == len(found["devices"])
        return [one["id"] - made[0].id for one in found["devices"]]

    assert ids("&status=inactive") == [1]
    assert ids("&online=true") == [0]
    assert ids("&online=false&status=active") == [2, 3, 4, 5, 6]
    assert ids("&search=nowhere") == []
    seen, cursor = [], "0"
    while cursor is not None:
        page = admin.get(f"{kind}&limit=3&cursor={cursor}").json
        assert page["total_devices"] == 7
        seen += [one["id"] for one in page["devices"]]
        cursor = page["next_cursor"]
    assert seen == [one.id for one in made]


@pytest.mark.parametrize(
    ("query", "field"),
    [("status=gone", "status"), ("online=perhaps", "online"), ("cursor=x", "cursor"), ("search=" + "x" * 101, "search"),
     ("serach=x", "serach"), ("limit=0", "limit"), ("status=active&status=error", "status")],
)  # fmt: skip
def test_a_mistyped_filter_is_refused(admin: Client, query: str, field: str) -> None:
    answer = admin.get(f"{ADMIN}/devices?{query}")
    assert (answer.status, answer.json["field"]) == (400, field)


def test_a_device_is_read_with_its_keys_and_configuration(admin: Client, device: RegisteredDevice) -> None:
    device.client.post("/api/v1/devices/config", {"config_key": "k", "config_value": "30", "data_type": "integer"})
    answer = admin.get(f"{ADMIN}/devices/{device.id}")
    assert answer.status == 200
    found = answer.json
    assert found.keys() == {"status", "device", "auth_records", "configurations"}
    assert (found["device"]["name"], found["device"]["telemetry_count"]) == (device.name, 0)
    assert found["configurations"]["k"].keys() == {"value", "data_type", "updated_at"}
    assert found["configurations"]["k"]["value"] == 30
    assert [record.keys() for record in found["auth_records"]] == [{"id", "is_active", "created_at", "expires_at"}]
    assert device.key not in answer.body.decode()
    again = admin.get(f"{ADMIN}/devices/{device.id}", If_None_Match=answer.headers["etag"])
    assert again.status == 304


def test_a_device_is_changed(admin: Client, device: RegisteredDevice, other_device: RegisteredDevice) -> None:
    path = f"{ADMIN}/devices/{device.id}"
    fields = {
        "name": f"renamed {device.id}",
        "device_type": "new",
        "description": "d",
        "location": "l",
        "firmware_version": "f",
        "hardware_version": "h",
        "tags": ["x"],
        "status": "error",
        "configuration": {"a": 1},
    }
    answer = admin.put(path, fields)
    assert answer.status == 200
    assert answer.json.keys() == {"message", "device"}
    assert {name: answer.json["device"][name] for name in fields} == fields
    for body, field in (({"nmae": "x"}, "nmae"), ({"name": ""}, "name"), ({"status": "off"}, "status"), ({}, "body")):
        answer = admin.put(path, body)
        assert (answer.status, answer.json["field"]) == (400, field)
    taken = admin.put(path, {"name": other_device.name})
    assert (taken.status, taken.code, taken.json["field"]) == (409, "name_taken", "name")


def test_a_status_is_set(admin: Client, device: RegisteredDevice) -> None:
    answer = admin.put(f"{ADMIN}/devices/{device.id}/status", {"status": "inactive"})
    assert answer.status == 200
    assert answer.json.keys() == {"status", "message", "device_id", "old_status", "new_status"}
    assert (answer.json["status"], answer.json["device_id"]) == ("success", device.id)
    assert (answer.json["old_status"], answer.json["new_status"]) == ("active", "inactive")
    refused = device.client.post(SEND, {"data": {"t": 1}})
    assert (refused.status, refused.code) == (403, "device_inactive")
    assert admin.put(f"{ADMIN}/devices/{device.id}/status", {"status": "active"}).json["old_status"] == "inactive"
    assert device.client.post(SEND, {"data": {"t": 1}}).status == 201
    for body in ({"status": "off"}, {}, {"status": "active", "why": "x"}):
        assert admin.put(f"{ADMIN}/devices/{device.id}/status", body).status == 400


def test_a_device_in_maintenance_still_sends(admin: Client, device: RegisteredDevice) -> None:
    for status in ("maintenance", "error"):
        admin.put(f"{ADMIN}/devices/{device.id}/status", {"status": status})
        assert device.client.post(SEND, {"data": {"t": 1}}).status == 201


def test_a_deleted_device_is_gone_with_its_telemetry(service: Service, admin: Client) -> None:
    device = service.device()
    service.send(device, {"data": {"t": 1}})
    answer = admin.delete(f"{ADMIN}/devices/{device.id}")
    assert answer.status == 200
    assert answer.json.keys() == {"status", "message", "device_id", "note"}
    assert device.client.get("/api/v1/devices/status").status == 401
    for path in (f"{ADMIN}/devices/{device.id}", f"/api/v1/telemetry/{device.id}"):
        assert admin.get(path).status == 404
    assert admin.delete(f"{ADMIN}/devices/{device.id}").status == 404
    assert service.device().id > device.id


def test_keys_are_issued_and_revoked(admin: Client, nobody: Client, device: RegisteredDevice) -> None:
    path = f"{ADMIN}/devices/{device.id}/keys"
    issued = admin.post(path)
    assert issued.status == 201
    assert issued.json.keys() == {"message", "device_id", "key_id", "api_key", "others_valid_until"}
    second = nobody.with_key(issued.json["api_key"])
    assert [client.get("/api/v1/devices/status").status for client in (device.client, second)] == [200, 200]
    third = admin.post(path)
    assert (third.status, third.code) == (409, "too_many_keys")
    revoked = admin.delete(f"{path}/{issued.json['key_id']}")
    assert revoked.status == 200
    assert revoked.json.keys() == {"status", "message", "device_id", "key_id"}
    assert [client.get("/api/v1/devices/status").status for client in (device.client, second)] == [200, 401]
    assert admin.delete(f"{path}/{issued.json['key_id']}").status == 404
    assert admin.delete(f"{path}/{device.key.split('_')[2]}").status == 200
    assert device.client.get("/api/v1/devices/status").status == 401


def test_a_key_of_another_device_is_not_revoked_through_this_one(
    admin: Client, device: RegisteredDevice, other_device: RegisteredDevice
) -> None:
    assert admin.delete(f"{ADMIN}/devices/{device.id}/keys/{other_device.key.split('_')[2]}").status == 404
    assert other_device.client.get("/api/v1/devices/status").status == 200


def test_many_devices_are_registered_in_one_request(admin: Client, nobody: Client, device: RegisteredDevice) -> None:
    """A thousand, as many as are accepted, do not fit into the 64 kB of other bodies."""
    mark = uuid.uuid4().hex
    rows: list[Any] = [
        {"name": f"{mark} {number}", "device_type": "sensor", "location": "x" * 50} for number in range(1000)
    ]
    rows[3] = {"name": device.name, "device_type": "sensor"}
    rows[4] = {"name": "no type"}
    rows[5] = {"name": f"{mark} 0", "device_type": "sensor"}
    answer = admin.post(f"{ADMIN}/devices/bulk", {"devices": rows})
    assert answer.status == 200, answer.body
    assert answer.json.keys() == {"registered", "failed", "results"}
    assert (answer.json["registered"], answer.json["failed"]) == (997, 3)
    results = answer.json["results"]
    assert [row["row"] for row in results] == list(range(1000))
    assert [results[number]["status"] for number in (0, 3, 4, 5, 999)] == [201, 409, 400, 409, 201]
    assert (results[4]["code"], results[4]["field"]) == ("invalid_input", "device_type")
    key = results[999]["device"]["api_key"]
    assert nobody.with_key(key).get("/api/v1/devices/status").json["device"]["name"] == f"{mark} 999"
    too_many = admin.post(f"{ADMIN}/devices/bulk", {"devices": [{}] * 1001})
    assert (too_many.status, too_many.json["field"], too_many.json["limit"]) == (400, "devices", "1000")
    for body, field in (({"devices": []}, "devices"), ({}, "devices"), ({"devices": [5]}, "devices.0")):
        answer = admin.post(f"{ADMIN}/devices/bulk", body)
        assert (answer.status, answer.json["field"]) == (400, field)
