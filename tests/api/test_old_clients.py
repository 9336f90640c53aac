"""Clients of the predecessor work unmodified: its simulators and its later end-to-end test, step by step.

They open a connection for every request, send no content type with a heartbeat, and take any status but the one they
know for a failure. Source: the predecessor's simulators and test_end_to_end.py.
"""

import http.client
import itertools
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.client import Answer
from tests.api.service import Service
from tests.contract.eventually import eventually

names = (f"old_{number:03d}" for number in itertools.count())


class OldDevice:
    """A simulated device as the predecessor's `basic_device_simulator.py` has it."""

    def __init__(self, url: str, name: str = "") -> None:
        self.address = urlsplit(url).netloc
        self.name = name or next(names)
        self.key = ""
        self.id = 0

    def request(
        self, method: str, path: str, document: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """As `requests` does without a session: a new connection, `Connection: keep-alive`, `Accept: */*`."""
        connection = http.client.HTTPConnection(self.address, timeout=5)
        sent = {
            "User-Agent": "python-requests/2.31.0",
            "Accept-Encoding": "gzip, deflate",
            "Accept": "*/*",
            "Connection": "keep-alive",
            **(headers or {}),
        }
        body = None
        if document is not None:
            body, sent["Content-Type"] = json.dumps(document).encode(), "application/json"
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, found, response.read())
        finally:
            connection.close()
        return answer.unpacked() if found.get("content-encoding") == "gzip" else answer

    def register(self, device_type: str = "sensor", **extra: Any) -> Answer:
        """Introduce itself; the key and the id are kept."""
        answer = self.request(
            "POST",
            "/api/v1/devices/register",
            {
                "name": self.name,
                "description": f"Simulated {device_type} device",
                "device_type": device_type,
                "location": "Simulation Lab",
                "firmware_version": "1.0.0",
                "hardware_version": "sim-v1.0",
                **extra,
            },
        )
        if answer.status == 201:
            self.key, self.id = answer.json["device"]["api_key"], answer.json["device"]["id"]
        return answer

    def heartbeat(self) -> Answer:
        """Header only: no body, no content type."""
        return self.request("POST", "/api/v1/devices/heartbeat", headers={"X-API-Key": self.key})

    def send(self, data: Any, path: str = "/api/v1/devices/telemetry", **body: Any) -> Answer:
        """Send one sample."""
        return self.request("POST", path, {"data": data, **body}, headers={"X-API-Key": self.key})


@pytest.fixture
def old(url: str) -> OldDevice:
    """A device that is registered."""
    device = OldDevice(url)
    assert device.register().status == 201
    return device


def test_the_basic_simulator_lives_through_its_day(url: str) -> None:
    device = OldDevice(url)
    health = device.request("GET", "/health")
    assert (health.status, health.json["status"]) == (200, "healthy")
    registered = device.register()
    assert registered.status == 201
    assert isinstance(device.id, int)
    assert isinstance(device.key, str)
    assert len(device.key) >= 8
    for _ in range(3):
        assert device.heartbeat().status == 200
        sample = {
            "temperature": 22.41,
            "humidity": 63,
            "pressure": 1013.2,
            "battery_level": 99.9,
            "signal_strength": -61,
            "timestamp": "2025-07-03T14:30:00.123456",
        }
        assert device.send(sample).status == 201


SAMPLES: dict[str, list[dict[str, Any]]] = {
    "temperature_sensor": [
        {"temperature": 21.3, "humidity": 90, "location": "Indoor", "sensor_status": "active", "battery_level": 100.0},
        {"temperature": 21, "humidity": 61.5, "location": "Outdoor", "sensor_status": "active", "battery_level": 100.0},
    ],
    "smart_lock": [
        {"lock_status": "locked", "last_access": None, "event_type": "status_check", "access_attempts_today": 0},
        {"lock_status": "unlocked", "last_access": "2025-07-03T14:30:00.5", "event_type": "unlock"},
    ],
    "security_camera": [
        {"motion_detected": False, "recording_status": "standby", "storage_used_mb": 0, "video_quality": "1080p"},
        {"motion_detected": True, "recording_status": "recording", "storage_used_mb": 0.31, "infrared_mode": True},
    ],
    "air_quality": [
        {"pm25": 0, "co2": 350, "air_quality_index": "Unhealthy for Sensitive", "fan_speed": "auto"},
        {"pm25": 12.7, "co2": 412.5, "air_quality_index": "Moderate", "fan_speed": "auto"},
    ],
    "thermostat": [
        {"current_temperature": 20.4, "target_temperature": 21, "mode": "heat", "schedule_enabled": True},
        {"current_temperature": 20, "target_temperature": 19.5, "mode": "auto", "heating_cooling": False},
    ],
}


@pytest.mark.parametrize("device_type", SAMPLES)
def test_every_type_of_device_may_change_its_types(url: str, device_type: str) -> None:
    """Integers turn into floats at a clamp, null into text: nothing may be lost for it."""
    device = OldDevice(url)
    assert device.register(device_type).status == 201
    samples = SAMPLES[device_type]
    for sample in samples:
        assert device.send(sample).status == 201
    kept = [{name: value for name, value in sample.items() if value is not None} for sample in samples]

    def rows() -> list[dict[str, Any]]:
        found = device.request("GET", f"/api/v1/telemetry/{device.id}?start_time=-1h&limit=10").json["data"]
        return [{name: row[name] for name in row.keys() - {"timestamp", "device_id"}} for row in reversed(found)]

    assert eventually(lambda: rows() == kept), rows()


def test_a_fleet_of_forty_registers_and_reports_in_five_seconds(url: str) -> None:
    began_s = time.monotonic()
    fleet = [OldDevice(url) for _ in range(40)]
    assert {device.register().status for device in fleet} == {201}
    assert time.monotonic() - began_s < 5
    assert {device.heartbeat().status for device in fleet} == {200}
    assert {device.send({"t": 1}).status for device in fleet} == {201}


def test_one_device_sends_a_message_a_second_for_a_minute(old: OldDevice) -> None:
    for _ in range(60):
        assert (old.heartbeat().status, old.send({"t": 1}).status) == (200, 201)


def test_a_second_run_with_the_same_names_gets_409_with_json(url: str, old: OldDevice) -> None:
    answer = OldDevice(url, old.name).register()
    assert answer.status == 409
    assert answer.json.keys() >= {"error", "message"}


def test_unknown_keys_of_a_registration_are_ignored(url: str) -> None:
    """new_mqtt_device_simulator.py sends capabilities and metadata, the later end-to-end test a username."""
    extra: dict[str, Any] = {
        "capabilities": ["a", "b"],
        "metadata": {"x": 1},
        "username": "u",
        "password": "p",
        "user_id": "0" * 32,
    }
    assert OldDevice(url).register(**extra).status == 201


def test_errors_are_json(old: OldDevice) -> None:
    key = {"X-API-Key": old.key}
    for answer in (
        old.send("no object"),
        old.request("POST", "/api/v1/devices/telemetry", {"data": {"t": 1}}, headers={"X-API-Key": "x" * 32}),
        old.request("POST", "/api/v1/devices/telemetry", {"data": {"t": 1}}),
        old.request("POST", "/api/v1/devices/telemetry", headers=key),
        old.request("GET", "/api/v1/telemetry/999999"),
        old.request("GET", "/nowhere"),
    ):
        assert 400 <= answer.status < 500
        assert answer.json.keys() >= {"error", "message"}


def test_the_short_address_honours_a_timestamp(old: OldDevice) -> None:
    body = {"timestamp": "2025-07-03T14:30:00", "metadata": {"source": "script"}}
    answer = old.send({"t": 5}, "/api/v1/telemetry", **body)
    assert (answer.status, answer.json["timestamp"]) == (201, "2025-07-03T14:30:00.000Z")
    path = f"/api/v1/telemetry/{old.id}?start_time=2025-07-03T14:00:00Z"
    assert eventually(lambda: old.request("GET", path).json["count"] == 1)
    row = old.request("GET", path).json["data"][0]
    assert (row["t"], row["meta_source"], row["device_id"]) == (5, "script", str(old.id))


def test_the_later_end_to_end_test_passes(service: Service) -> None:
    """Its HTTP steps; the MQTT ones belong to the gateway."""
    device = OldDevice(service.url)
    assert device.request("GET", "/health").status == 200
    assert device.register("sensor", username="tester", password="secret").status == 201
    key = {"X-API-Key": device.key}
    assert device.request("GET", "/api/v1/devices/status", headers=key).json["device"]["name"] == device.name
    setting = {"config_key": "interval", "config_value": "30", "data_type": "integer"}
    assert device.request("POST", "/api/v1/devices/config", setting, headers=key).status == 200
    assert device.request("GET", "/api/v1/devices/config", headers=key).json["configuration"]["interval"]["value"] == 30
    assert device.send({"temperature": 23.5, "humidity": 60}).status == 201

    def own() -> Any:
        return device.request("GET", "/api/v1/devices/telemetry?start_time=-1h&limit=10", headers=key).json

    assert eventually(lambda: own()["count"] == 1)
    status = device.request("GET", "/api/v1/devices/status", headers=key).json["device"]
    assert (status["telemetry_count"], status["is_online"]) == (1, True)
    token = service.admin.headers["Authorization"].removeprefix("Bearer ")
    admin = {"Authorization": f"admin {token}"}
    details = device.request("GET", f"/api/v1/admin/devices/{device.id}", headers=admin)
    assert (details.status, details.json["device"]["id"]) == (200, device.id)
    assert details.json["configurations"]["interval"]["value"] == 30
    pipeline = device.request("GET", "/api/v1/telemetry/status")
    assert (pipeline.status, pipeline.json["iotdb_available"]) == (200, True)
    sample = {"ok": True, "uuid": "6f6b1e0e-4a1e-4b8f-9a51-1d1a2b3c4d5e", "timestamp": "2025-07-03T14:30:00Z"}
    assert device.send(sample).json["stored_in_iotdb"] is True
