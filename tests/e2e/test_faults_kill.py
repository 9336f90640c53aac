"""kill -9 in mid-load: what was answered with 201 is stored exactly once, and the ledger says so."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, is_alive
from tests.e2e.load import Fleet
from tests.e2e.posting import NO_LIMITS

ROUNDS = 3


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """Gives what a killed consumer held to the next one after a second."""
    with Instance(tmp_path / "var", {**NO_LIMITS, "IOTFLOW_VISIBILITY_SECONDS": "1"}) as running:
        yield running


def kill_one(name: str) -> Callable[[Instance], None]:
    """Kill a process, and wait for its successor."""

    def strike(instance: Instance) -> None:
        assert instance.runs_again(name, instance.kill(name))

    return strike


def kill_supervisor(instance: Instance) -> None:
    """Kill it; its processes end by themselves, and the operator starts it anew."""
    instance.kill("supervisor")
    instance.up()


def kill_everything(instance: Instance) -> None:
    """As a power cut does, but for the disk's cache."""
    pids = [pid for name in instance.pids if (pid := instance.pid(name)) is not None]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    instance.up()
    assert not any(map(is_alive, pids))


STRIKES = {
    "front": kill_one("front"),
    "consumer": kill_one("consumer"),
    "supervisor": kill_supervisor,
    "everything": kill_everything,
}


@pytest.mark.parametrize("victim", STRIKES)
def test_kill_in_mid_load_loses_nothing_and_doubles_nothing(instance: Instance, victim: str) -> None:
    with Fleet(instance.url) as fleet:
        for _ in range(ROUNDS):
            assert fleet.sends()
            STRIKES[victim](instance)
        assert fleet.sends()
    fleet.assert_kept()
