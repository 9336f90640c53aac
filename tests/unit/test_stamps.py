"""Server times that differ, whatever the clock and the sender do."""

import pytest

from chalicelib.model import DeviceRef
from chalicelib.stamps import MAX_LEAD_MS, Stamps

NOW_MS = 1_800_000_000_000
DEVICE = DeviceRef("default", 1)


def times(stamps: Stamps, now_ms: int, count: int = 1) -> set[int]:
    """The milliseconds taken."""
    last_ms = stamps.take(DEVICE, now_ms, count)
    return set(range(last_ms - count + 1, last_ms + 1))


@pytest.mark.parametrize("back_s", [1, 2, 30, 300])
def test_clock_that_stepped_back_gives_no_time_twice(back_s: int) -> None:
    """A device that sends every second, then ten times as often."""
    stamps = Stamps()
    taken: list[int] = []
    for step in range(400):
        taken += times(stamps, NOW_MS + 1000 * step)
    for step in range(4000):
        taken += times(stamps, NOW_MS + 400_000 - 1000 * back_s + 100 * step)
    assert len(set(taken)) == len(taken)


def test_burst_of_full_batches_gives_no_time_twice() -> None:
    stamps = Stamps()
    taken = [ms for _ in range(100) for ms in times(stamps, NOW_MS, 1000)]
    assert len(set(taken)) == len(taken)


def test_clock_that_was_far_ahead_is_believed_once_it_is_right() -> None:
    """A day of readings with tomorrow's date would be worse than the few that may meet an old one."""
    stamps = Stamps()
    times(stamps, NOW_MS)
    assert times(stamps, NOW_MS - MAX_LEAD_MS - 1) == {NOW_MS - MAX_LEAD_MS - 1}
