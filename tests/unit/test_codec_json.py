"""Strict JSON for every other body: nothing is bent, every refusal names its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.codec import parse_json
from chalicelib.errors import InvalidInput, TooLarge
from tests.unit.payloads import UNTIMED


def parse(payload: bytes) -> object:
    return parse_json(payload, max_bytes=1000, max_depth=4)


def test_json_is_parsed_exactly() -> None:
    payload = b'{"a": [1, -0.0, true, null, "\\ud83d\\ude00"], "b": {"c": 9223372036854775807}}'
    assert parse(payload) == {"a": [1, -0.0, True, None, "😀"], "b": {"c": 9223372036854775807}}
    assert parse(b" 5 ") == 5


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b'{"a": [0, {"b": 1e999}]}', "a.1.b"),
        (b'{"a": [9223372036854775808]}', "a.0"),
        (b'{"a": "\\u0000"}', "a"),
        (b'{"a": {"b\\udfff": 1}}', "a.b\\udfff"),
        (b'{"a": {"b": 1, "b": 1}}', "b"),
        (b"1e999", ""),
    ],
)
def test_value_that_cannot_be_kept_is_refused_and_named(payload: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(payload)
    assert caught.value.field == field


def test_place_of_a_syntax_error_is_told() -> None:
    with pytest.raises(InvalidInput, match="line 2, column 3") as caught:
        parse(b'{"a": 1\n  "b": 2}')
    assert caught.value.code == "malformed_json"


def test_size_and_depth_are_limited() -> None:
    assert parse(b"[[[[1]]]]") == [[[[1]]]]
    with pytest.raises(InvalidInput) as caught:
        parse(b"[[[[[1]]]]]")
    assert caught.value.limit == "4 levels"
    assert parse(b"1".ljust(1000)) == 1
    with pytest.raises(TooLarge) as caught:
        parse(b"1".ljust(1001))
    assert caught.value.limit == "1000 bytes"


def test_many_keys_with_one_twice_are_refused_quickly() -> None:
    """The search for the culprit must not be quadratic: this body would take a minute."""
    body = "{" + ",".join(f'"{number}":0' for number in range(100_000)) + ',"99999":0}'
    with pytest.raises(InvalidInput) as caught:
        parse_json(body.encode(), max_bytes=10**7, max_depth=4)
    assert caught.value.field == "99999"


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda children: st.lists(children, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), children, max_size=4),
    max_leaves=20,
)  # fmt: skip


@UNTIMED
@given(plain, st.booleans())
def test_whatever_can_be_stored_is_parsed_as_it_was_written(document: object, ascii_only: bool) -> None:
    payload = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert parse_json(payload, max_bytes=10**6, max_depth=100) == document
