"""Desired and reported state: merge patches as the RFC has them, and what differs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import twin
from chalicelib.adapters.memory_commands import MemoryTwins
from chalicelib.errors import Conflict, TooLarge
from chalicelib.model import DeviceRef, Twin
from tests.builders import NOW_MS

DEVICE = DeviceRef("default", 1)
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab", max_size=2)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [({"a": "b"}, {"a": "c"}, {"a": "c"}), ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}), ({"a": 1}, {"a": None}, {}),
     ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}), ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
     ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}), ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
     ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}), (["a", "b"], ["c", "d"], ["c", "d"]), ({"a": "b"}, ["c"], ["c"]),
     ({"a": "foo"}, None, None), ({"a": "foo"}, "bar", "bar"), ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
     ([1, 2], {"a": "b", "c": None}, {"a": "b"}), ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}})],
)  # fmt: skip
def test_a_patch_merges_as_in_the_appendix_of_the_rfc(target: Any, patch: Any, merged: Any) -> None:
    assert twin.merge_patch(target, patch) == merged


def has_null(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and any(map(has_null, value.values())))


@given(OBJECTS, OBJECTS)
def test_a_patch_applied_twice_is_a_patch_applied_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = twin.merge_patch(target, patch)
    assert twin.same(twin.merge_patch(once, patch), once)


@given(OBJECTS.filter(lambda state: not has_null(state)), OBJECTS)
def test_a_device_that_reports_the_delta_has_none_afterwards(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    """Which is how a device clears it; desired state never holds null, a patch deletes by it."""
    told = twin.merge_patch(reported, twin.delta(desired, reported))
    assert twin.delta(desired, told) == {}


@given(OBJECTS)
def test_what_is_reported_as_desired_differs_in_nothing(desired: dict[str, Any]) -> None:
    assert twin.delta(desired, desired) == {}
    assert twin.same(twin.delta(desired, {}), desired)


@pytest.mark.parametrize(
    ("desired", "reported", "differing"),
    [({"a": 1}, {"a": 1.0}, {}), ({"a": 1}, {"a": True}, {"a": 1}), ({"a": 0}, {"a": False}, {"a": 0}),
     ({"a": [1]}, {"a": [1, 2]}, {"a": [1]}), ({"a": [True]}, {"a": [1]}, {"a": [True]}), ({}, {"a": 1}, {}),
     ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}, {"a": {"c": 2}}), ({"a": {}}, {}, {"a": {}}),
     ({"a": {"b": 1}}, {"a": 5}, {"a": {"b": 1}})],
)  # fmt: skip
def test_the_delta_has_the_desired_leaves_that_differ(desired: Any, reported: Any, differing: Any) -> None:
    found = twin.delta(desired, reported)
    assert twin.same(found, differing), found


def test_both_sides_are_merged_and_each_change_is_a_version() -> None:
    twins = MemoryTwins()
    twin.desire(DEVICE, {"interval_s": 30, "led": {"on": True}}, twins=twins, now_ms=NOW_MS)
    twin.report(DEVICE, {"interval_s": 60}, twins=twins, now_ms=NOW_MS + 1)
    newest = twin.desire(DEVICE, {"led": None}, twins=twins, now_ms=NOW_MS + 2)
    assert newest == Twin(
        device=DEVICE,
        desired={"interval_s": 30},
        reported={"interval_s": 60},
        version=3,
        desired_updated_ms=NOW_MS + 2,
        reported_updated_ms=NOW_MS + 1,
    )
    assert twin.message(newest) == {
        "version": 3,
        "config": {"interval_s": 30},
        "delta": {"interval_s": 30},
        "timestamp": "2027-01-15T08:00:00.002Z",
    }
    assert twins.get(DEVICE) == newest


def test_a_change_of_nothing_is_no_version() -> None:
    """A device that reports the same every minute wakes nobody."""
    twins = MemoryTwins()
    first = twin.report(DEVICE, {"a": 1, "b": None}, twins=twins, now_ms=NOW_MS)
    assert twin.report(DEVICE, {"a": 1.0}, twins=twins, now_ms=NOW_MS + 9) == first
    assert twin.desire(DEVICE, {"c": None}, twins=twins, now_ms=NOW_MS + 9) == first
    assert twin.report(DEVICE, {"a": True}, twins=twins, now_ms=NOW_MS + 9).version == 2


@pytest.mark.parametrize("change", [twin.desire, twin.report])
def test_a_stale_version_is_refused(change: Any) -> None:
    twins = MemoryTwins()
    change(DEVICE, {"a": 1}, twins=twins, now_ms=NOW_MS, version=0)
    for version in (0, 2):
        with pytest.raises(Conflict) as refused:
            change(DEVICE, {"a": 2}, twins=twins, now_ms=NOW_MS, version=version)
        assert (refused.value.code, refused.value.field) == ("stale_version", "version")
    assert change(DEVICE, {"a": 2}, twins=twins, now_ms=NOW_MS, version=1).version == 2


@pytest.mark.parametrize("change", [twin.desire, twin.report])
def test_state_of_more_than_8_kb_is_refused_with_the_limit(change: Any) -> None:
    twins = MemoryTwins()
    fits = "x" * (twin.MAX_STATE_BYTES - len('{"a":""}'))
    change(DEVICE, {"a": fits}, twins=twins, now_ms=NOW_MS)
    for patch in ({"a": fits + "x"}, {"b": 1}, {"a": "é" * (twin.MAX_STATE_BYTES // 2)}):
        with pytest.raises(TooLarge) as refused:
            change(DEVICE, patch, twins=twins, now_ms=NOW_MS)
        assert refused.value.limit == "8 kB"
        assert "8 kB" in refused.value.message
    assert twins.get(DEVICE).version == 1


class Rival(MemoryTwins):
    """Somebody else is always faster, a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def put(self, changed: Twin) -> Twin:
        if self.times > 0:
            self.times -= 1
            super().put(Twin(device=DEVICE, desired={"rival": self.times}, version=self.get(DEVICE).version))
        return super().put(changed)


def test_a_change_without_a_version_is_applied_to_the_newest() -> None:
    changed = twin.desire(DEVICE, {"mine": 1}, twins=Rival(twin.UPDATE_TRIES - 1), now_ms=NOW_MS)
    assert changed.desired == {"rival": 0, "mine": 1}


def test_a_twin_that_never_stands_still_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        twin.desire(DEVICE, {"mine": 1}, twins=Rival(twin.UPDATE_TRIES), now_ms=NOW_MS)
