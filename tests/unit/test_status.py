"""How the service is, and its metrics."""

import pytest

from chalicelib import status
from chalicelib.errors import Unavailable
from chalicelib.model import DEFAULT_TENANT, Ledger, Sighting
from chalicelib.ports import DeviceStats
from tests.builders import NOW_MS, a_device, memory_services, send

FINE, SILENT = status.Check(True, 1.0), status.Check(False, 1.0, "away")


def away(*_arguments: object, **_named: object) -> None:
    message = "The store does not answer"
    raise Unavailable(message)


def test_a_probe_says_how_long_and_why() -> None:
    healthy = status.probe(lambda: None)
    assert (healthy.healthy, healthy.error) == (True, None)
    assert 0 <= healthy.response_time_ms < 1000
    silent = status.probe(away)
    assert (silent.healthy, silent.error) == (False, "The store does not answer")


@pytest.mark.parametrize(
    ("checks", "word"),
    [
        ({"queue": FINE, "redis": FINE}, "healthy"),
        ({"queue": FINE, "redis": SILENT}, "degraded"),
        ({"queue": SILENT, "redis": FINE}, "unhealthy"),
        ({"queue": SILENT, "redis": SILENT}, "unhealthy"),
        ({}, "healthy"),
    ],
)
def test_only_a_vital_backend_makes_it_unhealthy(checks: dict[str, status.Check], word: str) -> None:
    assert status.verdict(checks, vital=frozenset({"queue"})) == word


def test_the_fleet_is_counted_also_without_presence() -> None:
    services = memory_services()
    made = a_device(services)
    a_device(services, "other")
    services.presence.mark([Sighting(made.device.ref, NOW_MS)])
    counted = status.fleet(DEFAULT_TENANT, devices=services.devices, presence=services.presence, now_ms=NOW_MS)
    assert (counted.total, counted.online, counted.stats.by_type) == (2, 1, {"sensor": 2})
    later = status.fleet(DEFAULT_TENANT, devices=services.devices, presence=services.presence, now_ms=NOW_MS + 300_001)
    assert later.online == 0

    class NoPresence:
        online = staticmethod(away)

    blind = status.fleet(DEFAULT_TENANT, devices=services.devices, presence=NoPresence(), now_ms=NOW_MS)  # type: ignore[arg-type]
    assert (blind.total, blind.online) == (2, None)


def test_the_machine_is_described() -> None:
    found = status.system()
    assert len(found["load_average"]) == 3
    assert 0 <= found["disk_usage_percent"] <= 100
    assert 0 <= found["memory_percent"] <= 100


def an_exposition(online: int | None = 1) -> str:
    services = memory_services()
    made = a_device(services)
    send(services, made.device)
    counters = services.counters
    for at, seconds in enumerate((0.0005, 0.003, 99.0)):
        labels = (("endpoint", "send"),)
        bucket = ("0.001", "0.005", "+Inf")[at]
        counters.add("iotflow_requests_total", (*labels, ("status", "201")), now_ms=NOW_MS)
        counters.add("iotflow_request_seconds_bucket", (*labels, ("le", bucket)), now_ms=NOW_MS)
        counters.add("iotflow_request_seconds_sum", labels, seconds, now_ms=NOW_MS)
    counters.add(status.REJECTED, (("code", 'odd "word"\\\n'),), 2_500_000, now_ms=NOW_MS)
    state = status.queue_state(services.queue, now_ms=NOW_MS + 2500)
    counted = status.Fleet(DeviceStats({"active": 1}, {"sensor": 1}, 1), 1, online)
    return status.exposition(counters, state, counted)


def test_metrics_are_exact_and_escaped() -> None:
    lines = an_exposition().splitlines()
    for line in (
        'iotflow_requests_total{endpoint="send",status="201"} 3',
        'iotflow_request_seconds_bucket{endpoint="send",le="0.001"} 1',
        'iotflow_request_seconds_bucket{endpoint="send",le="0.005"} 2',
        'iotflow_request_seconds_bucket{endpoint="send",le="2.5"} 2',
        'iotflow_request_seconds_bucket{endpoint="send",le="+Inf"} 3',
        'iotflow_request_seconds_count{endpoint="send"} 3',
        'iotflow_request_seconds_sum{endpoint="send"} 99.003500',
        'iotflow_rejected_requests_total{code="odd \\"word\\"\\\\\\n"} 2500000',
        'iotflow_readings_total{fate="accepted"} 1',
        'iotflow_readings{place="queued"} 1',
        "iotflow_queue_oldest_age_seconds 2.5",
        'iotflow_devices{status="active"} 1',
        "iotflow_devices_online 1",
    ):
        assert line in lines, line


def test_every_metric_is_explained_once() -> None:
    text = an_exposition()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    assert len(names) == len(set(names))
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == names
    assert text.endswith("\n")


def test_what_is_not_known_is_left_out() -> None:
    assert "iotflow_devices_online" not in an_exposition(online=None)


def test_the_age_of_the_queue_is_that_of_its_oldest_message() -> None:
    services = memory_services()
    state = status.queue_state(services.queue, now_ms=NOW_MS)
    assert state == (Ledger(0, 0, 0, 0, 0, 0), 0.0)
