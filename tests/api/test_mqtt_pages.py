"""What the MQTT side says of itself over HTTP, and what can be sent past it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import topics
from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service, running
from tests.listener import listening

M = "/api/v1/mqtt"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that stands for the MQTT listener: the service only asks whether it is there."""
    with listening() as one:
        yield one


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Service]:
    """A service that finds MQTT there."""
    with running(tmp_path_factory.mktemp("service"), MQTT_PORT=str(port)) as one:
        yield one


def test_the_status_says_whether_the_listener_answers(service: Service, port: int, tmp_path: Path) -> None:
    found = service.nobody.get(f"{M}/status")
    assert found.status == 200
    assert found.json["broker_info"]["connected"] is found.json["mqtt_status"]["connected"] is True
    assert (found.json["broker_info"]["port"], found.json["broker_info"]["error"]) == (port, None)
    assert (found.json["broker_info"]["tls_enabled"], found.json["broker_info"]["tls_port"]) == (False, None)
    with listening() as closed:
        pass
    with running(tmp_path, consume=False, MQTT_PORT=str(closed)) as other:
        found = other.nobody.get(f"{M}/status")
        assert (found.status, found.json["broker_info"]["connected"]) == (200, False)
        assert str(closed) in found.json["broker_info"]["error"]


def test_the_metrics_count_commands(admin: Client, device: RegisteredDevice) -> None:
    admin.post(f"{M}/device/{device.id}/command", {"command_type": "reboot"})
    found = admin.get(f"{M}/monitoring/metrics").json
    assert found["metrics"]["connection_status"]["connected"] is True
    assert found["metrics"]["topics"] == {"total_structures": len(topics.CATALOGUE), "base_topic": "iotflow"}
    assert found["metrics"]["commands"]["queued"] >= 1


def test_credentials_say_where_and_how_to_connect(port: int, device: RegisteredDevice) -> None:
    answer = device.client.get("/api/v1/devices/mqtt-credentials")
    found = answer.json["credentials"]
    assert (found["mqtt_host"], found["mqtt_port"]) == ("127.0.0.1", port)
    assert (found["username"], found["anonymous_connection"]) == (str(device.id), False)
    assert found["topics"]["telemetry_publish"] == f"iotflow/devices/{device.id}/telemetry"
    assert found["topics"]["commands_subscribe"] == f"iotflow/devices/{device.id}/commands"
    for name in found["topics"].values():
        assert topics.parse(name.replace("{command_id}", "x")) is not None, name
    assert device.key not in answer.body.decode()


def test_a_listener_on_every_address_is_announced_under_the_hosts_own_name(tmp_path: Path) -> None:
    with running(tmp_path, consume=False, MQTT_HOST="0.0.0.0") as other:  # noqa: S104 - nothing is bound here
        found = other.device().client.get("/api/v1/devices/mqtt-credentials", Host="iot.example:5000")
        assert found.json["credentials"]["mqtt_host"] == "iot.example"
        assert other.nobody.get(f"{M}/status").status == 200


def test_the_topics_of_a_device_are_listed(device: RegisteredDevice, other_device: RegisteredDevice) -> None:
    found = device.client.get(f"{M}/topics/device/{device.id}").json
    listed = [entry for entries in found["topics"].values() for entry in entries]
    assert found["total_topics"] == len(listed)
    assert f"iotflow/devices/{device.id}/config" in {entry["path"] for entry in listed}
    assert device.client.get(f"{M}/topics/device/{other_device.id}").status == 404


def test_the_catalogue_is_listed(admin: Client) -> None:
    found = admin.get(f"{M}/topics/structure").json
    assert found["topic_structures"].keys() == {entry.name for entry in topics.CATALOGUE}
    assert (found["base_topic"], found["total_structures"]) == ("iotflow", len(topics.CATALOGUE))


def test_a_topic_is_validated(device: RegisteredDevice) -> None:
    def ask(topic: str) -> dict[str, object]:
        answer = device.client.post(f"{M}/topics/validate", {"topic": topic})
        assert answer.status == 200
        found: dict[str, object] = answer.json
        return found

    found = ask("iotflow/devices/7/commands/reboot")
    assert (found["is_valid"], found["validation_errors"]) == (True, [])
    assert found["parsed"] == {
        "name": "commands_of_type",
        "kind": "commands",
        "direction": "down",
        "values": {"device_id": "7", "command_type": "reboot"},
    }
    for wrong in ("", "iotflow/devices/+/telemetry", "iotflow/other", "a\tb"):
        found = ask(wrong)
        assert (found["is_valid"], found["parsed"], len(found["validation_errors"])) == (False, None, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "payload", "command_type"),
    [("/reboot", {"delay_s": 1}, "reboot"), ("", {"type": "update"}, "update"), ("", {"on": True}, "control"),
     ("", "text", "control"), ("", {"type": 5}, "control"), ("", {"type": "a/b"}, "control")],
)  # fmt: skip
def test_what_is_published_to_commands_is_a_command(
    admin: Client, device: RegisteredDevice, level: str, payload: object, command_type: str
) -> None:
    topic = f"iotflow/devices/{device.id}/commands{level}"
    sent = admin.post(f"{M}/publish", {"topic": topic, "payload": payload, "qos": 2})
    assert sent.status == 200, sent.body
    assert sent.json.keys() == {"status", "message", "topic", "qos", "retain", "command_id"}
    (command,) = device.client.get("/api/v1/devices/commands").json["commands"]
    assert (command["command_id"], command["command_type"]) == (sent.json["command_id"], command_type)
    assert command["command"] == payload


@pytest.mark.parametrize(
    ("topic", "more", "status", "field"),
    [("iotflow/devices/{id}/telemetry", {}, 400, "topic"), ("iotflow/devices/{id}/config", {}, 400, "topic"),
     ("iotflow/devices/+/commands", {}, 400, "topic"), ("elsewhere", {}, 400, "topic"),
     ("iotflow/devices/{id}/commands", {"retain": True}, 400, "retain"),
     ("iotflow/devices/999999999/commands", {}, 404, "device_id"), ("iotflow/devices/x/commands", {}, 404, "topic"),
     ("iotflow/devices/{id}/commands", {"qos": 3}, 400, "qos")],
)  # fmt: skip
def test_nothing_else_can_be_published(
    admin: Client, device: RegisteredDevice, topic: str, more: dict[str, object], status: int, field: str
) -> None:
    answer = admin.post(f"{M}/publish", {"topic": topic.format(id=device.id), "payload": 1, **more})
    assert (answer.status, answer.json["field"]) == (status, field)
    assert device.client.get("/api/v1/devices/commands").json["commands"] == []


def test_a_server_that_subscribes_is_gone(nobody: Client) -> None:
    answer = nobody.post(f"{M}/subscribe", {"topic": "#"})
    assert (answer.status, answer.code) == (410, "gone")


def test_telemetry_can_be_sent_past_the_listener(
    nobody: Client, device: RegisteredDevice, other_device: RegisteredDevice
) -> None:
    document = {"data": {"t": 21.5}, "metadata": {"a": "b"}, "timestamp": "2025-07-03T14:30:00Z"}
    answer = device.client.post(f"{M}/telemetry/{device.id}", document)
    assert answer.status == 201, answer.body
    assert answer.json["topic"] == f"iotflow/devices/{device.id}/telemetry"
    assert (answer.json["device_id"], answer.json["timestamp"]) == (device.id, "2025-07-03T14:30:00.000Z")
    assert device.client.post(f"{M}/telemetry/{other_device.id}", document).status == 404
    assert device.client.post(f"{M}/telemetry/{device.id}", {"data": {}}).status == 400
    assert nobody.post(f"{M}/telemetry/{device.id}", document).status == 401
