"""One call, free of the web framework: who sent it, what its body and its query say."""

from typing import Any

import pytest
from pydantic import Field, field_validator

from chalicelib.access import Principal
from chalicelib.calls import Call, checked, network_of, read_body, read_query, request_id
from chalicelib.declare import Body, DeviceBody, Query
from chalicelib.errors import Forbidden, InvalidInput, TooLarge, WrongType
from tests.builders import NOW_MS, a_device, memory_services


class Small(Body):
    """A body."""

    name: str = Field(max_length=5)
    count: int = Field(1, ge=1, le=10)


class Loose(DeviceBody):
    """A body that may hold anything else."""

    name: str = ""


class Page(Query):
    """A query."""

    limit: int = Field(10, ge=1, le=100)
    online: bool | None = None

    @field_validator("limit")
    @classmethod
    def even(cls, value: int) -> int:
        """Only even ones."""
        if value % 2:
            message = "must be even"
            raise ValueError(message)
        return value


def a_call(payload: bytes = b"", **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(now_ms=NOW_MS, request_id="r", headers=named, address="127.0.0.1", payload=payload)


def test_a_request_id_is_taken_over_when_it_is_a_plain_word() -> None:
    assert request_id({"x-request-id": "a.B-1_"}, "made") == "a.B-1_"
    for text in ("", "a b", "x" * 65, "é", "a\n", "<a>"):
        assert request_id({"x-request-id": text}, "made") == "made"
    assert request_id({}, "made") == "made"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:socket", "unix:socket"),
    ],
)
def test_an_ipv6_client_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_body_is_read_as_its_model() -> None:
    found = read_body(Small, a_call(b'{"name": "x", "count": 2}', content_type="application/json"), max_bytes=100)
    assert (found.name, found.count) == ("x", 2)
    for content_type in ("", "application/json; charset=utf-8", "application/merge-patch+json", "APPLICATION/JSON"):
        assert read_body(Small, a_call(b'{"name": "x"}', content_type=content_type), max_bytes=100).count == 1
    assert read_body(Loose, a_call(), max_bytes=100).name == ""
    assert read_body(Loose, a_call(b'{"name": "x", "other": 1}'), max_bytes=100).name == "x"
    assert read_body(Loose, a_call(b"", content_type="text/plain"), max_bytes=100).name == ""


@pytest.mark.parametrize(
    ("payload", "field", "limit"),
    [
        (b"[]", "body", None),
        (b"5", "body", None),
        (b"{}", "name", None),
        (b'{"name": "toolong"}', "name", "5"),
        (b'{"name": "x", "count": 11}', "count", "10"),
        (b'{"name": "x", "count": 0}', "count", "1"),
        (b'{"name": "x", "nmae": "y"}', "nmae", None),
        (b'{"name": 5}', "name", None),
        (b'{"name": "\\ud800"}', "name", None),
        (b"{", None, None),
    ],
)
def test_a_refused_body_names_the_field_and_the_limit(payload: bytes, field: str | None, limit: str | None) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_body(Small, a_call(payload), max_bytes=100)
    assert (refusal.value.field, refusal.value.limit) == (field, limit)
    assert field is None or field in refusal.value.message or field == "body"


def test_a_body_has_a_size_and_a_type() -> None:
    with pytest.raises(TooLarge) as refusal:
        read_body(Small, a_call(b'{"name": "x"}'), max_bytes=10)
    assert refusal.value.limit == "10 bytes"
    with pytest.raises(WrongType) as wrong:
        read_body(Small, a_call(b"x", content_type="text/" + "x" * 1000), max_bytes=10)
    assert wrong.value.field == "Content-Type"
    assert len(wrong.value.message) < 200


def test_a_query_is_read_as_its_model() -> None:
    assert read_query(Page, None).limit == 10
    found = read_query(Page, {"limit": ["4"], "online": ["true"]})
    assert (found.limit, found.online) == (4, True)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"limit": ["2", "4"]}, "limit", "more than once"),
        ({"limit": ["3"]}, "limit", "must be even"),
        ({"limit": ["x"]}, "limit", "limit"),
        ({"limit": ["102"]}, "limit", "100"),
        ({"limti": ["2"]}, "limti", "limti"),
        ({"x" * 500: ["2"]}, "x" * 100, "xxx"),
        ({"\udcff": ["2", "3"]}, "\\udcff", "more than once"),
    ],
)
def test_a_refused_query_names_the_parameter(values: dict[str, list[str]], field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        read_query(Page, values)
    assert refusal.value.field == field
    refusal.value.message.encode()


def test_a_refusal_of_the_whole_says_body() -> None:
    with pytest.raises(InvalidInput) as refusal:
        checked(Small, [])  # type: ignore[arg-type]
    assert refusal.value.field == "body"


def test_a_call_knows_its_device_and_key() -> None:
    services = memory_services()
    made = a_device(services)
    call = a_call(x_api_key=made.key)
    with pytest.raises(Forbidden) as refusal:
        _ = call.device
    assert refusal.value.code == "device_only"
    call.principal = Principal("default", "device:1", device=made.device)
    assert (call.device, call.key_id) == (made.device, made.key.split("_")[2])
    assert a_call(authorization="Bearer nonsense").key_id == ""


def test_a_call_writes_to_the_audit_log_in_its_own_name() -> None:
    services = memory_services()
    call = a_call()
    call.principal = Principal("default", "token:ops")
    call.audit(services.audit, "do", "device:1", detail="d")
    entry: Any = services.audit.page("default")[0]
    assert (entry.actor, entry.action, entry.target, entry.result, entry.address, entry.detail, entry.at_ms) == (
        "token:ops",
        "do",
        "device:1",
        "done",
        "127.0.0.1",
        "d",
        NOW_MS,
    )
