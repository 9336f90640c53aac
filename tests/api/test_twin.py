"""Desired and reported state over HTTP."""

import pytest

from chalicelib.model import Scope
from tests.api.client import Client
from tests.api.service import RegisteredDevice

A, D = "/api/v1/admin/devices", "/api/v1/devices"


def test_a_twin_says_what_is_desired_reported_and_different(admin: Client, device: RegisteredDevice) -> None:
    empty = device.client.get(f"{D}/twin").json
    assert empty == {
        "status": "success", "device_id": device.id, "version": 0, "desired": {}, "reported": {}, "delta": {},
        "desired_updated_at": None, "reported_updated_at": None,
    }  # fmt: skip
    wanted = {"interval_s": 30, "led": {"on": True, "color": "red"}}
    assert admin.put(f"{A}/{device.id}/twin", {"desired": wanted}).json["version"] == 1
    told = device.client.put(f"{D}/twin", {"reported": {"interval_s": 30.0, "led": {"on": False}, "rssi": -70}}).json
    assert (told["version"], told["desired"]) == (2, wanted)
    assert told["delta"] == {"led": {"on": True, "color": "red"}}
    assert admin.get(f"{A}/{device.id}/twin").json == device.client.get(f"{D}/twin").json == told
    deleted = admin.put(f"{A}/{device.id}/twin", {"desired": {"led": None}}).json
    assert (deleted["desired"], deleted["delta"]) == ({"interval_s": 30}, {})


def test_a_change_may_name_the_version_it_is_for(admin: Client, device: RegisteredDevice) -> None:
    path = f"{A}/{device.id}/twin"
    assert admin.put(path, {"desired": {"a": 1}, "version": 0}).status == 200
    stale = admin.put(path, {"desired": {"a": 2}, "version": 0})
    assert (stale.status, stale.code, stale.json["field"]) == (409, "stale_version", "version")
    behind = device.client.put(f"{D}/twin", {"reported": {"a": 2}, "version": 5})
    assert (behind.status, behind.code) == (409, "stale_version")
    assert admin.get(path).json["desired"] == {"a": 1}


def test_more_than_8_kb_is_refused_with_the_limit(admin: Client, device: RegisteredDevice) -> None:
    for client, path, side in ((admin, f"{A}/{device.id}/twin", "desired"), (device.client, f"{D}/twin", "reported")):
        answer = client.put(path, {side: {"a": "x" * 8192}})
        assert (answer.status, answer.json["field"], answer.json["limit"]) == (413, side, "8 kB")
    assert device.client.get(f"{D}/twin").json["version"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "desired"), ({"desired": 1}, "desired"), ({"desired": [1]}, "desired"), ({"desired": {}, "x": 1}, "x"),
     ({"desired": {}, "version": -1}, "version"), ({"desired": {}, "version": "x"}, "version")],
)  # fmt: skip
def test_a_change_that_is_none_is_refused(
    admin: Client, device: RegisteredDevice, body: dict[str, object], field: str
) -> None:
    answer = admin.put(f"{A}/{device.id}/twin", body)
    assert (answer.status, answer.json["field"]) == (400, field)


def test_an_unchanged_twin_is_not_sent_again(device: RegisteredDevice) -> None:
    first = device.client.get(f"{D}/twin")
    assert device.client.get(f"{D}/twin", If_None_Match=first.headers["etag"]).status == 304
    device.client.put(f"{D}/twin", {"reported": {"a": 1}})
    assert device.client.get(f"{D}/twin", If_None_Match=first.headers["etag"]).status == 200


def test_configuration_that_a_device_sends_is_reported_state(device: RegisteredDevice) -> None:
    """Old clients know only `config`: each key is replaced whole, and null deletes it in both places."""
    device.client.put(f"{D}/config", {"configuration": {"net": {"ssid": "a", "ip": "b"}, "gone": 1}})
    device.client.put(f"{D}/config", {"configuration": {"net": {"ssid": "c"}, "gone": None}})
    device.client.post(f"{D}/config", {"config_key": "interval", "config_value": "30", "data_type": "integer"})
    assert device.client.get(f"{D}/twin").json["reported"] == {"net": {"ssid": "c"}, "interval": 30}
    kept = device.client.get(f"{D}/config").json["configuration"]
    assert {key: entry["value"] for key, entry in kept.items()} == {"net": {"ssid": "c"}, "interval": 30}


def test_desired_state_is_set_by_who_may_command(holders: dict[Scope, Client], device: RegisteredDevice) -> None:
    statuses = {
        scope: client.put(f"{A}/{device.id}/twin", {"desired": {"a": 1}}).status for scope, client in holders.items()
    }
    assert {scope for scope, status in statuses.items() if status == 200} == {Scope.COMMANDS_WRITE, Scope.ADMIN}
