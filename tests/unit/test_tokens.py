"""Tokens of people and programs."""

import pytest

from chalicelib import keys, tokens
from chalicelib.devices import IssuedKey
from chalicelib.errors import Conflict
from chalicelib.model import DEFAULT_TENANT, CredentialKind, Scope
from chalicelib.wiring import Services
from tests.builders import NOW_MS, memory_services


@pytest.fixture
def services() -> Services:
    """Memory adapters."""
    return memory_services()


def issue(services: Services, name: str = "ops", expires_ms: int | None = None, now_ms: int = NOW_MS) -> IssuedKey:
    return tokens.issue_token(
        name,
        frozenset({Scope.DEVICES_READ}),
        tenant=DEFAULT_TENANT,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=now_ms,
        expires_ms=expires_ms,
    )


def first(services: Services) -> IssuedKey | None:
    return tokens.first_token(
        tenant=DEFAULT_TENANT, credentials=services.credentials, pepper=services.pepper, now_ms=NOW_MS
    )


def test_a_token_is_kept_as_a_digest_only(services: Services) -> None:
    made = issue(services, expires_ms=NOW_MS + 5)
    kept = services.credentials.get(made.id)
    assert kept is not None
    assert (kept.kind, kept.name, kept.scopes) == (CredentialKind.TOKEN, "ops", frozenset({"devices:read"}))
    assert (kept.created_ms, kept.expires_ms, kept.device_id) == (NOW_MS, NOW_MS + 5, None)
    assert made.text not in repr(kept)
    assert keys.matches(made.text, kept, services.pepper)


def test_a_name_is_free_again_when_its_token_is_dead(services: Services) -> None:
    issue(services, expires_ms=NOW_MS + 5)
    with pytest.raises(Conflict) as refusal:
        issue(services)
    assert refusal.value.code == "name_taken"
    issue(services, now_ms=NOW_MS + 5)


def test_the_first_token_is_made_once(services: Services) -> None:
    made = first(services)
    assert made is not None
    kept = services.credentials.get(made.id)
    assert kept is not None
    assert (kept.scopes, kept.expires_ms) == (frozenset({"admin"}), None)
    assert first(services) is None
