"""Tokens, dead letters, the audit log and the fleet in numbers, row by row of the contract."""

import uuid
from typing import Any

import pytest

from chalicelib.model import Scope
from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service, now_ms
from tests.contract.eventually import eventually

ADMIN = "/api/v1/admin"
SEND = "/api/v1/devices/telemetry"


def test_statistics_count_devices_and_keys(service: Service, admin: Client) -> None:
    before = admin.get(f"{ADMIN}/stats").json
    assert before.keys() == {"status", "timestamp", "device_stats", "types", "auth_stats"}
    assert before["device_stats"].keys() == {
        "total", "active", "inactive", "maintenance", "error", "online", "offline",
    }  # fmt: skip
    device = service.device(device_type="counted")
    device.client.post("/api/v1/devices/heartbeat")
    after = admin.get(f"{ADMIN}/stats").json
    grown = {name: after["device_stats"][name] - before["device_stats"][name] for name in ("total", "active", "online")}
    assert grown == {"total": 1, "active": 1, "online": 1}
    assert after["types"]["counted"] == 1
    assert after["auth_stats"]["active_records"] == before["auth_stats"]["active_records"] + 1
    dashboard = admin.get(f"{ADMIN}/dashboard").json
    assert dashboard.keys() == after.keys() | {"ledger", "queue_oldest_age_s"}
    assert dashboard["ledger"]["balanced"] is True


def test_analytics_survey_the_fleet(service: Service, admin: Client) -> None:
    busy, _silent = service.device(device_type="analysed"), service.device(device_type="analysed")
    rows = [{"timestamp": now_ms() - 1000 + at, "data": {"load": at, "word": "x"}} for at in range(100)]
    service.send(busy, {"readings": rows})
    busy.client.post(SEND, {"data": {"x": 2**64}})
    found = admin.get(f"{ADMIN}/analytics?start_time=-5m&top=100").json
    assert found.keys() == {
        "status", "window", "devices_surveyed", "readings", "readings_per_minute", "by_type", "by_measurement",
        "busiest_devices", "silent_devices", "silent_count", "rejected_by_reason",
    }  # fmt: skip
    assert found["window"]["seconds"] == 300
    assert found["by_type"]["analysed"] == 100
    assert found["readings_per_minute"] == pytest.approx(found["readings"] / 5)
    load = found["by_measurement"]["load"]
    assert load.keys() == {"count", "avg", "min", "max", "stddev", "p95"}
    assert (load["count"], load["avg"], load["min"], load["max"]) == (100, 49.5, 0, 99)
    assert (load["stddev"], load["p95"]) == (pytest.approx(28.8660700), pytest.approx(94.05))
    assert found["busiest_devices"][0] == {
        "id": busy.id, "name": busy.name, "device_type": "analysed", "readings": 100,
    }  # fmt: skip
    assert len(found["silent_devices"]) == min(100, found["silent_count"])
    assert 1 <= found["silent_count"] < found["devices_surveyed"]
    assert busy.id not in {one["id"] for one in found["silent_devices"]}
    assert found["rejected_by_reason"]["invalid_input"] >= 1
    for query, field in (
        ("start_time=now&end_time=-1h", "start_time"),
        ("end_time=", "end_time"),
        ("top=0", "top"),
        ("start_time=x", "start_time"),
    ):
        answer = admin.get(f"{ADMIN}/analytics?{query}")
        assert (answer.status, answer.json["field"]) == (400, field)


def test_tokens_are_made_shown_once_and_revoked(admin: Client, nobody: Client) -> None:
    name = f"reader {uuid.uuid4().hex}"
    made = admin.post(
        f"{ADMIN}/tokens", {"name": name, "scopes": ["devices:read"], "expires_at": "2100-01-01T00:00:00Z"}
    )
    assert made.status == 201
    assert made.json.keys() == {"message", "id", "name", "scopes", "expires_at", "token"}
    assert (made.json["scopes"], made.json["expires_at"]) == (["devices:read"], "2100-01-01T00:00:00.000Z")
    listed = admin.get(f"{ADMIN}/tokens")
    assert made.json["token"] not in listed.body.decode()
    record = next(one for one in listed.json["tokens"] if one["id"] == made.json["id"])
    assert record.keys() == {"id", "name", "scopes", "is_active", "created_at", "expires_at"}
    holder = nobody.with_token(made.json["token"])
    old_style = nobody.having(Authorization=f"admin {made.json['token']}")
    assert [one.get(f"{ADMIN}/devices").status for one in (holder, old_style)] == [200, 200]
    assert admin.post(f"{ADMIN}/tokens", {"name": name, "scopes": ["admin"]}).code == "name_taken"
    assert admin.delete(f"{ADMIN}/tokens/{made.json['id']}").json["id"] == made.json["id"]
    assert [one.get(f"{ADMIN}/devices").status for one in (holder, old_style)] == [401, 401]
    assert admin.delete(f"{ADMIN}/tokens/{made.json['id']}").status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["admin"]}, "name"), ({"name": "", "scopes": ["admin"]}, "name"),
        ({"name": "a\nb", "scopes": ["admin"]}, "name"), ({"name": "n", "scopes": []}, "scopes"),
        ({"name": "n", "scopes": ["root"]}, "scopes.0"), ({"name": "n", "scopes": "admin"}, "scopes"),
        ({"name": "n", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "n", "scopes": ["admin"], "expires_at": "soon"}, "expires_at"),
        ({"name": "n", "scopes": ["admin"], "expires": "2100-01-01T00:00:00Z"}, "expires"),
    ],
)  # fmt: skip
def test_a_token_that_makes_no_sense_is_refused(admin: Client, body: Any, field: str) -> None:
    answer = admin.post(f"{ADMIN}/tokens", body)
    assert (answer.status, answer.json["field"]) == (400, field)


def test_a_device_key_is_no_token(admin: Client, device: RegisteredDevice) -> None:
    assert admin.delete(f"{ADMIN}/tokens/{device.key.split('_')[2]}").status == 404
    assert device.client.get("/api/v1/devices/status").status == 200


def test_dead_letters_are_listed_replayed_and_discarded(service: Service, admin: Client) -> None:
    queue = service.records.queue
    letters = [queue.send(f"not a batch {number}", readings=2, now_ms=now_ms()) for number in range(3)]
    assert eventually(lambda: admin.get(f"{ADMIN}/dead-letters").json["count"] == 3)
    listed = admin.get(f"{ADMIN}/dead-letters").json
    assert listed.keys() == {"dead_letters", "count", "next_cursor"}
    assert listed["dead_letters"][0].keys() == {"id", "reason", "readings", "payload", "accepted_at", "buried_at"}
    assert "not JSON" in listed["dead_letters"][0]["reason"]
    first = admin.get(f"{ADMIN}/dead-letters?limit=2").json
    rest = admin.get(f"{ADMIN}/dead-letters?limit=2&cursor={first['next_cursor']}").json
    assert [one["id"] for one in first["dead_letters"] + rest["dead_letters"]] == sorted(letters)
    assert rest["next_cursor"] is None
    one = admin.get(f"{ADMIN}/dead-letters/{letters[0]}").json
    assert (one["payload"], one["readings"]) == ("not a batch 0", 2)
    assert admin.post(f"{ADMIN}/dead-letters/{letters[0]}/replay").json["count"] == 1
    assert eventually(lambda: admin.get(f"{ADMIN}/dead-letters").json["count"] == 3)
    assert admin.post(f"{ADMIN}/dead-letters/all/replay").json["count"] == 3
    assert eventually(lambda: admin.get(f"{ADMIN}/dead-letters").json["count"] == 3)
    for letter in letters:
        assert admin.delete(f"{ADMIN}/dead-letters/{letter}").json["count"] == 1
        assert admin.delete(f"{ADMIN}/dead-letters/{letter}").status == 404
        assert admin.get(f"{ADMIN}/dead-letters/{letter}").status == 404
        assert admin.post(f"{ADMIN}/dead-letters/{letter}/replay").status == 404
    ledger = admin.get("/api/v1/telemetry/status").json["ledger"]
    assert (ledger["dead_lettered"], ledger["discarded"], ledger["balanced"]) == (0, 6, True)


def test_the_audit_log_says_who_did_what(admin: Client, holders: dict[Scope, Client], device: RegisteredDevice) -> None:
    admin.put(f"{ADMIN}/devices/{device.id}/status", {"status": "maintenance"}, X_API_Key="")
    holders[Scope.DEVICES_READ].delete(f"{ADMIN}/devices/{device.id}")
    device.client.post("/api/v1/devices/keys/rotate")
    device.client.delete("/api/v1/devices/unregister")
    answer = admin.get(f"{ADMIN}/audit?limit=4")
    entries = answer.json["entries"]
    assert answer.json.keys() == {"entries", "count", "next_cursor"}
    assert entries[0].keys() == {"id", "at", "actor", "action", "target", "result", "address", "detail"}
    assert [(one["action"], one["target"], one["result"]) for one in entries] == [
        ("unregister_device", f"device:{device.id}", "done"),
        ("rotate_own_key", f"device:{device.id}", "done"),
        ("delete_device", "", "scope_missing"),
        ("change_device_status", f"device:{device.id}", "done"),
    ]
    assert [one["actor"].partition(":")[0] for one in entries] == ["device", "device", "token", "token"]
    assert {one["address"] for one in entries} == {"127.0.0.1"}
    assert device.key not in answer.body.decode()
    older = admin.get(f"{ADMIN}/audit?limit=1&cursor={entries[0]['id']}").json
    assert older["entries"][0]["id"] == entries[1]["id"]
