"""What the codec lets through: limits, exactness, and that hostile bodies only ever meet a clear refusal."""

import json
import math
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.codec import readings_from_payload, row_from_reading
from chalicelib.errors import InvalidInput, TooLarge, WrongType
from chalicelib.model import MAX_INT64, MIN_INT64, Reading, Value
from tests.unit.payloads import DEVICE, DEVICE_NAME, LIMITS, NOW_MS, UNTIMED, found, send


@pytest.mark.parametrize(
    "value",
    [MAX_INT64, MIN_INT64, 0, -0.0, 5e-324, sys.float_info.max, 2**53 + 1, True, False, "", "é", "😀", "a" * 4096],
)
def test_value_is_kept_exactly(value: Value) -> None:
    [(_, values)] = found({"data": {"v": value}})
    assert type(values["v"]) is type(value)
    assert values["v"] == value
    assert not isinstance(value, float) or math.copysign(1, value) == math.copysign(1, float(values["v"]))


@pytest.mark.parametrize("name", ["a", "a" * 64, "é" * 64, "temp.c", "a b", "`", "time", "ROOT", "1", ".", "\n", "😀"])
def test_name_is_kept_as_it_was_sent(name: str) -> None:
    assert found({"data": {name: 1}}) == [(0, {name: 1})]


def test_null_is_dropped_and_empty_readings_with_it() -> None:
    body = {"readings": [{"data": {"a": None, "b": 1}}, {"data": {"a": None, "c": {}, "d": []}}, {"data": {}}]}
    assert found(body) == [(-2, {"b": 1})]


@pytest.mark.parametrize("body", [{}, [], {"data": {}}, {"data": {"a": None}}, {"readings": []}, [{}], {"values": {}}])
def test_body_without_any_value_is_refused(body: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(body)
    assert caught.value.field == "data"


BAD_JSON: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" ",
    "not JSON": b"temperature=5",
    "cut short": b'{"data": {"a": 1}',
    "two documents": b'{"a": 1} {"b": 2}',
    "trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "NaN": b'{"data": {"a": NaN}}',
    "Infinity": b'{"data": {"a": Infinity}}',
    "-Infinity": b'{"data": {"a": -Infinity}}',
    "NaN out of the way": b'{"data": {"a": 1}, "other": NaN}',
    "5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "deep arrays": b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "100000 openings": b"[" * 100_000,
    "100000 objects opened": b'{"a":' * 100_000,
    "key twice": b'{"data": {"a": 1, "a": 2}}',
    "key twice outside": b'{"data": {"a": 1}, "data": {"a": 2}}',
    "key twice in the other spelling": b'{"data": {"a": 1, "\\u0061": 2}}',
    "UTF-16": '{"data": {"a": 1}}'.encode("utf-16"),
    "UTF-16 without mark": '{"data": {"a": 1}}'.encode("utf-16-le"),
    "UTF-32": '{"data": {"a": 1}}'.encode("utf-32"),
    "byte order mark": b'\xef\xbb\xbf{"data": {"a": 1}}',
    "Latin-1": '{"data": {"a": "é"}}'.encode("latin-1"),
    "surrogate in UTF-8": b'{"data": {"a": "\xed\xa0\x80"}}',
    "overlong": b'{"data": {"a": "\xc0\x80"}}',
    "raw control character": b'{"data": {"a": "\x00"}}',
    "raw new line in a name": b'{"data": {"a\n": 1}}',
}


@pytest.mark.parametrize("payload", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_body_that_is_not_strict_json_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(payload)
    assert caught.value.status in {400, 413}
    assert caught.value.message.encode()


BAD_VALUES: dict[str, tuple[bytes, str]] = {
    "overflow": (b'{"data": {"v": 1e999}}', "v"),
    "negative overflow": (b'{"data": {"v": -1e999}}', "v"),
    "2**63": (b'{"data": {"v": 9223372036854775808}}', "v"),
    "-2**63-1": (b'{"data": {"v": -9223372036854775809}}', "v"),
    "4000 digits": (b'{"data": {"v": ' + b"9" * 4000 + b"}}", "v"),
    "NUL in text": (b'{"data": {"v": "a\\u0000b"}}', "v"),
    "lone surrogate in text": (b'{"data": {"v": "\\ud800"}}', "v"),
    "reversed pair in text": (b'{"data": {"v": "\\ude00\\ud83d"}}', "v"),
    "lone surrogate in a name": (b'{"data": {"v\\ud800": 1}}', "v\\ud800"),
    "NUL in a name": (b'{"data": {"v\\u0000": 1}}', "v\0"),
    "empty name": (b'{"data": {"": 1}}', ""),
    "name of 65": (b'{"data": {"%s": 1}}' % (b"v" * 65), "v" * 65),
    "path of 65": (b'{"data": {"%s": {"v": 1}}}' % (b"v" * 63), "v" * 63 + ".v"),
    "text of 4097": (b'{"data": {"v": "%s"}}' % (b"v" * 4097), "v"),
    "text of 4098 bytes": (json.dumps({"data": {"v": "é" * 2049}}).encode(), "v"),
    "same name by nesting": (b'{"data": {"v.w": 1, "v": {"w": 2}}}', "v.w"),
    "same name by metadata": (b'{"data": {"meta_v": 1}, "metadata": {"v": 2}}', "meta_v"),
    "in a batch": (b'{"readings": [{"data": {"v": 1}}, {"data": {"v": 1e999}}]}', "readings[1].v"),
    "in metadata": (b'{"data": {"v": 1}, "metadata": {"w": 1e999}}', "meta_w"),
    "duplicate": (b'{"data": {"v": 1, "w": 2, "v": 1}}', "v"),
}


@pytest.mark.parametrize(("payload", "field"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_value_that_cannot_be_kept_is_refused_and_named(payload: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(payload)
    assert caught.value.field == field
    assert caught.value.message.encode()


def test_depth_counts_every_object_and_array_from_the_outermost() -> None:
    assert found(b'{"data":' + b'{"a":' * 7 + b"1" + b"}" * 8) == [(0, {"a.a.a.a.a.a.a": 1})]
    with pytest.raises(InvalidInput) as caught:
        send(b'{"data":' + b'{"a":' * 8 + b"1" + b"}" * 9)
    assert caught.value.limit == "8 levels"
    with pytest.raises(InvalidInput) as caught:
        send(b'{"ignored":' + b"[" * 8 + b"]" * 8 + b', "data": {"a": 1}}')
    assert caught.value.limit == "8 levels"


def test_braces_in_text_are_no_depth() -> None:
    assert found({"data": {"a": "{[" * 50}}) == [(0, {"a": "{[" * 50})]


def test_measurements_of_a_reading_are_limited_metadata_included() -> None:
    data: dict[str, object] = {f"m{number}": number for number in range(255)}
    [(_, values)] = found({"data": data | {"none": None}, "metadata": {"a": 1}})
    assert len(values) == 256
    with pytest.raises(InvalidInput) as caught:
        send({"data": data, "metadata": {"a": 1, "b": 2}})
    assert caught.value.limit == "256 measurements"
    assert caught.value.field == "meta_b"


def test_readings_of_a_payload_are_limited() -> None:
    readings = [{"data": {"a": number}} for number in range(1000)]
    assert len(send({"readings": readings})) == 1000
    for body in ({"readings": [*readings, {"data": {}}]}, [*readings, {"a": 1}]):
        with pytest.raises(InvalidInput) as caught:
            send(body)
        assert caught.value.limit == "1000 readings"
    with pytest.raises(InvalidInput) as caught:
        send([{"n": "a", "t": -number, "v": 1} for number in range(1001)], content_type="application/senml+json")
    assert caught.value.limit == "1000 readings"


def test_single_reading_over_64_kb_is_too_large_and_a_batch_is_not() -> None:
    reading = {"data": {"a": 1}}
    for body in (reading, [reading], {"readings": [reading]}):
        payload = json.dumps(body).encode()
        assert send(payload.ljust(LIMITS.body_bytes))
        with pytest.raises(TooLarge) as caught:
            send(payload.ljust(LIMITS.body_bytes + 1))
        assert caught.value.limit == "64 kB"
    batch = json.dumps([reading, reading]).encode()
    assert len(send(batch.ljust(LIMITS.batch_bytes))) == 2
    with pytest.raises(TooLarge) as caught:
        send(batch.ljust(LIMITS.batch_bytes + 1))
    assert caught.value.limit == "1 MB"


def test_cbor_over_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge):
        send(bytes(LIMITS.batch_bytes + 1), content_type="application/senml+cbor")


@pytest.mark.parametrize(
    ("timestamp_ms", "accepted"),
    [
        (LIMITS.oldest_ms, True),
        (LIMITS.oldest_ms - 1, False),
        (NOW_MS + LIMITS.future_s * 1000, True),
        (NOW_MS + LIMITS.future_s * 1000 + 1, False),
    ],
)
def test_timestamp_outside_of_the_range_is_refused_with_the_range(timestamp_ms: int, accepted: bool) -> None:
    body = {"data": {"a": 1}, "timestamp": timestamp_ms}
    if accepted:
        assert found(body) == [(timestamp_ms - NOW_MS, {"a": 1})]
        return
    with pytest.raises(InvalidInput) as caught:
        send(body)
    assert caught.value.field == "timestamp"
    assert caught.value.limit == "2000-01-01T00:00:00.000Z to 2025-07-04T14:30:00.000Z"


def test_limits_are_those_that_were_given() -> None:
    for limits in (
        replace(LIMITS, body_bytes=10),
        replace(LIMITS, batch_bytes=10),
        replace(LIMITS, depth=1),
        replace(LIMITS, measurements=1),
        replace(LIMITS, readings=0),
        replace(LIMITS, text_bytes=3),
        replace(LIMITS, oldest_ms=NOW_MS + 1),
    ):
        with pytest.raises(InvalidInput) as caught:
            send({"readings": [{"data": {"a": "text", "b": 1}}]}, limits=limits)
        assert caught.value.limit


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "Application/JSON; charset=utf-8", " application/json "]
)
def test_json_is_read_under_its_names(content_type: str) -> None:
    assert found({"a": 1}, content_type=content_type) == [(0, {"a": 1})]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "x", "application/jsonx"])
def test_other_content_types_are_refused_and_the_right_ones_named(content_type: str) -> None:
    with pytest.raises(WrongType, match="application/json") as caught:
        send({"a": 1}, content_type=content_type)
    assert caught.value.status == 415


def test_stamp_is_asked_once_for_all_readings_without_a_time() -> None:
    asked: list[int] = []

    def stamp(count: int) -> int:
        asked.append(count)
        return NOW_MS + 100

    def timestamps(body: object) -> list[int]:
        readings = readings_from_payload(
            json.dumps(body).encode(),
            content_type="",
            device=DEVICE,
            device_name=DEVICE_NAME,
            now_ms=NOW_MS,
            limits=LIMITS,
            stamp=stamp,
        )
        return [reading.timestamp_ms - NOW_MS for reading in readings]

    assert timestamps([{"a": 1}, {"a": 2, "ts": NOW_MS}, {"a": 3}]) == [99, 0, 100]
    assert timestamps([{"n": "a", "v": 1}, {"n": "b", "v": 2}]) == [100]
    assert timestamps({"a": 2, "ts": NOW_MS}) == [0]
    assert asked == [2, 1]


def test_row_has_the_reading_under_its_own_names() -> None:
    reading = Reading(DEVICE, NOW_MS, {"t": 1.5, "timestamp": "late", "device_id": 7, "data.timestamp": True})
    assert row_from_reading(reading) == {
        "timestamp": "2025-07-03T14:30:00.000Z",
        "device_id": "42",
        "t": 1.5,
        "data.data.timestamp": "late",
        "data.device_id": 7,
        "data.timestamp": True,
    }


@UNTIMED
@given(
    st.dictionaries(
        st.sampled_from(["timestamp", "device_id", *(f"data.{'data.' * n}timestamp" for n in range(3))]), st.integers()
    )
)
def test_row_never_loses_a_measurement(values: dict[str, int]) -> None:
    row = row_from_reading(Reading(DEVICE, NOW_MS, values))
    assert len(row) == len(values) + 2
    assert sorted(map(str, row.values())) == sorted(["2025-07-03T14:30:00.000Z", "42", *map(str, values.values())])
