"""The predecessor's clients: any user name, a string id, sometimes a key in the payload. Off unless asked for."""

import json
from pathlib import Path

import pytest

from infra.failure import Exit
from mqtt_bridge.packets import V311
from tests.e2e.instance import Instance, eventually, infra
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import call, register


def test_legacy_client_is_registered_by_its_name_and_a_registered_device_needs_its_key(tmp_path: Path) -> None:
    with Instance(tmp_path / "var", {"IOTFLOW_MQTT_LEGACY": "true"}) as served:
        owner = register(served.url, "proper")
        other = register(served.url, "other")
        with Peer(served.mqtt_ports["mqtt"], level=V311) as peer:
            assert peer.connect("admin", "admin123", will=("iotflow/devices/old-1/status/online", b"{}")).reason == 0
            for name, payload in (
                ("old-1", {"device_id": "old-1", "measurements": {"temperature": 1}}),
                ("proper", {"data": {"temperature": 2}}),
                (str(owner.id), {"data": {"temperature": 3}}),
                (str(owner.id), {"data": {"temperature": 4}, "api_key": other.key}),
                (str(owner.id), {"data": {"temperature": 5}, "api_key": owner.key}),
            ):
                assert peer.publish(f"iotflow/devices/{name}/telemetry/sensors", json.dumps(payload).encode())
        headers = {"Authorization": f"Bearer {served.token}"}
        devices = call(served.url, "/api/v1/admin/devices", headers=headers)[1]["devices"]
        ids = {device["name"]: device["id"] for device in devices}
        assert ids.keys() == {"proper", "other", "old-1"}

        def values(device_id: int) -> list[float]:
            rows = call(served.url, f"/api/v1/telemetry/{device_id}")[1]["data"]
            return [row["temperature"] for row in rows]

        assert eventually(lambda: values(ids["old-1"]) == [1])
        assert eventually(lambda: values(owner.id) == [5])


@pytest.mark.parametrize("elsewhere", [{"HOST": "0.0.0.0"}, {"MQTT_HOST": "0.0.0.0"}, {"IOTFLOW_STAGE": "prod"}])  # noqa: S104
def test_legacy_is_refused_where_others_could_use_it(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    settings = {"IOTFLOW_MQTT_LEGACY": "true", **elsewhere}
    refused = infra("up", "-d", "--port", "0", "--data", str(tmp_path / "var"), environment=settings)
    assert refused.returncode == Exit.BAD_OPTION
    assert "IOTFLOW_MQTT_LEGACY" in refused.stderr
