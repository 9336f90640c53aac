"""The machine's clock steps back in mid-load: nothing is lost, doubled, hidden or locked out for it."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, eventually
from tests.e2e.load import Fleet
from tests.e2e.posting import NO_LIMITS

LOAD_S = 2.2
"""Before the step, and after it: longer than the smaller step."""


class Clock:
    """The wall clock of an instance.

    Args:
        file: Where its processes look.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.environment = {
            "PYTHONPATH": str(Path(__file__).with_name("stepping_clock")),
            "STEPPING_CLOCK": str(file),
        }
        file.write_bytes(bytes(8))

    def step_back(self, seconds: int) -> None:
        """Set it to so many seconds before the true time."""
        with self._file.open("rb+") as file:
            file.write(struct.pack("q", -seconds * 1_000_000_000))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """At the true time."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def instance(tmp_path: Path, clock: Clock) -> Iterator[Instance]:
    """All its processes follow the clock."""
    with Instance(tmp_path / "var", {**NO_LIMITS, **clock.environment}) as running:
        yield running


@pytest.mark.parametrize("seconds", [2, 3600])
def test_clock_that_steps_back_in_mid_load_loses_nothing(instance: Instance, clock: Clock, seconds: int) -> None:
    """Two seconds: the server's time is one that it has given to readings before. An hour: messages are in flight."""
    with Fleet(instance.url) as fleet:
        assert goes_on(fleet)
        clock.step_back(seconds)
        assert goes_on(fleet)
    fleet.assert_kept()


def goes_on(fleet: Fleet) -> bool:
    """Whether the load works, for as long as it takes to give out the times that a step back meets."""
    end_s = time.monotonic() + LOAD_S
    return fleet.sends() and eventually(lambda: time.monotonic() > end_s)
