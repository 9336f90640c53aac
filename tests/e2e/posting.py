"""Devices that post readings as fast as they are answered, and remember what was acknowledged."""

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

TIMEOUT_S = 30.0
FIRST_MS = 1_767_225_600_000
"""2026-01-01: the time of a device's reading 0; reading n is n seconds later and has the value n."""
NO_LIMITS = {"RATE_LIMIT_PER_MINUTE": "10000000", "IOTFLOW_DEVICE_BURST": "1000000"}
"""Settings of an instance that takes whatever a load sends."""


class Owner(NamedTuple):
    """A registered device."""

    id: int
    key: str


class Acknowledged(NamedTuple):
    """A reading that was answered with 201, and when, in epoch milliseconds."""

    device_id: int
    number: int
    at_ms: int


def call(
    url: str, path: str, *, body: object = None, headers: Mapping[str, str] | None = None, method: str = ""
) -> tuple[int, Any]:
    """One HTTP call; returns status and JSON."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        sent = None if body is None else json.dumps(body)
        named = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method or ("GET" if body is None else "POST"), path, sent, named)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def register(url: str, name: str) -> Owner:
    """Register a device."""
    status, body = call(url, "/api/v1/devices/register", body={"name": name, "device_type": "sensor"})
    assert status == 201, body
    return Owner(body["device"]["id"], body["device"]["api_key"])


def ledger(url: str) -> dict[str, int]:
    """The ledger of a running instance."""
    found: dict[str, int] = call(url, "/api/v1/telemetry/status")[1]["ledger"]
    return found


def stored_numbers(url: str, owner: Owner) -> list[int]:
    """What is stored of a device that `Load` posted: the ``n`` of each reading, in the order of their times."""
    numbers: list[int] = []
    cursor = ""
    while True:
        path = f"/api/v1/telemetry/{owner.id}?start_time={FIRST_MS}&limit=1000&order=asc{cursor}"
        status, page = call(url, path, headers={"X-API-Key": owner.key})
        assert status == 200, page
        numbers += [row["n"] for row in page["data"]]
        if page["next_cursor"] is None:
            return numbers
        cursor = f"&cursor={page['next_cursor']}"


class Load:
    """Posts from every device at once, each on its own connection; use it in a with statement.

    Args:
        url: The service.
        owners: The devices.
    """

    def __init__(self, url: str, owners: Sequence[Owner]) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.refused: list[int] = []
        self._address = urlsplit(url)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(owner,)) for owner in owners]

    def _post(self, owner: Owner) -> None:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=TIMEOUT_S)
        headers = {"Content-Type": "application/json", "X-API-Key": owner.key}
        number = 0
        while not self._stop.is_set():
            body = json.dumps({"data": {"n": number}, "timestamp": FIRST_MS + 1000 * number})
            connection.request("POST", "/api/v1/devices/telemetry", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 201:
                self.acknowledged.append(Acknowledged(owner.id, number, time.time_ns() // 1_000_000))
                number += 1
            else:
                self.refused.append(answer.status)
        connection.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
