"""What devices send comes back as it was sent, from every accepted shape."""

import time
from typing import Any

import pytest

from chalicelib import cbor
from tests.api.client import Client
from tests.api.crowd import in_parallel
from tests.api.service import RegisteredDevice, Service, running

SEND = "/api/v1/devices/telemetry"
AT = 1_700_000_000_000
ISO = "2023-11-14T22:13:20.000Z"


def stored(device: RegisteredDevice) -> dict[str, Any]:
    """The newest row, without its own two keys."""
    row = dict(device.client.get(f"/api/v1/telemetry/{device.id}/latest").json["latest_data"])
    assert row.pop("device_id") == str(device.id)
    row.pop("timestamp")
    return row


def same(found: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Equal in value and in type: 1, 1.0 and true are three things."""
    return found == sent and all(type(found[name]) is type(value) for name, value in sent.items())


SHAPES: list[tuple[Any, dict[str, Any]]] = [
    (
        {"data": {"t": 23.5, "n": 7, "ok": True, "text": "é\n\t🌡"}, "metadata": {"room": "a"}, "timestamp": AT},
        {"t": 23.5, "n": 7, "ok": True, "text": "é\n\t🌡", "meta_room": "a"},
    ),
    ({"data": {"empty": "", "zero": 0, "no": False, "nothing": None}}, {"empty": "", "zero": 0, "no": False}),
    ({"data": {"high": 2**63 - 1, "low": -(2**63), "real": 1e300}},
     {"high": 2**63 - 1, "low": -(2**63), "real": 1e300}),
    ({"data": {"a": {"x": 1, "y": {"z": 2}}, "list": [1, "b", None]}},
     {"a.x": 1, "a.y.z": 2, "list.0": 1, "list.1": "b"}),
    ({"temperature": 23.5, "ok": False}, {"temperature": 23.5, "ok": False}),
    ({"ts": AT, "values": {"t": 1}}, {"t": 1}),
    ([{"ts": AT, "values": {"t": 1}}, {"ts": AT + 1, "values": {"t": 2.5}}], {"t": 2.5}),
    ({"timestamp": AT, "measurements": {"t": 1}, "status": {"battery": 99}}, {"t": 1, "status.battery": 99}),
    ({"fields": {"used": 5}, "name": "mem", "tags": {"host": "h", "unit": "b"}, "timestamp": AT}, {"mem.b.used": 5}),
    ({"metrics": [{"fields": {"f": 1}, "name": "m", "timestamp": AT}]}, {"m.f": 1}),
    ([{"bn": "urn:dev:", "n": "t", "u": "Cel", "v": 23.1, "bt": AT // 1000}], {"urn:dev:t": 23.1}),
    ({"AM2301": {"Temperature": 21.2}, "TempUnit": "C"}, {"AM2301.Temperature": 21.2, "TempUnit": "C"}),
    (
        {"data": {"timestamp": "2025-07-03T14:30:00.123456", "device_id": 5, "location": "Roof"}, "timestamp": AT},
        {"data.timestamp": "2025-07-03T14:30:00.123456", "data.device_id": 5, "location": "Roof"},
    ),
    (
        {"data": {"time": 1, "root": 2, "ROOT": 3, "a b": 4, "ä/%": 5, "1st": 6, "x.y": 7, "'\"\\": 8, "_": 9, "é": 0}},
        {"time": 1, "root": 2, "ROOT": 3, "a b": 4, "ä/%": 5, "1st": 6, "x.y": 7, "'\"\\": 8, "_": 9, "é": 0},
    ),
    ({"data": {"n" * 64: 1, "text": "x" * 4096}}, {"n" * 64: 1, "text": "x" * 4096}),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), SHAPES, ids=range(len(SHAPES)))
def test_a_reading_comes_back_as_it_was_sent(
    service: Service, device: RegisteredDevice, sent: Any, expected: dict[str, Any]
) -> None:
    service.send(device, sent)
    found = stored(device)
    assert same(found, expected), found


def test_senml_comes_as_json_and_as_cbor(service: Service, device: RegisteredDevice) -> None:
    service.send(device, [{"n": "t", "v": 1.5}], Content_Type="application/senml+json")
    assert stored(device) == {"t": 1.5}
    pack = bytes.fromhex("81a20061680218 2a".replace(" ", ""))  # [{0: "h", 2: 42}]
    assert cbor.decode(pack, max_depth=8, labels={0: "n", 2: "v"}) == [{"n": "h", "v": 42}]
    answer = device.client.call("POST", SEND, pack, Content_Type="application/senml+cbor", Prefer="wait=10")
    assert (answer.status, answer.json["stored"]) == (201, True)
    assert stored(device) == {"t": 1.5, "h": 42}


def test_the_answer_says_what_was_accepted(device: RegisteredDevice) -> None:
    for path in (SEND, "/api/v1/telemetry"):
        answer = device.client.post(path, {"data": {"t": 1}, "timestamp": AT})
        assert answer.status == 201
        assert answer.json.keys() == {"message", "device_id", "device_name", "timestamp", "readings", "stored_in_iotdb"}
        assert (answer.json["device_id"], answer.json["device_name"]) == (device.id, device.name)
        assert (answer.json["timestamp"], answer.json["readings"], answer.json["stored_in_iotdb"]) == (ISO, 1, True)
        batch = {"readings": [{"data": {"t": 1}}, {"data": {"t": 2}}]}
        assert device.client.post(path, batch).json["readings"] == 2


def test_an_answer_may_wait_until_the_reading_is_stored(device: RegisteredDevice) -> None:
    answer = device.client.post(SEND, {"data": {"t": 5}}, Prefer="wait=10")
    assert (answer.status, answer.json["stored"]) == (201, True)
    assert answer.headers["preference-applied"] == "wait=10"
    assert stored(device) == {"t": 5}
    for prefer in ("wait=0", "wait=x", "respond-async", "wait=-1", "wait", ""):
        answer = device.client.post(SEND, {"data": {"t": 6}}, Prefer=prefer)
        assert answer.status == 201
        assert "preference-applied" not in answer.headers


def test_one_that_waits_keeps_nobody_waiting(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a consumer nothing is ever stored; forty devices that wait for it must not hold up others."""
    with running(tmp_path_factory.mktemp("idle"), consume=False) as idle:
        device = idle.device()

        def wait() -> Any:
            return device.client.post(SEND, {"data": {"t": 1}}, Prefer="wait=4").json.get("stored")

        with in_parallel(40, wait) as waiting:
            slowest_s = 0.0
            for _ in range(20):
                began_s = time.monotonic()
                assert idle.nobody.get("/status").status == 200
                assert device.client.post(SEND, {"data": {"t": 2}}).status == 201
                slowest_s = max(slowest_s, time.monotonic() - began_s)
        assert slowest_s < 2
        assert set(waiting.results) <= {False, None}
        assert False in waiting.results


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"data": {}}, "data"),
        ({"data": {"t": None}}, "data"),
        ({"data": 5}, "data"),
        ({"data": "text"}, "data"),
        ({"data": [1]}, "data"),
        ({}, "data"),
        ([], "data"),
        ({"readings": []}, "data"),
        ({"data": {"t": 2**63}}, "t"),
        ({"data": {"x" * 65: 1}}, "x" * 65),
        ({"data": {"": 1}}, ""),
        ({"data": {"t": "x" * 4097}}, "t"),
        ({"data": {"t": "\u0000"}}, "t"),
        ({"data": {"t": "\ud800"}}, "t"),
        ({"data": {"t": 1}, "timestamp": "yesterday"}, "timestamp"),
        ({"data": {"t": 1}, "timestamp": "1999-12-31T23:59:59Z"}, "timestamp"),
        ({"data": {"t": 1}, "timestamp": "2099-01-01T00:00:00Z"}, "timestamp"),
        ({"data": {"t": 1}, "timestamp": True}, "timestamp"),
        ({"data": {"t": 1}, "metadata": 5}, "metadata"),
        ({"readings": [{"data": {"t": 1}}, 5]}, "readings[1]"),
        ({"readings": [{"data": {"t": 1}}, {"data": {"t": "\u0000"}}]}, "readings[1].t"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(device: RegisteredDevice, sent: Any, field: str) -> None:
    answer = device.client.post(SEND, sent)
    assert (answer.status, answer.json.get("field", "")) == (400, field), answer.json


def test_a_reading_of_another_device_is_refused_and_kept_in_the_audit_log(
    admin: Client, device: RegisteredDevice, other_device: RegisteredDevice
) -> None:
    answer = device.client.post(SEND, {"device_id": other_device.id, "data": {"t": 1}})
    assert (answer.status, answer.code, answer.json["field"]) == (403, "foreign_device", "device_id")
    newest = admin.get("/api/v1/admin/audit?limit=1").json["entries"][0]
    assert (newest["actor"], newest["result"]) == (f"device:{device.id}", "foreign_device")
    for own in (device.id, str(device.id), device.name):
        assert device.client.post(SEND, {"device_id": own, "data": {"t": 1}}).status == 201


def test_readings_without_a_time_never_replace_each_other(service: Service, device: RegisteredDevice) -> None:
    for number in range(30):
        device.client.post(SEND, {"data": {"n": number}})
    service.send(device, {"readings": [{"data": {"n": 100 + number}} for number in range(30)]})
    rows = device.client.get(f"{SEND}?limit=1000").json["telemetry"]
    assert sorted(row["n"] for row in rows) == [*range(30), *range(100, 130)]


def test_a_measurement_may_change_its_type(service: Service, device: RegisteredDevice) -> None:
    values = [1, 2.5, "three", True, -4, "5"]
    service.send(
        device, {"readings": [{"timestamp": AT + at, "data": {"m": value}} for at, value in enumerate(values)]}
    )
    rows = device.client.get(f"/api/v1/telemetry/{device.id}/range?from={AT}&to={AT + 10}").json["data"]
    assert [row["m"] for row in rows] == values
    assert [type(row["m"]) for row in rows] == [type(value) for value in values]


def test_the_last_value_of_an_instant_wins_and_null_erases_nothing(service: Service, device: RegisteredDevice) -> None:
    service.send(device, {"timestamp": AT, "data": {"a": 1, "b": 1}})
    service.send(device, {"timestamp": AT, "data": {"a": 2, "b": None, "c": 3}})
    assert stored(device) == {"a": 2, "b": 1, "c": 3}
    assert device.client.get("/api/v1/devices/status").json["device"]["telemetry_count"] == 1
