"""What goes back to a caller, and what each call leaves behind."""

import json
import logging
from typing import Any

import pytest

from chalicelib import admission, answers
from chalicelib.access import DEVICE, READER, Principal
from chalicelib.calls import Call
from chalicelib.declare import Endpoint, RateClass
from chalicelib.errors import (
    AppError,
    Conflict,
    Forbidden,
    InvalidInput,
    TooMany,
    Unauthorized,
    Unavailable,
    WrongMethod,
)
from chalicelib.ports import Limit
from chalicelib.status import REJECTED
from chalicelib.wiring import Services, use
from tests.builders import NOW_MS, a_device, memory_services


def a_call(**headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(now_ms=NOW_MS, request_id="r-1", headers=named, address="192.0.2.1")


def an_endpoint(**options: Any) -> Endpoint:
    return Endpoint(
        **{
            "name": "send",
            "method": "POST",
            "path": "/x",
            "access": DEVICE,
            "handler": print,
            "summary": "",
            "description": "",
            "tag": "",
            "uses": (),
            "status": 201,
            "parameters": {},
            "returns": None,
            **options,
        }
    )


@pytest.mark.parametrize(
    ("error", "extra", "headers"),
    [
        (InvalidInput("no", field="f", limit="5 B"), {"field": "f", "limit": "5 B"}, {}),
        (Conflict("no", code="taken"), {}, {}),
        (Unauthorized("no"), {}, {"WWW-Authenticate": 'Bearer realm="iotflow"'}),
        (WrongMethod("no", allow="GET"), {}, {"Allow": "GET"}),
        (Unavailable("no", retry_after_s=9), {"retry_after": 9}, {"Retry-After": "9"}),
        (
            TooMany("no", retry_after_s=2, limit="5", window_s=60),
            {"retry_after": 2, "limit": "5", "window": 60},
            {"Retry-After": "2"},
        ),
        (TooMany("no", retry_after_s=2), {"retry_after": 2}, {"Retry-After": "2"}),
    ],
)
def test_an_error_has_one_form(error: AppError, extra: dict[str, Any], headers: dict[str, str]) -> None:
    answer = answers.of_error(error, "r-1")
    assert answer.status == error.status
    assert json.loads(answer.body) == {
        "error": error.title,
        "message": "no",
        "code": error.code,
        "request_id": "r-1",
        **extra,
    }
    assert answer.headers == {**answers.JSON, **headers}


def test_a_bug_says_nothing_of_itself() -> None:
    answer = answers.of_bug("r-1")
    assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal_error")
    assert json.loads(answer.body)["request_id"] == "r-1"


def test_an_answer_is_left_out_when_the_caller_has_it() -> None:
    full = answers.Answer(200, '{"a": 1}')
    first = a_call()
    assert answers.conditional(full, first) is full
    tag = first.answer_headers["ETag"]
    for wanted in (tag, f"W/{tag}", f'"x", {tag}', "*", f"{tag},"):
        call = a_call(if_none_match=wanted)
        assert answers.conditional(full, call)[:2] == (304, "")
        assert call.answer_headers["ETag"] == tag
    for other in ("", '"x"', tag.strip('"'), "W/"):
        assert answers.conditional(full, a_call(if_none_match=other)).status == 200
    assert answers.conditional(answers.Answer(503, '{"a": 1}'), a_call(if_none_match=tag)).status == 503


def test_every_call_is_counted_and_refused_telemetry_by_its_reason() -> None:
    services = memory_services()
    for payload_schema, code in (({}, "invalid_input"), (None, "invalid_input"), ({}, "")):
        declared = an_endpoint(payload_schema=payload_schema)
        answers.record(declared, a_call(), answers.Answer(400, ""), 0.003, services.counters, code=code)
    totals = services.counters.totals()
    assert totals["iotflow_requests_total", (("endpoint", "send"), ("status", "400"))] == 3
    assert totals["iotflow_request_seconds_bucket", (("endpoint", "send"), ("le", "0.005"))] == 3
    assert totals["iotflow_request_seconds_sum", (("endpoint", "send"),)] == pytest.approx(0.009)
    assert totals[REJECTED, (("code", "invalid_input"),)] == 1
    answers.record(an_endpoint(), a_call(), answers.Answer(200, ""), 60.0, services.counters)
    assert services.counters.totals()["iotflow_request_seconds_bucket", (("endpoint", "send"), ("le", "+Inf"))] == 1


@pytest.mark.parametrize(
    ("inline", "status", "level"), [(True, 201, "DEBUG"), (True, 400, "INFO"), (False, 201, "INFO")]
)
def test_a_call_leaves_one_line(inline: bool, status: int, level: str, caplog: pytest.LogCaptureFixture) -> None:
    """Accepted device writes only when debugging: there are thousands a second."""
    with caplog.at_level(logging.DEBUG, "iotflow.http"):
        answers.record(
            an_endpoint(inline=inline), a_call(), answers.Answer(status, ""), 0.1, memory_services().counters
        )
    (line,) = caplog.records
    assert (line.levelname, line.getMessage()) == (level, f"send {status}")
    assert line.fields["request_id"] == "r-1"  # type: ignore[attr-defined]


@pytest.fixture
def services() -> Any:
    """Memory services, in use."""
    with use(memory_services(failed_auth_per_minute=2, address_rate_per_minute=3)) as current:
        yield current


def test_refused_credentials_are_limited_by_address(services: Services) -> None:
    for _ in range(2):
        with pytest.raises(Unauthorized):
            admission.require(a_call(x_api_key="wrong"), DEVICE)
    call = a_call(x_api_key="wrong")
    with pytest.raises(TooMany) as refusal:
        admission.require(call, DEVICE)
    assert (refusal.value.limit, refusal.value.window_s) == ("2", 60)
    assert call.answer_headers["RateLimit-Remaining"] == "0"
    made = a_device(services)
    admission.require(a_call(x_api_key=made.key), DEVICE)


def test_an_address_is_limited_before_anything_else(services: Services) -> None:
    assert services.settings.address_rate_per_minute == 3
    for _ in range(3):
        quiet = a_call()
        admission.limit_address(quiet)
        assert quiet.answer_headers == {}
    with pytest.raises(TooMany):
        admission.limit_address(a_call())


def test_a_limited_caller_is_told_what_is_left(services: Services) -> None:
    rate = RateClass("writes", "device", lambda _settings: Limit(2, 1.0))
    call = a_call()
    call.principal = Principal("default", "device:1", device=a_device(services).device)
    admission.limit_caller(an_endpoint(limit=rate), call)
    assert {name: call.answer_headers[name] for name in ("RateLimit-Limit", "RateLimit-Remaining")} == {
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "1",
    }
    bare = a_call()
    admission.limit_caller(an_endpoint(), bare)
    assert bare.answer_headers == {}


def test_refusals_of_the_known_and_of_keys_are_kept(services: Services) -> None:
    known = Principal("default", "token:ops")
    for error, principal, key, policy, kept in (
        (Forbidden("no", code="scope_missing"), known, "", DEVICE, 1),
        (Unauthorized("no"), None, "wrong", DEVICE, 1),
        (Unauthorized("no"), None, "", DEVICE, 0),
        (Unauthorized("no"), None, "wrong", READER, 0),
        (InvalidInput("no"), known, "", DEVICE, 0),
    ):
        call = a_call(x_api_key=key)
        call.principal = principal or call.principal
        before = len(services.audit.page("default"))
        admission.audit_refusal(an_endpoint(access=policy), call, error)
        assert len(services.audit.page("default")) - before == kept
    assert services.audit.page("default")[-1].result == "scope_missing"


def test_a_silent_audit_log_does_not_change_the_answer(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def append(self, _entry: object) -> None:
            message = "away"
            raise Unavailable(message)

    services.audit = Away()  # type: ignore[assignment]
    admission.audit_refusal(an_endpoint(), a_call(x_api_key="k"), Unauthorized("no"))
    assert "not recorded" in caplog.text
