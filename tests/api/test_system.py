"""What the service says of itself."""

import json
import re
import subprocess

import pytest

from chalicelib import api
from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service
from tests.backends import require_program


def test_the_root_says_what_this_is(nobody: Client) -> None:
    found = nobody.get("/").json
    assert found.keys() >= {"name", "version", "description", "endpoints", "documentation"}
    assert found["endpoints"].keys() >= {"health", "devices", "telemetry", "admin"}
    assert nobody.get(found["documentation"]).status == 200


def test_health_is_exactly_this(nobody: Client) -> None:
    answer = nobody.get("/health")
    assert answer.status == 200
    assert answer.json.keys() == {"status", "message", "version"}
    assert answer.json["status"] == "healthy"
    assert nobody.get("/health?detailed=false").json == answer.json
    assert nobody.get("/health?detailed=perhaps").status == 400


@pytest.mark.parametrize("path", ["/status", "/health?detailed=true"])
def test_the_status_asks_every_backend(nobody: Client, path: str) -> None:
    answer = nobody.get(path)
    assert answer.status == 200
    assert answer.json.keys() == {"status", "timestamp", "version", "failed_checks", "warnings", "checks", "metrics"}
    assert (answer.json["status"], answer.json["failed_checks"], answer.json["warnings"]) == ("healthy", [], [])
    checks = answer.json["checks"]
    assert checks.keys() >= {"database", "queue", "iotdb"}
    for check in checks.values():
        assert check.keys() == {"healthy", "response_time_ms", "status", "error"}
        assert (check["healthy"], check["status"], check["error"]) == (True, "healthy", None)
    metrics = answer.json["metrics"]
    assert metrics.keys() == {"system", "ledger", "queue", "devices"}
    assert metrics["queue"].keys() == {"depth", "oldest_age_s", "dead_letters"}
    assert metrics["devices"].keys() >= {"total_devices", "active_devices", "online_devices"}
    assert metrics["ledger"]["balanced"] is True


def test_the_pipeline_accounts_for_every_reading(service: Service, nobody: Client) -> None:
    before = nobody.get("/api/v1/telemetry/status").json
    assert before.keys() == {
        "iotdb_available", "iotdb_host", "iotdb_port", "iotdb_database", "store", "total_devices", "status", "queue",
        "ledger", "warnings",
    }  # fmt: skip
    assert (before["iotdb_available"], before["status"]) == (True, "healthy")
    assert before["queue"].keys() == {"queued", "in_flight", "dead_lettered", "oldest_age_s"}
    device = service.device()
    service.send(device, {"readings": [{"data": {"t": 1}}, {"data": {"t": 2}}]})
    after = nobody.get("/api/v1/telemetry/status").json
    assert after["total_devices"] == before["total_devices"] + 1
    assert after["ledger"]["accepted"] == before["ledger"]["accepted"] + 2
    assert after["ledger"]["balanced"] is True


def test_metrics_pass_promtool(service: Service, nobody: Client, device: RegisteredDevice) -> None:
    promtool = require_program("promtool", backend="promtool", package="prometheus")
    service.send(device, {"data": {"t": 1}})
    device.client.post("/api/v1/devices/telemetry", {"data": {}})
    answer = nobody.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    checked = subprocess.run([promtool, "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b""), answer.body.decode()
    text = answer.body.decode()
    for sample in (
        'iotflow_requests_total{endpoint="submit_telemetry",status="201"}',
        'iotflow_rejected_requests_total{code="invalid_input"}',
        'iotflow_request_seconds_bucket{endpoint="submit_telemetry",le="+Inf"}',
        'iotflow_readings_total{fate="stored"}',
        'iotflow_readings{place="queued"}',
        'iotflow_devices{status="active"}',
    ):
        assert f"\n{sample} " in text, text


def test_metrics_never_count_a_request_twice(nobody: Client) -> None:
    def count() -> int:
        text = nobody.get("/metrics").body.decode()
        found = re.search(r'iotflow_requests_total\{endpoint="read_root",status="200"\} (\d+)', text)
        return int(found[1]) if found else 0

    before = count()
    for _ in range(10):
        nobody.get("/")
    assert count() == before + 10


def test_the_description_has_exactly_the_routes_that_exist(nobody: Client) -> None:
    document = nobody.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in api.endpoints()}
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_every_reference_of_the_description_leads_somewhere(nobody: Client) -> None:
    document = nobody.get("/openapi.json").json
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references == document["components"]["schemas"].keys()


def test_the_page_of_documentation_needs_nothing_from_outside(nobody: Client) -> None:
    answer = nobody.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    assert re.findall(r'(?:src|href)="(?!/|#)', page) == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for endpoint in api.endpoints():
        assert endpoint.path in page
