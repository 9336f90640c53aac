"""Rate limits, at limits that a test can reach; and the defaults, which must let fleets through."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.client import Answer
from tests.api.service import Service, running

SEND = "/api/v1/devices/telemetry"
BODY = {"data": {"t": 1}}
LOW = {
    "IOTFLOW_REGISTRATIONS_PER_MINUTE": "5",
    "IOTFLOW_FAILED_AUTH_PER_MINUTE": "5",
    "IOTFLOW_DEVICE_BURST": "5",
    "RATE_LIMIT_PER_MINUTE": "60",
}


@pytest.fixture
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with low limits."""
    with running(tmp_path_factory.mktemp("strict"), consume=False, **LOW) as one:
        yield one


def until_refused(call: Any, most: int = 40) -> tuple[list[Answer], Answer]:
    """Answers that came through, and the first 429."""
    passed: list[Answer] = []
    while (answer := call()).status != 429:
        passed.append(answer)
        assert len(passed) < most
    return passed, answer


def assert_told(answer: Answer, limit: int) -> None:
    """A refusal says how much, and when again."""
    body = answer.json
    assert (answer.code, body["limit"]) == ("too_many_requests", str(limit))
    assert body["retry_after"] >= 1
    assert body["window"] >= 1
    assert answer.headers["retry-after"] == str(body["retry_after"])
    assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == (str(limit), "0")
    assert int(answer.headers["ratelimit-reset"]) >= 1
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_device_that_sends_too_much_is_told_when_to_come_back(strict: Service) -> None:
    device, other = strict.device(), strict.device()
    passed, refused = until_refused(lambda: device.client.post(SEND, BODY))
    assert 5 <= len(passed) <= 8
    assert [answer.headers["ratelimit-remaining"] for answer in passed][:5] == ["4", "3", "2", "1", "0"]
    assert passed[0].headers["ratelimit-limit"] == "5"
    assert int(passed[0].headers["ratelimit-reset"]) >= 1
    assert_told(refused, 5)
    assert refused.json["retry_after"] == 1
    assert device.client.post("/api/v1/devices/heartbeat").status == 429
    assert device.client.get("/api/v1/devices/status").status == 200
    assert other.client.post(SEND, BODY).status == 201


def test_registrations_are_limited_by_address(strict: Service) -> None:
    names = iter(range(100))
    passed, refused = until_refused(
        lambda: strict.nobody.post("/api/v1/devices/register", {"name": f"d{next(names)}", "device_type": "t"})
    )
    assert {answer.status for answer in passed} == {201}
    assert len(passed) == 5
    assert_told(refused, 5)
    assert refused.json["window"] == 60


def test_guessing_credentials_is_limited_but_does_not_lock_out_who_has_one(strict: Service) -> None:
    device = strict.device()
    guess = strict.nobody.with_key("iotf_dev_aaaaaaaaaaaa_" + "a" * 32)
    passed, refused = until_refused(lambda: guess.get("/api/v1/devices/status"))
    assert {answer.status for answer in passed} == {401}
    assert len(passed) == 5
    assert_told(refused, 5)
    assert device.client.get("/api/v1/devices/status").status == 200
    assert strict.admin.get("/api/v1/admin/stats").status == 200


def test_the_defaults_let_a_fleet_through(tmp_path_factory: pytest.TempPathFactory) -> None:
    """40 registrations at once from one address, and 10 messages a second of one device for a minute's burst."""
    defaults = dict.fromkeys(LOW, "")
    with running(tmp_path_factory.mktemp("defaults"), consume=False, **defaults) as usual:
        fleet = [
            usual.nobody.post("/api/v1/devices/register", {"name": f"d{number}", "device_type": "t"})
            for number in range(40)
        ]
        assert {answer.status for answer in fleet} == {201}
        device = usual.nobody.with_key(fleet[0].json["device"]["api_key"])
        assert {device.post(SEND, BODY).status for _ in range(150)} == {201}
