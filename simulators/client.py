"""What a device says to the service over HTTP, and how it takes the answers. No waiting here: the caller decides when.

One request is one call. An answer is accepted, worth another try later (`RETRY_STATUSES`, or none at all), or final.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any, NamedTuple, Protocol

import urllib3

from simulators.signals import Data

MAX_READINGS_PER_REQUEST = 1000
"""Source: the limits of the service's contract."""
RETRY_STATUSES = frozenset({429, 502, 503, 504, 0x88, 0x89, 0x8B, 0x97, 0x9F})
"""Refused only for now: of HTTP, and the reason codes of MQTT 5 for unavailable, busy, shutting down, quota, rate."""
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 30.0


class NoAnswer(Exception):
    """The service could not be reached, or closed the connection, or took too long. Try again later."""


class TimedReading(NamedTuple):
    """One reading as a device sends it: its own time (epoch milliseconds) and its data."""

    timestamp_ms: int
    data: Data


@dataclass(frozen=True)
class Answer:
    """What came back: status, JSON object (or {}), advice when to try again, and how long it took.

    A refusal over MQTT has its reason code as status, 0x80 to 0xA2: HTTP has no answers that low.
    """

    status: int
    body: Mapping[str, Any]
    retry_after_s: float | None
    latency_ms: float

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in RETRY_STATUSES


class Transport(Protocol):
    """Carries one request; safe to use from several threads."""

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Return the answer.

        Raises:
            NoAnswer: whether the service has acted on the request is unknown; repeat it.
        """


class HttpTransport:
    """Requests to one base URL over kept-alive connections.

    Args:
        url: scheme, host and port, and a path prefix if the service has one.
        connections: how many requests may be under way at once.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        self._url = url.rstrip("/")
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=ANSWER_TIMEOUT_S)
        self._pool = urllib3.PoolManager(maxsize=connections, block=True, timeout=timeout, retries=False)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        began_s = time.perf_counter()
        try:
            response = self._pool.request(method, self._url + path, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(type(error).__name__) from error
        latency_ms = (time.perf_counter() - began_s) * 1000
        wait_s = retry_after_s(response.headers.get("Retry-After"), now_s=time.time())
        return Answer(response.status, json_object(response.data), wait_s, latency_ms)


class DeviceClient:
    """The requests of devices. Keys are passed with each call, so that one client serves a whole fleet."""

    def __init__(self, transport: Transport, *, enrollment_token: str | None = None) -> None:
        self._transport = transport
        self._enrollment = {"X-Enrollment-Token": enrollment_token} if enrollment_token else {}

    def health(self) -> Answer:
        """Ask whether the service serves. Good: 200. Raises NoAnswer."""
        return self._transport.send("GET", "/health", {}, None)

    def register(self, record: Mapping[str, str], *, idempotency_key: str) -> Answer:
        """Register a device. Good: 201 with ``device.id`` and ``device.api_key``; 409: name taken. Raises NoAnswer.

        The same `idempotency_key` gives the first answer again, so a registration whose answer was lost keeps its key.
        """
        headers = {"Idempotency-Key": idempotency_key, **self._enrollment}
        return self._post("/api/v1/devices/register", headers, record)

    def status(self, api_key: str) -> Answer:
        """Ask for the device's own record. Good: 200 with ``device.id``; 401: the key is dead. Raises NoAnswer."""
        return self._transport.send("GET", "/api/v1/devices/status", {"X-API-Key": api_key}, None)

    def heartbeat(self, api_key: str) -> Answer:
        """Say that the device is there, with an empty body and no content type. Good: 200. Raises NoAnswer."""
        return self._transport.send("POST", "/api/v1/devices/heartbeat", {"X-API-Key": api_key}, None)

    def telemetry(self, api_key: str, readings: Sequence[TimedReading]) -> Answer:
        """Send 1 to 1000 readings in one request. Good: exactly 201, as old devices want. Raises NoAnswer.

        Every reading carries its own time, so sending it again stores nothing twice.
        """
        items = [{"timestamp": reading.timestamp_ms, "data": reading.data} for reading in readings]
        return self._post(
            "/api/v1/devices/telemetry", {"X-API-Key": api_key}, {"readings": items} if len(items) > 1 else items[0]
        )

    def _post(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        payload = json.dumps(body, separators=(",", ":")).encode()
        return self._transport.send("POST", path, {"Content-Type": "application/json", **headers}, payload)


def status_text(status: int) -> str:
    """Return the status with the protocol that it is of."""
    return f"HTTP {status}" if status >= 200 else f"MQTT reason 0x{status:02X}"


def backoff_s(attempt: int, rng: Random, *, retry_after_s: float | None = None) -> float:
    """Return how long to wait before try number `attempt` + 1 (`attempt` from 1): full jitter, doubling, 30 s at most.

    The service's own advice comes on top: never sooner, and a fleet that was refused together does not return together.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    jittered_s = rng.uniform(0, min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * 2 ** min(attempt, 10)))
    return jittered_s + (retry_after_s or 0.0)


def retry_after_s(value: str | None, *, now_s: float) -> float | None:
    """Read a ``Retry-After`` header, seconds or an HTTP date; None when there is none or it means nothing."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now_s)


def json_object(payload: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body, or {} when it holds anything else."""
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
