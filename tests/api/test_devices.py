"""What a device does with its own record, row by row of the contract."""

import pytest

from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service
from tests.contract.eventually import eventually

DEVICES = "/api/v1/devices"
RECORD = {
    "id", "name", "description", "device_type", "status", "location", "firmware_version", "hardware_version",
    "configuration", "tags", "created_at", "updated_at", "last_seen",
}  # fmt: skip
CONTROLS = ["a\x00b", "a\x01b", "a\nb", "a\x7fb", "a\x9bb", "\ud800", "a\u2028b"]


def test_registration_gives_the_record_and_the_key(nobody: Client) -> None:
    asked = {
        "name": "  boiler ",
        "device_type": "heater",
        "description": "first floor\nleft",
        "location": "Küche",
        "firmware_version": "1.0.0",
        "hardware_version": "r2",
        "configuration": {"interval_s": 30, "unit": "C", "deep": {"a": [1, None]}},
        "tags": ["a", "a", "b"],
    }
    answer = nobody.post(f"{DEVICES}/register", asked)
    assert answer.status == 201
    assert answer.json.keys() == {"message", "device"}
    device = answer.json["device"]
    assert device.keys() == RECORD | {"api_key"}
    assert isinstance(device["id"], int)
    assert device["api_key"].startswith("iotf_dev_")
    assert device["status"] == "active"
    assert device["last_seen"] is None
    assert device["name"] == "boiler"
    assert device["tags"] == ["a", "b"]
    for name in ("device_type", "description", "location", "firmware_version", "hardware_version", "configuration"):
        assert device[name] == asked[name]


def test_registration_needs_a_name_and_a_type(nobody: Client) -> None:
    for body, field in (
        ({}, "name"),
        ({"name": "x"}, "device_type"),
        ({"device_type": "x"}, "name"),
        ({"name": "", "device_type": "x"}, "name"),
        ({"name": "   ", "device_type": "x"}, "name"),
        ({"name": "x" * 101, "device_type": "x"}, "name"),
        ({"name": 5, "device_type": "x"}, "name"),
        ({"name": None, "device_type": "x"}, "name"),
        ({"name": "x", "device_type": ["x"]}, "device_type"),
        ({"name": "x", "device_type": "x", "tags": ["white space"]}, "tags.0"),
    ):
        answer = nobody.post(f"{DEVICES}/register", body)
        assert (answer.status, answer.json["field"]) == (400, field)
    assert nobody.post(f"{DEVICES}/register", {"name": "x" * 101, "device_type": "x"}).json["limit"] == "100"
    assert nobody.post(f"{DEVICES}/register", {"name": "y" * 100, "device_type": "x"}).status == 201


@pytest.mark.parametrize("text", CONTROLS, ids=ascii)
def test_registration_refuses_what_is_no_plain_text(nobody: Client, text: str) -> None:
    for field in ("name", "device_type", "location", "firmware_version", "hardware_version"):
        answer = nobody.post(f"{DEVICES}/register", {"name": "n", "device_type": "t", field: text})
        assert answer.status == 400, field
        assert answer.json["field"] == field
    assert nobody.post(f"{DEVICES}/register", {"name": "n", "device_type": "t", "tags": [text]}).status == 400
    configured = {"name": "n", "device_type": "t", "configuration": {text: 1}}
    assert nobody.post(f"{DEVICES}/register", configured).status == 400


def test_a_description_may_have_lines_but_no_other_controls(nobody: Client) -> None:
    for text, status in (("a\nb\tc\r\n", 201), ("a\x00", 400), ("a\x1b[31m", 400), ("x" * 1001, 400)):
        body = {"name": f"described {status} {len(text)}", "device_type": "t", "description": text}
        assert nobody.post(f"{DEVICES}/register", body).status == status


def test_a_taken_name_is_409(nobody: Client, device: RegisteredDevice) -> None:
    answer = nobody.post(f"{DEVICES}/register", {"name": device.name, "device_type": "sensor"})
    assert (answer.status, answer.code, answer.json["field"]) == (409, "name_taken", "name")


def test_names_are_kept_as_they_are_written(nobody: Client, admin: Client) -> None:
    for name in ("Zähler №5 🌡", "O'Brien & <Söhne>; DROP TABLE--", "日本", "a/b?c#d%20", "null"):
        device = nobody.post(f"{DEVICES}/register", {"name": name, "device_type": "t"}).json["device"]
        assert device["name"] == name
        assert admin.get(f"/api/v1/admin/devices/{device['id']}").json["device"]["name"] == name


def test_a_device_reads_its_own_status(service: Service, device: RegisteredDevice) -> None:
    fresh = device.client.get(f"{DEVICES}/status").json
    assert fresh.keys() == {"status", "device"}
    assert fresh["status"] == "success"
    assert fresh["device"].keys() == RECORD | {"telemetry_count", "is_online"}
    assert (fresh["device"]["telemetry_count"], fresh["device"]["is_online"]) == (0, False)
    service.send(device, {"readings": [{"timestamp": 1_700_000_000 + at, "data": {"t": at}} for at in range(3)]})
    assert eventually(lambda: device.client.get(f"{DEVICES}/status").json["device"]["is_online"])
    assert device.client.get(f"{DEVICES}/status").json["device"]["telemetry_count"] == 3


def test_a_status_that_did_not_change_is_304(device: RegisteredDevice) -> None:
    first = device.client.get(f"{DEVICES}/status")
    again = device.client.get(f"{DEVICES}/status", If_None_Match=first.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    weak = device.client.get(f"{DEVICES}/status", If_None_Match=f'"x", W/{first.headers["etag"]}')
    assert weak.status == 304
    assert device.client.get(f"{DEVICES}/status", If_None_Match="*").status == 304
    assert device.client.get(f"{DEVICES}/status", If_None_Match='"other"').status == 200
    device.client.put(f"{DEVICES}/config", {"location": "moved"})
    assert device.client.get(f"{DEVICES}/status", If_None_Match=first.headers["etag"]).status == 200


def test_a_heartbeat_needs_no_body(device: RegisteredDevice) -> None:
    answer = device.client.post(f"{DEVICES}/heartbeat")
    assert answer.status == 200
    assert answer.json.keys() == {"message", "device_id", "timestamp", "status"}
    assert (answer.json["device_id"], answer.json["status"]) == (device.id, "online")
    own = device.client.get(f"{DEVICES}/status").json["device"]
    assert (own["is_online"], own["last_seen"]) == (True, answer.json["timestamp"])


def test_a_heartbeat_ignores_whatever_body_it_gets(device: RegisteredDevice) -> None:
    for body, content_type in ((b"{}", "application/json"), (b"alive", "text/plain"), (b"{", "application/json")):
        assert device.client.call("POST", f"{DEVICES}/heartbeat", body, Content_Type=content_type).status == 200


def test_a_device_changes_its_own_record(device: RegisteredDevice) -> None:
    answer = device.client.put(
        f"{DEVICES}/config",
        {
            "location": "roof",
            "firmware_version": "2.0",
            "hardware_version": "r3",
            "status": "maintenance",
            "configuration": {"a": 1},
            "unknown_key": "ignored",
        },
    )
    assert answer.status == 200
    assert answer.json.keys() == {"message", "device"}
    changed = answer.json["device"]
    assert changed.keys() == RECORD
    assert (changed["location"], changed["firmware_version"], changed["hardware_version"]) == ("roof", "2.0", "r3")
    assert (changed["status"], changed["configuration"]) == ("maintenance", {"a": 1})
    changed = device.client.put(f"{DEVICES}/config", {"configuration": {"b": "x"}, "location": None}).json["device"]
    assert changed["configuration"] == {"a": 1, "b": "x"}
    assert changed["location"] == "roof"


def test_a_device_cannot_shut_itself_out(device: RegisteredDevice) -> None:
    for status in ("inactive", "gone", "", 5):
        answer = device.client.put(f"{DEVICES}/config", {"status": status})
        assert (answer.status, answer.json["field"]) == (400, "status")
    for body in ({}, {"unknown": 1}, {"name": "new"}):
        assert device.client.put(f"{DEVICES}/config", body).status == 400


def test_a_rotated_key_works_beside_the_new_one_for_the_overlap(nobody: Client, device: RegisteredDevice) -> None:
    answer = device.client.post(f"{DEVICES}/keys/rotate")
    assert answer.status == 200
    assert answer.json.keys() == {"message", "device_id", "key_id", "api_key", "others_valid_until"}
    new = nobody.with_key(answer.json["api_key"])
    assert answer.json["api_key"].startswith(f"iotf_dev_{answer.json['key_id']}_")
    for client in (device.client, new):
        assert client.post(f"{DEVICES}/heartbeat").status == 200
    newest = nobody.with_key(new.post(f"{DEVICES}/keys/rotate", {"overlap": "0s"}).json["api_key"])
    assert [client.post(f"{DEVICES}/heartbeat").status for client in (device.client, new, newest)] == [401, 401, 200]


def test_an_overlap_is_a_duration_of_up_to_30_days(device: RegisteredDevice) -> None:
    for overlap in ("31d", "soon", "-1h", "", 5, "721h"):
        answer = device.client.post(f"{DEVICES}/keys/rotate", {"overlap": overlap})
        assert (answer.status, answer.json["field"]) == (400, "overlap")
    for overlap in ("30d", "720h", "90s", "1h30m"):
        key = device.client.post(f"{DEVICES}/keys/rotate", {"overlap": overlap})
        assert key.status == 200


def test_a_device_that_leaves_is_gone_at_once(service: Service, nobody: Client, admin: Client) -> None:
    device = service.device("leaver")
    service.send(device, {"data": {"t": 1}})
    assert device.client.delete(f"{DEVICES}/unregister").status == 200
    assert device.client.post(f"{DEVICES}/heartbeat").status == 401
    assert device.client.post(f"{DEVICES}/telemetry", {"data": {"t": 1}}).status == 401
    assert nobody.get(f"/api/v1/telemetry/{device.id}").status == 404
    assert admin.get(f"/api/v1/admin/devices/{device.id}").status == 404
    assert service.device("leaver").id > device.id


def test_the_answer_says_truly_how_long_the_old_key_lives(device: RegisteredDevice) -> None:
    """Rotating again with the old key, because the answer got lost, does not prolong its life."""
    first = device.client.post(f"{DEVICES}/keys/rotate", {"overlap": "1h"}).json["others_valid_until"]
    assert device.client.post(f"{DEVICES}/keys/rotate", {"overlap": "24h"}).json["others_valid_until"] == first
