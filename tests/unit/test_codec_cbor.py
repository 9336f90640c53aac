"""CBOR: the examples of RFC 8949 that SenML needs, what is refused, and that nothing else ever happens."""

import math
import struct
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cbor import decode
from chalicelib.errors import AppError, InvalidInput
from tests.unit.payloads import UNTIMED, found, outcome, send


def read(text: str) -> object:
    return decode(bytes.fromhex(text), max_depth=8, labels={-2: "bn", 0: "n", 2: "v"})


def head(kind: int, number: int) -> bytes:
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 24:
            return bytes([kind << 5 | number])
        if number < 1 << 8 * size:
            return bytes([kind << 5 | info]) + number.to_bytes(size)
    raise ValueError(number)


def encode(value: object) -> bytes:
    """Enough of an encoder to test the decoder with."""
    match value:
        case bool() | None:
            return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(encode, value))
        case dict():
            return head(5, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
        case _:
            raise TypeError(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("20", -1),
        ("3863", -100),
        ("3bffffffffffffffff", -(2**64)),
        ("f90000", 0.0),
        ("f93c00", 1.0),
        ("f97bff", 65504.0),
        ("f90001", 5.960464477539063e-8),
        ("f9c400", -4.0),
        ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1),
        ("fb7e37e43c8800759c", 1e300),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("f7", None),
        ("c48221196ab3", 273.15),
        ("d9d9f700", 0),
        ("60", ""),
        ("63c3bc6d", "üm"),
        ("4401020304", "AQIDBA"),
        ("80", []),
        ("83010203", [1, 2, 3]),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("a161610a", {"a": 10}),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("a221616100616e", {"bn": "a", "n": "n"}),
    ],
)
def test_cbor_item_is_read(text: str, value: object) -> None:
    assert read(text) == value


def test_cbor_keeps_the_sign_of_zero_and_infinities_for_the_caller_to_judge() -> None:
    assert math.copysign(1, float(str(read("f98000")))) == -1
    assert read("f97c00") == math.inf
    assert math.isnan(float(str(read("f97e00"))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "18",
        "1c",
        "61",
        "62c3",
        "61ff",
        "7f61616162ff",
        "5f4101ff",
        "82",
        "8201",
        "9f01",
        "ff",
        "9b7fffffffffffffff",
        "a1",
        "a10000a1",
        "a10500",
        "a1f500",
        "a18000",
        "bf6161ff",
        "0000",
        "c100",
        "c200",
        "c4820161",
        "c48201f5",
        "c400",
        "f0",
        "f8ff",
        "fc",
        "1f",
    ],
)
def test_cbor_that_is_malformed_or_foreign_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(text)
    assert caught.value.code == "malformed_cbor"


def test_cbor_key_twice_is_refused_and_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        read("a2616101616102")
    assert caught.value.field == "a"


@pytest.mark.parametrize("opening", ["81", "9f", "c4", "d9d9f7", "a16161", "bf6161"])
def test_cbor_nested_without_end_is_refused(opening: str) -> None:
    with pytest.raises(InvalidInput):
        read(opening * 100_000)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=30) | st.dictionaries(st.text(), children, max_size=30),
    max_leaves=20,
)


@UNTIMED
@given(json_like)
def test_cbor_is_read_back_as_it_was_written(value: object) -> None:
    assert decode(encode(value), max_depth=100, labels={}) == value


@UNTIMED
@given(st.binary(max_size=100))
def test_cbor_byte_strings_become_base64url(content: bytes) -> None:
    text = decode(head(2, len(content)) + content, max_depth=1, labels={})
    assert text == urlsafe_b64encode(content).rstrip(b"=").decode()


@UNTIMED
@given(st.binary(max_size=200), st.sampled_from(["application/cbor", "application/senml+cbor"]))
def test_any_bytes_as_cbor_are_readings_or_a_clear_refusal(payload: bytes, content_type: str) -> None:
    result = outcome(payload, content_type=content_type)
    assert result.status in {400, 403} if isinstance(result, AppError) else result


def test_plain_cbor_takes_the_shapes_of_json() -> None:
    assert found(encode({"data": {"t": 1.5}, "metadata": {"a": "b"}}), content_type="application/cbor") == [
        (0, {"t": 1.5, "meta_a": "b"})
    ]


@pytest.mark.parametrize("number", ["f97e00", "f97c00", "fbfff0000000000000", "1b8000000000000000"])
def test_cbor_numbers_that_cannot_be_stored_are_refused(number: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(bytes.fromhex("a16174" + number), content_type="application/cbor")
    assert caught.value.field == "t"
