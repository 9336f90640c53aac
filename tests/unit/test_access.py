"""Who is calling, and what may they touch."""

from dataclasses import replace

import pytest

from chalicelib import access, devices, tokens
from chalicelib.access import ANONYMOUS, Openness, Presented, Principal
from chalicelib.errors import Forbidden, NotFound, Unauthorized
from chalicelib.model import DEFAULT_TENANT, DeviceStatus, Scope
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, memory_services

CLOSED = Openness(operator_pages=False, telemetry=False, registration=False)
OPEN = Openness(operator_pages=True, telemetry=True, registration=True)


@pytest.fixture
def services() -> Services:
    """Memory adapters."""
    return memory_services()


def identify(services: Services, key: str, now_ms: int = NOW_MS) -> Principal:
    return access.authenticate(
        key, credentials=services.credentials, devices=services.devices, pepper=services.pepper, now_ms=now_ms
    )


def a_token(services: Services, *scopes: Scope, expires_ms: int | None = None) -> str:
    return tokens.issue_token(
        "ops",
        frozenset(scopes),
        tenant=DEFAULT_TENANT,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=NOW_MS,
        expires_ms=expires_ms,
    ).text


@pytest.mark.parametrize(
    ("x_api_key", "authorization", "key"),
    [
        ("k", "", "k"),
        (" k ", "", "k"),
        ("", "Bearer k", "k"),
        ("", "bearer  k ", "k"),
        ("", "admin k", "k"),
        ("", "ADMIN k", "k"),
        ("k", "Bearer other", "k"),
        ("", "Basic k", ""),
        ("", "k", ""),
        ("", "Bearer", ""),
        ("", "", ""),
    ],
)
def test_a_credential_is_picked_out_of_the_headers(x_api_key: str, authorization: str, key: str) -> None:
    assert access.presented(x_api_key, authorization).key == key


def test_a_device_key_is_its_device(services: Services) -> None:
    made = a_device(services)
    principal = identify(services, made.key)
    assert (principal.device, principal.name, principal.tenant) == (made.device, "device:1", DEFAULT_TENANT)
    assert principal.scopes == frozenset()


def test_a_token_is_its_name_and_scopes(services: Services) -> None:
    principal = identify(services, a_token(services, Scope.DEVICES_READ))
    assert (principal.name, principal.device) == ("token:ops", None)
    assert [principal.may(scope) for scope in (Scope.DEVICES_READ, Scope.ADMIN)] == [True, False]
    assert Principal("t", "n", scopes=frozenset({Scope.ADMIN})).may(Scope.COMMANDS_WRITE)


def test_every_refused_credential_is_refused_in_the_same_words(services: Services) -> None:
    made = a_device(services)
    expiring = a_token(services, Scope.ADMIN, expires_ms=NOW_MS + 1)
    revoked = a_device(services, "revoked")
    services.credentials.remove(DEFAULT_TENANT, revoked.key.split("_")[2])
    for key, now_ms in (
        (made.key[:-1] + ("a" if made.key[-1] != "a" else "b"), NOW_MS),
        (made.key.upper(), NOW_MS),
        ("nonsense", NOW_MS),
        ("é" * 50, NOW_MS),
        (revoked.key, NOW_MS),
        (expiring, NOW_MS + 1),
    ):
        with pytest.raises(Unauthorized, match="The credential is not valid"):
            identify(services, key, now_ms)
    assert identify(services, expiring, NOW_MS).name == "token:ops"


def test_a_missing_credential_is_told_how_to_be_given(services: Services) -> None:
    with pytest.raises(Unauthorized, match="X-API-Key"):
        identify(services, "")


def test_the_key_of_a_device_that_is_gone_is_refused(services: Services) -> None:
    """Even where a repository has forgotten to take the keys along."""
    made = a_device(services)
    empty = memory_services()
    with pytest.raises(Unauthorized):
        access.authenticate(
            made.key,
            credentials=services.credentials,
            devices=empty.devices,
            pepper=services.pepper,
            now_ms=NOW_MS,
        )


@pytest.mark.parametrize(
    ("policy", "when_open"),
    [
        (access.ANYONE, True),
        (access.ENROLLEE, True),
        (access.OPERATOR, True),
        (access.READER, True),
        (access.DEVICE, False),
        (access.token(Scope.ADMIN), False),
    ],
)
def test_what_the_stage_leaves_open(policy: access.Access, when_open: bool) -> None:
    assert access.is_open(policy, Presented(), OPEN) is when_open
    if policy is not access.ENROLLEE:
        assert access.is_open(policy, Presented(), CLOSED) is (policy is access.ANYONE)


def test_who_shows_a_key_is_asked_for_it_where_nobody_is() -> None:
    for policy in (access.OPERATOR, access.READER):
        assert access.is_open(policy, Presented("key"), OPEN) is False


def test_enrolment_needs_exactly_its_token() -> None:
    with_token = CLOSED._replace(enrollment="sécret")
    assert access.is_open(access.ENROLLEE, Presented(enrollment="sécret"), with_token)
    for offered, openness in (("secret", with_token), ("", with_token), ("", CLOSED), ("sécret", CLOSED)):
        with pytest.raises(Unauthorized) as refusal:
            access.is_open(access.ENROLLEE, Presented(enrollment=offered), openness)
        assert refusal.value.field == "X-Enrollment-Token"


def code_of(principal: Principal, policy: access.Access) -> str:
    try:
        access.permit(principal, policy)
    except Forbidden as error:
        return error.code
    return ""


def test_what_a_caller_may(services: Services) -> None:
    made = a_device(services)
    device = identify(services, made.key)
    reader = Principal("default", "token:r", scopes=frozenset({Scope.TELEMETRY_READ}))
    admin = Principal("default", "token:a", scopes=frozenset({Scope.ADMIN}))
    write = access.token(Scope.DEVICES_WRITE)
    assert [code_of(device, policy) for policy in (access.DEVICE, access.READER, write, access.OPERATOR)] == [
        "",
        "",
        "token_only",
        "token_only",
    ]
    assert [code_of(reader, policy) for policy in (access.DEVICE, access.READER, write, access.OPERATOR)] == [
        "device_only",
        "",
        "scope_missing",
        "",
    ]
    assert [code_of(admin, policy) for policy in (access.DEVICE, access.READER, write)] == ["device_only", "", ""]


def test_an_inactive_device_may_nothing(services: Services) -> None:
    made = a_device(services)
    devices.change(
        made.device.ref,
        lambda device: replace(device, status=DeviceStatus.INACTIVE),
        devices=services.devices,
        now_ms=NOW_MS,
    )
    inactive = identify(services, made.key)
    for policy in (access.DEVICE, access.READER, access.OPERATOR, access.token(Scope.ADMIN)):
        assert code_of(inactive, policy) == "device_inactive"


def test_somebody_elses_device_is_as_absent_as_none(services: Services) -> None:
    own, other = a_device(services, "own"), a_device(services, "other")
    device = identify(services, own.key)
    assert access.visible_device(device, own.device.id, devices=services.devices) == own.device
    refusals = []
    for device_id in (other.device.id, 999):
        with pytest.raises(NotFound) as refusal:
            access.visible_device(device, device_id, devices=services.devices)
        refusals.append((refusal.value.message, refusal.value.field, refusal.value.code))
    assert refusals[0] == refusals[1]


def test_tokens_and_readers_see_their_tenant_only(services: Services) -> None:
    made = a_device(services)
    elsewhere = Principal("other tenant", "token:x", scopes=frozenset({Scope.ADMIN}))
    assert access.visible_device(ANONYMOUS, made.device.id, devices=services.devices) == made.device
    with pytest.raises(NotFound):
        access.visible_device(elsewhere, made.device.id, devices=services.devices)
