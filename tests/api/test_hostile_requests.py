"""Ten thousand hostile requests: only 2xx and 4xx, the process stays, its memory stays, its log has no traceback."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings

from tests.api.hostile import REQUESTS, Hostile, corpus
from tests.api.service import Service, running

GENERATED = 8500
MANY = settings(
    max_examples=GENERATED, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
SLACK_KB = 30_000
"""Allocators, SQLite's caches and compiled models settle in the first few hundred requests, which are not counted."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose reads stay cheap, however many readings hostile clients get accepted."""
    with running(tmp_path_factory.mktemp("hostile"), consume=False) as one:
        yield one


class Attacker:
    """Sends hostile requests as one of the known, and keeps count."""

    def __init__(self, service: Service) -> None:
        address = urlsplit(service.url)
        self.address = (address.hostname or "", address.port or 0)
        self.service = service
        self.device = service.device()
        self.token = service.admin.headers["Authorization"].encode()
        self.statuses: Counter[int] = Counter()

    def send(self, request: Hostile) -> int:
        """The status of the answer; 0 when the front hung up without one."""
        own = request.target.startswith(b"/api/v1/devices") or request.target == b"/api/v1/telemetry"
        key = [(b"X-API-Key", self.device.key.encode())] if own else [(b"Authorization", self.token)]
        with socket.create_connection(self.address, timeout=20) as connection:
            with suppress(ConnectionResetError, BrokenPipeError):  # refused before all of it was sent
                connection.sendall(request.wire(key))
                if not request.framed:
                    connection.shutdown(socket.SHUT_WR)  # its body may never come to an end
            answer = _head(connection.recv)
        status = int(answer.split(None, 2)[1]) if answer else 0
        self.statuses[status] += 1
        if not status:
            print(
                "ZERO",
                request.method,
                request.target[:60],
                [(n, v[:30]) for n, v in request.headers][:4],
                len(request.body),
                request.framed,
            )
        return status


def _head(read: Callable[[int], bytes]) -> bytes:
    answer = b""
    with suppress(ConnectionResetError):  # the answer came, and what was still being sent is not read any more
        while chunk := read(65_536):
            answer = answer or chunk
    return answer


@pytest.fixture(scope="module")
def attacker(target: Service) -> Attacker:
    """Who attacks it."""
    return Attacker(target)


def resident_kb(pid: int) -> int:
    """Memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError(pid)


def assert_refused(attacker: Attacker, requests: Sequence[Hostile]) -> None:
    for request in requests:
        status = attacker.send(request)
        assert status == 0 or 200 <= status < 300 or 400 <= status < 500 or status == 304, (status, _brief(request))


def _brief(request: Hostile) -> Any:
    return request._replace(body=request.body[:200], target=request.target[:200])


@pytest.mark.slow
def test_ten_thousand_hostile_requests_leave_the_service_as_it_was(target: Service, attacker: Attacker) -> None:
    pid = target.pid
    assert_refused(attacker, corpus())  # warms up whatever grows once
    before_kb = resident_kb(pid)

    @settings(
        max_examples=GENERATED, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(REQUESTS)
    def fuzz(request: Hostile) -> None:
        assert_refused(attacker, [request])

    fuzz()
    assert_refused(attacker, corpus())
    assert attacker.statuses.total() >= 10_000
    assert attacker.statuses[0] < 200, attacker.statuses  # the front may hang up on what is no HTTP, not on more
    assert target.pid == pid
    assert target.nobody.get("/health").status == 200
    grown_kb = resident_kb(pid) - before_kb
    assert grown_kb < SLACK_KB
    assert "Traceback" not in target.log
    assert "met a bug" not in target.log


def test_the_service_still_works_for_others_afterwards(target: Service) -> None:
    device = target.device()
    assert device.client.post("/api/v1/devices/telemetry", {"data": {"t": 1}}).status == 201
    assert target.nobody.get("/api/v1/telemetry/status").json["ledger"]["balanced"] is True
