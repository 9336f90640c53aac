"""What clients see while a backend is silent: 503 with Retry-After where it is needed, never a 500."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import tokens
from chalicelib.model import DEFAULT_TENANT, Scope
from chalicelib.wiring import Services
from tests.api.access_table import TABLE, Row
from tests.api.client import Answer, Client
from tests.api.in_process import Down, serving
from tests.builders import a_device, memory_services

PORTS = [
    "devices",
    "credentials",
    "queue",
    "readings",
    "presence",
    "audit",
    "idempotency",
    "counters",
    "limiter",
    "commands",
    "twins",
]
SEND = "/api/v1/devices/telemetry"
READING = {"data": {"t": 1}}


class World:
    """Memory services with a device and an administrator; ports go down when told."""

    def __init__(self) -> None:
        self.services: Services = memory_services()
        now_ms = time.time_ns() // 1_000_000
        self.device = a_device(self.services)
        self.token = tokens.issue_token(
            "ops",
            frozenset({Scope.ADMIN}),
            tenant=DEFAULT_TENANT,
            credentials=self.services.credentials,
            pepper=self.services.pepper,
            now_ms=now_ms,
        ).text

    def take_down(self, port: str) -> None:
        """From now on this backend is silent."""
        for name in PORTS:
            getattr(self.services, name)  # so that no other adapter is built on the one that goes down
        setattr(self.services, port, Down())

    def call(self, client: Client, row: Row) -> Answer:
        """Call as who may."""
        ours = client.with_key(self.device.key) if row.who == "device" else client.with_token(self.token)
        others = dict.fromkeys(("key_id", "letter_id", "token_id", "command_id", "group_id", "device_type"), "x")
        path = row.path.format(device_id=self.device.device.id, **others)
        return ours.call(row.method, path, row.body)


@pytest.mark.parametrize("port", PORTS)
def test_no_endpoint_breaks_when_a_backend_is_silent(port: str) -> None:
    world = World()
    world.take_down(port)
    with serving(world.services) as client:
        for row in sorted(TABLE, key=lambda row: row.method == "DELETE"):
            answer = world.call(client, row)
            assert answer.status < 500 or answer.status == 503, (row, answer.body)
            if answer.status == 503 and "checks" not in answer.json:
                assert answer.headers["retry-after"] == str(answer.json["retry_after"])
                assert answer.code == "unavailable"


def answers_while_down(port: str, ask: Callable[[World, Client], Any]) -> Any:
    world = World()
    world.take_down(port)
    with serving(world.services) as client:
        return ask(world, client)


def test_without_the_store_writes_go_on_and_reads_are_503() -> None:
    def ask(world: World, client: Client) -> None:
        ours = client.with_key(world.device.key)
        telemetry = f"/api/v1/telemetry/{world.device.device.id}"
        assert ours.post(SEND, READING).status == 201
        for path in (telemetry, f"{telemetry}/latest", f"{telemetry}/range", f"{telemetry}/aggregated", SEND):
            answer = ours.get(path)
            assert (answer.status, answer.headers["retry-after"]) == (503, "7")
        own = ours.get("/api/v1/devices/status")
        assert (own.status, own.json["device"]["telemetry_count"]) == (200, None)
        assert client.get("/health").status == 200
        status = client.get("/status")
        assert (status.status, status.json["status"], status.json["failed_checks"]) == (200, "degraded", ["iotdb"])
        assert status.json["checks"]["iotdb"]["error"] == "The backend does not answer"
        pipeline = client.get("/api/v1/telemetry/status")
        assert (pipeline.status, pipeline.json["iotdb_available"]) == (200, False)
        assert pipeline.json["status"] == "unavailable"
        assert ours.delete("/api/v1/devices/unregister").status == 200

    answers_while_down("readings", ask)


def test_without_the_queue_nothing_is_accepted() -> None:
    def ask(world: World, client: Client) -> None:
        answer = client.with_key(world.device.key).post(SEND, READING)
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")
        status = client.get("/status")
        assert (status.status, status.json["status"]) == (503, "unhealthy")
        assert client.get("/health").status == 200

    answers_while_down("queue", ask)


def test_without_presence_devices_are_known_but_not_when_they_were_seen() -> None:
    def ask(world: World, client: Client) -> None:
        ours, admin = client.with_key(world.device.key), client.with_token(world.token)
        assert ours.post("/api/v1/devices/heartbeat").status == 503
        assert ours.get("/api/v1/devices/status").json["device"]["last_seen"] is None
        listed = admin.get("/api/v1/admin/devices").json["devices"][0]
        assert (listed["is_online"], listed["last_seen"]) == (False, None)
        assert admin.get("/api/v1/admin/devices?online=true").status == 503
        assert admin.get("/api/v1/admin/stats").json["device_stats"]["online"] is None
        assert client.get("/metrics").status == 200
        assert client.get("/status").json["status"] == "degraded"

    answers_while_down("presence", ask)


def test_without_records_of_repeats_a_call_without_a_key_goes_on() -> None:
    def ask(world: World, client: Client) -> None:
        ours = client.with_key(world.device.key)
        assert ours.post(SEND, READING).status == 201
        assert ours.post(SEND, READING, Idempotency_Key="k").status == 503

    answers_while_down("idempotency", ask)


def test_a_bug_is_a_500_with_fixed_words_and_a_request_id() -> None:
    world = World()
    world.services.presence = None  # type: ignore[assignment]
    with serving(world.services) as client:
        answer = client.with_key(world.device.key).post("/api/v1/devices/heartbeat", X_Request_Id="trace")
    assert (answer.status, answer.code, answer.json["request_id"]) == (500, "internal_error", "trace")
    assert "None" not in answer.body.decode()
    assert answer.headers["x-frame-options"] == "DENY"
