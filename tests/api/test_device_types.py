"""Declared types of measurements over HTTP."""

import uuid
from typing import Any

import pytest

from tests.api.client import Client
from tests.api.service import Service

TYPES = "/api/v1/admin/device-types"


def test_declarations_are_put_read_listed_dropped_and_audited(admin: Client) -> None:
    kind = f"meter {uuid.uuid4().hex}"
    path = f"{TYPES}/{kind.replace(' ', '%20')}/measurements"
    assert admin.get(path).json == {"status": "success", "device_type": kind, "measurements": {}}
    declared = {"a.b": "INT32", "timestamp": "INT64", "ü": "FLOAT", "d": "DOUBLE", "on": "BOOLEAN", "text": "TEXT"}
    answer = admin.put(path, {"measurements": declared})
    assert (answer.status, answer.json["measurements"]) == (200, declared)
    assert "series that exist keep theirs" in answer.json["message"]
    assert admin.get(path).json["measurements"] == declared
    assert admin.get(TYPES).json["device_types"][kind] == declared
    entry = admin.get("/api/v1/admin/audit?limit=1").json["entries"][0]
    assert (entry["action"], entry["target"]) == ("declare_measurements", f"device_type:{kind}")
    assert "a.b=INT32" in entry["detail"]
    assert admin.delete(path).status == 200
    assert admin.delete(path).status == 404
    assert admin.get(path).json["measurements"] == {}
    assert admin.get("/api/v1/admin/audit?limit=1").json["entries"][0]["action"] == "drop_declarations"


@pytest.mark.parametrize(
    ("measurements", "field"),
    [
        ({"a": "INT16"}, "measurements.a"),
        ({"a": "int32"}, "measurements.a"),
        ({"a": None}, "measurements.a"),
        ({}, "measurements"),
        ({"x" * 65: "INT32"}, "measurements." + "x" * 65),
        ({"": "INT32"}, "measurements"),
        ({"bad\u0000name": "INT32"}, "measurements.bad\u0000name"),
        ([], "measurements"),
        ({f"m{n}": "INT32" for n in range(1001)}, "measurements"),
    ],
)
def test_declarations_that_mean_nothing_are_refused_by_name(admin: Client, measurements: Any, field: str) -> None:
    answer = admin.put(f"{TYPES}/refused/measurements", {"measurements": measurements})
    assert answer.status == 400
    assert answer.json["field"].rstrip(".") == field
    assert admin.get(f"{TYPES}/refused/measurements").json["measurements"] == {}


def test_store_without_typed_columns_gives_back_what_was_sent_all_the_same(service: Service, admin: Client) -> None:
    device = service.device(device_type="declared")
    admin.put(f"{TYPES}/declared/measurements", {"measurements": {"m": "INT32"}})
    service.send(device, {"data": {"m": "not a number"}})
    latest = device.client.get(f"/api/v1/telemetry/{device.id}/latest").json["latest_data"]
    assert latest["m"] == "not a number"
