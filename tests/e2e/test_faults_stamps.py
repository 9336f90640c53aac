"""Server times run ahead of the clock in bursts: a process that replaces a killed one gives none of them again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, eventually
from tests.e2e.posting import NO_LIMITS, call, ledger, register

BATCH, BATCHES = 1000, 5


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with Instance(tmp_path / "var", NO_LIMITS) as running:
        yield running


def test_times_given_ahead_of_the_clock_are_not_given_again_after_a_kill(instance: Instance) -> None:
    """Five batches without times reach five seconds ahead; the restart takes one."""
    own = {"X-API-Key": register(instance.url, "burst").key}

    def send(first: int) -> None:
        readings = [{"data": {"number": number}} for number in range(first, first + BATCH)]
        status, answer = call(instance.url, "/api/v1/devices/telemetry", body={"readings": readings}, headers=own)
        assert (status, answer["readings"]) == (201, BATCH)

    for at in range(BATCHES):
        send(at * BATCH)
    assert instance.runs_again("front", instance.kill("front"))
    send(BATCHES * BATCH)
    total = (BATCHES + 1) * BATCH
    assert eventually(lambda: ledger(instance.url)["stored"] == total)
    _, found = call(instance.url, "/api/v1/devices/status", headers=own)
    assert found["device"]["telemetry_count"] == total
