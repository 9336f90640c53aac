"""Strict JSON for every other body: nothing is bent, every refusal names its place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import strict_json
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


TOKENS = [
    *("{", "}", "[", "]", ",", ":", '"a"', '"b"', '"a:b"', '"\\u0061"', '"é"', '"\\ud800"', '"\\ud83d\\ude00"', '""'),
    *("0", "-0", "-0.0", "1", "01", "1.", ".5", "1e5", "1E+5", "-1e-400", "1e400", "0.30000000000000004", "4.9e-324"),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "9" * 40,
        "9" * 5000,
    ),
    *(
        "true",
        "false",
        "null",
        "NaN",
        "Infinity",
        "-Infinity",
        " ",
        "\n",
        "\t",
        "\x0b",
        "\ufeff",
        '"\x00"',
        '"\x1f"',
        "x",
    ),
]
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4)
documents = st.recursive(
    scalars, lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=3), each, max_size=4)
)
payloads = (
    st.binary(max_size=40)
    | st.lists(st.sampled_from(TOKENS), max_size=12).map(lambda tokens: "".join(tokens).encode())
    | documents.map(lambda document: json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.lists(st.tuples(st.sampled_from(["a", "b", "c:d"]), scalars), max_size=4).map(
        lambda pairs: ("{" + ",".join(f'"{key}":{json.dumps(value)}' for key, value in pairs) + "}").encode()
    )
)


@settings(UNTIMED, max_examples=2000)
@given(payloads)
def test_fast_parser_is_only_believed_where_it_agrees_with_the_strict_one(payload: bytes) -> None:
    """`repr` tells 1 from 1.0 and True, and the sign of zero."""
    quickly = strict_json._quickly(payload)
    if quickly is not strict_json._DOUBT:
        assert repr(quickly) == repr(strict_json._carefully(payload, max_depth=8))


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("frame", ["%s", '{"k": %s}', "[%s]", '{%s: 1, "a": 2}'])
def test_fast_parser_agrees_on_every_token_or_doubts(token: str, frame: str) -> None:
    payload = (frame % token).encode()
    quickly = strict_json._quickly(payload)
    if quickly is not strict_json._DOUBT:
        assert repr(quickly) == repr(strict_json._carefully(payload, max_depth=8))


def test_common_payload_is_read_by_the_fast_parser() -> None:
    """Else it would be there for nothing."""
    assert strict_json._quickly(b'{"data":{"t":20.5,"ok":true},"timestamp":1767225600123}') is not strict_json._DOUBT
    assert strict_json._quickly(b'{"data":{"t":1,"t":2}}') is strict_json._DOUBT
