"""The queue message: an exact round trip, and no other text is taken for one."""

import json
import math
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.codec import batch_to_json, batches_from_json, joined
from chalicelib.errors import InvalidInput
from chalicelib.model import MAX_INT64, MIN_INT64, Batch, DeviceRef, Reading, Value
from tests.unit.payloads import UNTIMED

DEVICE = DeviceRef("default", 42)
BATCH = Batch(DEVICE, 1_751_553_000_000, (Reading(DEVICE, 1_751_553_000_001, {"t": 1.5}),))

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.booleans() | st.integers(MIN_INT64, MAX_INT64) | st.floats(allow_nan=False, allow_infinity=False) | texts
readings = st.builds(
    Reading, st.just(DEVICE), st.integers(MIN_INT64, MAX_INT64), st.dictionaries(texts, values, min_size=1, max_size=5)
)
batches = st.builds(
    Batch, st.just(DEVICE), st.integers(0, MAX_INT64), st.lists(readings, min_size=1, max_size=6).map(tuple)
)


def only(text: str) -> Batch:
    """The one batch of a message."""
    (batch,) = batches_from_json(text)
    return batch


def exact(value: Value) -> tuple[str, str]:
    """Tells what equality does not: 1 from True and 1.0, and the sign of zero."""
    return type(value).__name__, repr(value)


@UNTIMED
@given(batches)
def test_batch_is_read_back_exactly(batch: Batch) -> None:
    again = only(batch_to_json(batch))
    assert again == batch
    assert type(again.device) is DeviceRef
    for left, right in zip(again.readings, batch.readings, strict=True):
        assert type(left.device) is DeviceRef
        assert {name: exact(value) for name, value in left.values.items()} == {
            name: exact(value) for name, value in right.values.items()
        }


@UNTIMED
@given(batches)
def test_message_is_plain_ascii(batch: Batch) -> None:
    """SQS refuses some characters of Unicode."""
    assert batch_to_json(batch).isascii()


def test_message_is_compact_and_says_its_version() -> None:
    assert batch_to_json(BATCH) == '[1,["default",42],1751553000000,[[1751553000001,{"t":1.5}]]]'


def test_values_may_be_any_mapping() -> None:
    reading = Reading(DEVICE, 1, MappingProxyType({"t": 1}))
    assert only(batch_to_json(Batch(DEVICE, 1, (reading,)))).readings[0].values == {"t": 1}


def test_value_that_is_not_finite_is_a_bug_here() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        batch_to_json(Batch(DEVICE, 1, (Reading(DEVICE, 1, {"t": math.nan}),)))


def test_newer_version_is_told_as_such() -> None:
    with pytest.raises(InvalidInput, match="version 3") as caught:
        batches_from_json('[3,["default",42],0,[[0,{"t":1}]]]')
    assert caught.value.code == "unknown_version"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        "[]",
        "poison",
        '{"version":1}',
        "[" * 100_000,
        "9" * 5000,
        '[true,["default",42],0,[[0,{"t":1}]]]',
        '["1",["default",42],0,[[0,{"t":1}]]]',
        '[1,["default",true],0,[[0,{"t":1}]]]',
        '[1,["default","42"],0,[[0,{"t":1}]]]',
        '[1,[42,"default"],0,[[0,{"t":1}]]]',
        '[1,42,0,[[0,{"t":1}]]]',
        '[1,["default",42],0.5,[[0,{"t":1}]]]',
        '[1,["default",42],0,[]]',
        '[1,["default",42],0,{}]',
        '[1,["default",42],0,[0]]',
        '[1,["default",42],0,[[0]]]',
        '[1,["default",42],0,[[0,{}]]]',
        '[1,["default",42],0,[["0",{"t":1}]]]',
        '[1,["default",42],0,[[true,{"t":1}]]]',
        '[1,["default",42],0,[[0,{"t":null}]]]',
        '[1,["default",42],0,[[0,{"t":[1]}]]]',
        '[1,["default",42],0,[[0,{"t":NaN}]]]',
        '[1,["default",42],0,[[0,{"t":1e999}]]]',
        '[1,["default",42],0,[[0,{"t":9223372036854775808}]]]',
        '[1,["default",42],0,[[0,{"t":"\\ud800"}]]]',
        '[1,["default",42],0,[[0,{"t\\u0000":1}]]]',
        "[2]",
        "[2,[]]",
        "[2,[1]]",
        '[2,[[1,["default",42],0,[[0,{"t":1}]]]],0]',
        '[2,[[true,["default",42],0,[[0,{"t":1}]]]]]',
        '[2,[[2,[[1,["default",42],0,[[0,{"t":1}]]]]]]]',
    ],
)
def test_text_that_is_no_batch_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        batches_from_json(text)


@UNTIMED
@given(st.lists(batches, min_size=1, max_size=4))
def test_joined_messages_are_read_back_in_order(several: list[Batch]) -> None:
    assert batches_from_json(joined([batch_to_json(batch) for batch in several])) == tuple(several)


@UNTIMED
@given(st.data())
def test_damaged_message_is_refused_or_still_a_batch(data: st.DataObject) -> None:
    text = batch_to_json(BATCH)
    position = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:position] + data.draw(st.text(max_size=2)) + text[position + 1 :]
    try:
        batch = only(damaged)
    except InvalidInput:
        return
    assert json.loads(batch_to_json(batch)) == json.loads(damaged)


HOSTILE = ["1e999", "-1e999", "1e308", "9223372036854775808", "-9223372036854775809", "1", "0.5", "true", '"x"']
HOSTILE += ['"\\u0000"', '"\\ud800"', '"\0"', "null", "[]", "{}", '"é"']


@given(st.lists(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3), min_size=3, max_size=6))
def test_readings_are_judged_alike_together_and_one_by_one(rows: list[list[str]]) -> None:
    """An escape anywhere has every value looked at: the text of one reading more must not change the others' fate."""

    def message(extra: str) -> str:
        listed = [", ".join(f'"n{at}": {value}' for at, value in enumerate(row)) for row in [*rows, [extra]]]
        readings = ", ".join(f"[{at}, {{{values}}}]" for at, values in enumerate(listed))
        return f'[1, ["default", 42], 7, [{readings}]]'

    outcomes = []
    for extra in ('"plain"', '"\\u0041"'):
        try:
            outcomes.append([tuple(one[1:]) for one in only(message(extra)).readings[:-1]])
        except InvalidInput as error:
            outcomes.append([(error.code,)])
    assert repr(outcomes[0]) == repr(outcomes[1])
