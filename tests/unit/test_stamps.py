"""Server times that differ for each reading of a device."""

from hypothesis import given
from hypothesis import strategies as st

from chalicelib import stamps
from chalicelib.model import DEFAULT_TENANT, DeviceRef
from chalicelib.stamps import MAX_LEAD_MS, Stamps

DEVICE, OTHER = DeviceRef(DEFAULT_TENANT, 1), DeviceRef(DEFAULT_TENANT, 2)
NOW_MS = 1_000_000


def test_a_device_that_sends_rarely_gets_the_clock() -> None:
    given_ms = Stamps()
    assert [given_ms.take(DEVICE, NOW_MS + at) for at in (0, 10, 20)] == [NOW_MS, NOW_MS + 10, NOW_MS + 20]


def test_readings_of_the_same_millisecond_get_different_times() -> None:
    given_ms = Stamps()
    assert [given_ms.take(DEVICE, NOW_MS) for _ in range(3)] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]
    assert given_ms.take(OTHER, NOW_MS) == NOW_MS


def test_a_batch_takes_as_many_as_it_needs() -> None:
    given_ms = Stamps()
    assert given_ms.take(DEVICE, NOW_MS, 10) == NOW_MS
    assert given_ms.take(DEVICE, NOW_MS + 5, 10) == NOW_MS + 10


def test_a_clock_that_stepped_back_far_is_believed() -> None:
    given_ms = Stamps()
    given_ms.take(DEVICE, NOW_MS)
    assert given_ms.take(DEVICE, NOW_MS - 500) == NOW_MS + 1
    assert given_ms.take(DEVICE, NOW_MS - MAX_LEAD_MS - 10) == NOW_MS - MAX_LEAD_MS - 10


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30)), max_size=30))
def test_no_two_readings_share_a_time_while_the_clock_runs(steps: list[tuple[int, int]]) -> None:
    given_ms, now_ms, seen = Stamps(), NOW_MS, set[int]()
    for step_ms, count in steps:
        now_ms += step_ms
        last_ms = given_ms.take(DEVICE, now_ms, count)
        taken = set(range(last_ms - count + 1, last_ms + 1))
        assert not taken & seen or last_ms == now_ms
        assert last_ms - now_ms <= MAX_LEAD_MS
        seen |= taken


def test_devices_that_were_not_heard_of_lately_are_forgotten() -> None:
    given_ms = Stamps()
    for number in range(stamps.MAX_DEVICES):
        given_ms.take(DeviceRef(DEFAULT_TENANT, number), NOW_MS)
    assert given_ms.take(DeviceRef(DEFAULT_TENANT, -1), NOW_MS + 1) == NOW_MS + 1
    assert given_ms.take(DEVICE, NOW_MS) == NOW_MS


def test_who_goes_on_with_anothers_work_gives_only_later_times() -> None:
    first, second = Stamps(), Stamps()
    for _ in range(300):  # a burst: its times run ahead of the clock
        first.take(DEVICE, NOW_MS)
    assert first.newest_ms == NOW_MS + 299
    second.take(DEVICE, NOW_MS - 10)
    second.start_after(first.newest_ms)
    assert [second.take(device, NOW_MS) for device in (DEVICE, OTHER, DEVICE)] == [
        NOW_MS + at for at in (300, 300, 301)
    ]
    second.start_after(NOW_MS)
    assert second.take(OTHER, NOW_MS) == NOW_MS + 301


def test_times_far_ahead_of_the_clock_are_kept_before_they_are_given() -> None:
    kept: list[int] = []
    given_ms, latest_ms = Stamps(kept.append), 0
    for _ in range(5):
        latest_ms = given_ms.take(DEVICE, NOW_MS, 1000)
        if latest_ms > NOW_MS + stamps.SAFE_LEAD_MS:
            assert kept[-1] >= latest_ms
    successor = Stamps()
    successor.start_after(kept[-1])
    assert successor.take(DEVICE, NOW_MS + 50) > latest_ms


def test_times_by_the_clock_are_not_kept() -> None:
    kept: list[int] = []
    given_ms = Stamps(kept.append)
    for at in range(1000):
        given_ms.take(DEVICE, NOW_MS + 50 * at, 50)
        given_ms.take(OTHER, NOW_MS + 50 * at)
    assert kept == []


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 500)), min_size=1), st.integers(0, 200))
def test_no_time_is_given_twice_by_a_successor(calls: list[tuple[int, int]], restart_ms: int) -> None:
    """Whatever was given before, a process that starts no sooner than one can gives later times only."""
    kept = [0]
    first = Stamps(kept.append)
    now_ms = NOW_MS
    latest_ms = 0
    for pause_ms, count in calls:
        now_ms += pause_ms
        latest_ms = first.take(DEVICE, now_ms, count)
    successor = Stamps()
    successor.start_after(kept[-1])
    now_ms += stamps.SAFE_LEAD_MS + restart_ms + 1
    assert successor.take(DEVICE, now_ms) > latest_ms
