"""One reading that no store can keep is named, with its reason, and its neighbours pass."""

import pytest

from chalicelib.model import MAX_INT64, MIN_INT64, DeviceRef, Reading, Value
from chalicelib.storable import find_flaw, sift

DEVICE = DeviceRef("default", 1)


@pytest.mark.parametrize("value", [True, 0, MAX_INT64, MIN_INT64, -0.0, 1.7e308, "", "nul\0", "Ä🌡️"], ids=repr)
def test_every_value_of_the_model_can_be_stored(value: Value) -> None:
    assert find_flaw(Reading(DEVICE, 1, {"m": value})) is None


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (Reading(DEVICE, 1, {"m": float("nan")}), "'m' has a number that is not finite"),
        (Reading(DEVICE, 1, {"ok": 1, "m": float("inf")}), "'m' has a number that is not finite"),
        (Reading(DEVICE, 1, {"m": MIN_INT64 - 1}), "'m' has an integer that does not fit in 64 bits"),
        (Reading(DEVICE, 1, {"m": "\ud800"}), "'m' has text that is not valid Unicode"),
        (Reading(DEVICE, 1, {"\ud800": 1}), "'\\ud800' has a name that is not valid Unicode"),
        (Reading(DEVICE, 1, {}), "the reading has no values"),
        (Reading(DEVICE, 2**63, {"m": 1}), "the timestamp does not fit in 64 bits"),
    ],
)
def test_a_flaw_is_told_in_words_that_can_be_printed(reading: Reading, reason: str) -> None:
    assert find_flaw(reading) == reason
    assert reason.isascii()


def test_sift_keeps_the_order_and_names_the_place() -> None:
    good = [Reading(DEVICE, n, {"m": n}) for n in range(3)]
    bad = Reading(DEVICE, 9, {})
    kept, rejected = sift([good[0], bad, good[1], bad, good[2]])
    assert kept == good
    assert [one.position for one in rejected] == [1, 3]
