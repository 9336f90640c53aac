"""Whatever comes, the codec answers with readings within the limits or with a clear refusal."""

import math
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import codec
from chalicelib.errors import AppError
from chalicelib.flatten import flatten
from chalicelib.formats import Sender, drafts_from_document
from chalicelib.model import MAX_INT64, MIN_INT64, Reading
from tests.unit.payloads import DEVICE, DEVICE_NAME, LIMITS, NOW_MS, UNTIMED, outcome

KEYS = (
    "data metadata readings metrics measurements status fields name tags values timestamp ts Time device_id deviceId "
    "api_key n v bn bt t vs s u a b a.b"
)
names = st.sampled_from(["", *KEYS.split()]) | st.text(st.characters(), max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.integers(NOW_MS - 10**6, NOW_MS + 10**6)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["2025-07-03T14:30:00", "42", DEVICE_NAME, "\ud800", "\0"])
)
documents = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(names, children, max_size=5),
    max_leaves=30,
)


def require_within_limits(readings: tuple[Reading, ...]) -> None:
    assert 0 < len(readings) <= LIMITS.readings
    for reading in readings:
        assert reading.device == DEVICE
        assert LIMITS.oldest_ms <= reading.timestamp_ms <= NOW_MS + LIMITS.future_s * 1000
        assert 0 < len(reading.values) <= LIMITS.measurements
        for name, value in reading.values.items():
            assert 1 <= len(name) <= 64
            for text in (name, value):
                if isinstance(text, str):
                    assert len(text.encode()) <= LIMITS.text_bytes
                    assert "\0" not in text
            assert type(value) in {bool, int, float, str}
            assert not isinstance(value, float) or math.isfinite(value)
            assert not isinstance(value, int) or MIN_INT64 <= value <= MAX_INT64


@settings(UNTIMED, max_examples=300)
@given(documents, st.sampled_from(["", "application/senml+json"]))
def test_any_document_is_readings_within_the_limits_or_a_clear_refusal(document: object, content_type: str) -> None:
    result = outcome(document, content_type=content_type)
    if isinstance(result, AppError):
        assert result.status in {400, 403}
        assert f"{result.message} {result.field} {result.limit}".encode()
    else:
        require_within_limits(result)


@UNTIMED
@given(st.binary(max_size=100) | st.text(string.printable, max_size=100).map(str.encode), st.text(max_size=30))
def test_any_bytes_are_readings_or_a_clear_refusal(payload: bytes, content_type: str) -> None:
    result = outcome(payload, content_type=content_type)
    if isinstance(result, AppError):
        assert result.status in {400, 403, 415}
        assert f"{result.message} {result.field}".encode()
    else:
        require_within_limits(result)


measurements = st.dictionaries(names | st.text(max_size=70), scalars | st.just({"x": 1}), max_size=4)
times = st.none() | st.integers(-(10**10), 10**15) | st.integers(NOW_MS - 10**6, NOW_MS + 10**9) | scalars
plain_documents = measurements | st.fixed_dictionaries(
    {"data": measurements | scalars}, optional={"timestamp": times, "metadata": measurements, "ts": times}
)


@settings(UNTIMED, max_examples=1000)
@given(plain_documents | documents, times, st.booleans())
def test_short_way_of_plain_payloads_ends_where_the_long_one_does(
    document: object, timestamp: object, timed: bool
) -> None:
    """`_plain_reading` may leave any payload to the long way, but what it accepts must come out the same."""
    if timed and isinstance(document, dict):
        document = {**document, "timestamp": timestamp}
    reading = codec._plain_reading(document, DEVICE, NOW_MS, LIMITS, None)
    if reading is not None:
        (draft,) = drafts_from_document(document, sender=Sender(DEVICE.id, DEVICE_NAME, NOW_MS), most=1)
        values = flatten(draft.parts, where=draft.where, limits=LIMITS)
        assert repr(reading.values) == repr(values)
        assert reading.timestamp_ms == (NOW_MS if draft.timestamp_ms is None else draft.timestamp_ms)
        require_within_limits((reading,))


def test_common_payloads_take_the_short_way() -> None:
    for document in ({"data": {"t": 1}, "timestamp": NOW_MS}, {"data": {"t": 1}}, {"t": 1.5, "ok": True}):
        assert codec._plain_reading(document, DEVICE, NOW_MS, LIMITS, None) is not None
