"""Configuration values, each with its declared type."""

from typing import Any

import pytest

from chalicelib.configuration import MAX_CONFIG_ENTRIES, entry_text, inferred_entry, typed_entry, with_configuration
from chalicelib.errors import InvalidInput
from chalicelib.model import Device
from tests.builders import NOW_MS


@pytest.mark.parametrize(
    ("value", "data_type", "kept"),
    [
        ("x", "string", "x"),
        (5, "string", "5"),
        (2.5, "string", "2.5"),
        (True, "string", "true"),
        ("-7", "integer", -7),
        (7.0, "integer", 7),
        (str(2**63 - 1), "integer", 2**63 - 1),
        ("1e3", "float", 1000.0),
        (".5", "float", 0.5),
        (3, "float", 3.0),
        ("Yes", "boolean", True),
        (0, "boolean", False),
        (False, "boolean", False),
        ('[1, {"a": null}]', "json", [1, {"a": None}]),
        ({"a": 1}, "json", {"a": 1}),
        (None, "json", None),
    ],
)
def test_a_value_is_kept_in_its_type(value: Any, data_type: str, kept: Any) -> None:
    entry = typed_entry(value, data_type, now_ms=NOW_MS, field="f")
    assert (entry.value, entry.data_type, entry.updated_ms) == (kept, data_type, NOW_MS)
    assert type(entry.value) is type(kept)


@pytest.mark.parametrize(
    ("value", "data_type"),
    [
        (None, "string"),
        ([], "string"),
        (True, "integer"),
        (2.5, "integer"),
        ("1_000", "integer"),
        ("٣", "integer"),
        (" 1", "integer"),
        ("", "integer"),
        (2**63, "integer"),
        (1e300, "integer"),
        ([], "integer"),
        (True, "float"),
        ("nan", "float"),
        ("inf", "float"),
        ("1e999", "float"),
        ("1_0", "float"),
        (None, "float"),
        ("perhaps", "boolean"),
        (None, "boolean"),
        ("{", "json"),
        ("", "json"),
        ("[" * 50 + "]" * 50, "json"),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, data_type: str) -> None:
    with pytest.raises(InvalidInput, match=f"interval is not a valid {data_type}") as refusal:
        typed_entry(value, data_type, now_ms=NOW_MS, field="interval")
    assert refusal.value.field == "interval"


@pytest.mark.parametrize(
    ("value", "data_type"),
    [(True, "boolean"), (1, "integer"), (1.0, "float"), ("x", "string"), (None, "json"), ([1], "json"), ({}, "json")],
)
def test_a_value_without_a_type_has_that_of_its_form(value: Any, data_type: str) -> None:
    assert inferred_entry(value, now_ms=NOW_MS) == (value, data_type, NOW_MS)


@pytest.mark.parametrize(
    ("value", "text"), [("é", "é"), (1, "1"), (True, "true"), (None, "null"), ({"é": [1.5]}, '{"é": [1.5]}')]
)
def test_a_value_as_text(value: Any, text: str) -> None:
    assert entry_text(inferred_entry(value, now_ms=NOW_MS)) == text


def test_entries_are_merged_up_to_a_limit() -> None:
    device = Device(name="d", device_type="t", id=1, created_ms=NOW_MS, updated_ms=NOW_MS)
    first = with_configuration(device, {"a": inferred_entry(1, now_ms=1), "b": inferred_entry(2, now_ms=1)})
    second = with_configuration(first, {"b": inferred_entry(3, now_ms=2)})
    assert {key: entry.value for key, entry in second.configuration.items()} == {"a": 1, "b": 3}
    assert device.configuration == {}
    many = {f"k{number}": inferred_entry(number, now_ms=1) for number in range(MAX_CONFIG_ENTRIES)}
    full = with_configuration(device, many)
    assert len(with_configuration(full, {"k0": inferred_entry(9, now_ms=2)}).configuration) == MAX_CONFIG_ENTRIES
    with pytest.raises(InvalidInput) as refusal:
        with_configuration(full, {"one more": inferred_entry(1, now_ms=1)})
    assert (refusal.value.field, refusal.value.limit) == ("configuration", str(MAX_CONFIG_ENTRIES))
