"""What the simulators put on the wire, and how they read what comes back."""

import json
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.client import Answer, DeviceClient, TimedReading, backoff_s, json_object, retry_after_s


class Recorder:
    """A transport that remembers the last request."""

    def __init__(self) -> None:
        self.last: tuple[str, str, Mapping[str, str], bytes | None] = ("", "", {}, None)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self.last = (method, path, headers, body)
        return Answer(200, {}, None, 1.0)


def test_heartbeat_has_no_body_and_no_content_type() -> None:
    wire = Recorder()
    DeviceClient(wire).heartbeat("k")
    assert wire.last == ("POST", "/api/v1/devices/heartbeat", {"X-API-Key": "k"}, None)


def test_single_reading_is_sent_in_the_predecessors_shape_with_its_own_time() -> None:
    wire = Recorder()
    DeviceClient(wire).telemetry("k", [TimedReading(1_751_328_000_123, {"t": 1, "at": None})])
    _, path, headers, body = wire.last
    assert (path, headers["X-API-Key"], headers["Content-Type"]) == (
        "/api/v1/devices/telemetry",
        "k",
        "application/json",
    )
    assert json.loads(body or b"") == {"timestamp": 1_751_328_000_123, "data": {"t": 1, "at": None}}


def test_several_readings_are_sent_as_one_batch_in_order() -> None:
    wire = Recorder()
    DeviceClient(wire).telemetry("k", [TimedReading(1, {"t": 1}), TimedReading(2, {"t": 2.5})])
    readings = [{"timestamp": 1, "data": {"t": 1}}, {"timestamp": 2, "data": {"t": 2.5}}]
    assert json.loads(wire.last[3] or b"") == {"readings": readings}


def test_registration_carries_the_enrolment_token_only_when_there_is_one() -> None:
    wire = Recorder()
    DeviceClient(wire, enrollment_token="e").register({"name": "a"}, idempotency_key="i")
    assert (wire.last[2]["X-Enrollment-Token"], wire.last[2]["Idempotency-Key"]) == ("e", "i")
    DeviceClient(wire).register({"name": "a"}, idempotency_key="i")
    assert "X-Enrollment-Token" not in wire.last[2]


@given(st.integers(1, 10_000), st.integers())
def test_backoff_stays_within_its_limits(attempt: int, seed: int) -> None:
    assert 0 <= backoff_s(attempt, Random(seed)) <= min(30, 0.5 * 2 ** min(attempt, 10))


@given(st.integers(1, 20), st.integers(), st.floats(0, 1000))
def test_backoff_never_ends_before_the_services_advice(attempt: int, seed: int, advice_s: float) -> None:
    assert advice_s <= backoff_s(attempt, Random(seed), retry_after_s=advice_s) <= advice_s + 30


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        ("Tue, 01 Jul 2025 00:00:30 GMT", 30.0),
        ("Mon, 30 Jun 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("nan", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, expected_s: float | None) -> None:
    assert retry_after_s(header, now_s=1_751_328_000) == expected_s


@pytest.mark.parametrize("payload", [b"", b"<html>", b"[1]", b"null", b"\xff"])
def test_body_that_is_no_json_object_reads_as_an_empty_one(payload: bytes) -> None:
    assert json_object(payload) == {}
