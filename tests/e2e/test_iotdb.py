"""The product on IoTDB, as an operator starts it."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.contract.iotdb_server import require_iotdb
from tests.e2e.instance import Instance, eventually, infra


def call(url: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """The JSON that a loopback URL answers."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    request = urllib.request.Request(url, data, sent)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def test_up_with_iotdb_starts_a_server_and_a_reading_goes_all_the_way(tmp_path: Path) -> None:
    require_iotdb()
    data = tmp_path / "var"
    where = ["--data", str(data)]
    sent = {"data": {"temperature": 21.5, "n": 7, "x": 7.0, "on": True, "state": "ok"}}
    try:
        with Instance(data, {"IOTFLOW_STORE": "iotdb"}) as running:
            registered = call(f"{running.url}/api/v1/devices/register", {"name": "one", "device_type": "sensor"})
            key = registered["device"]["api_key"]
            call(f"{running.url}/api/v1/telemetry", sent, X_API_Key=key)
            latest = f"{running.url}/api/v1/telemetry/{registered['device']['id']}/latest"
            status = f"{running.url}/api/v1/telemetry/status"
            assert eventually(lambda: bool(call(status)["ledger"]["stored"] == 1))
            found = {name: one["value"] for name, one in call(latest)["measurements"].items()}
            assert json.dumps(found, sort_keys=True) == json.dumps(sent["data"], sort_keys=True)
            table = infra("iotdb", "cli", "SELECT temperature FROM root.iotflow.devices.*", *where).stdout
            assert "21.5" in table
        assert infra("iotdb", "status", *where).returncode == 0
    finally:
        stopped = infra("iotdb", "stop", *where)
    assert stopped.returncode == 0, stopped.stderr
    assert infra("iotdb", "status", *where).returncode == 3
