"""Use cases around the tokens of people and programs."""

from chalicelib import keys
from chalicelib.devices import IssuedKey
from chalicelib.model import Credential, CredentialKind, Scope
from chalicelib.ports import CredentialRepository


def issue_token(
    name: str,
    scopes: frozenset[Scope],
    *,
    tenant: str,
    credentials: CredentialRepository,
    pepper: bytes,
    now_ms: int,
    expires_ms: int | None = None,
) -> IssuedKey:
    """Make a token; its text is shown this once.

    Raises:
        Conflict: A live token of this name exists (code ``name_taken``).
    """
    made = keys.new_key(CredentialKind.TOKEN, pepper=pepper)
    record = Credential(
        id=made.id,
        tenant=tenant,
        kind=CredentialKind.TOKEN,
        digest=made.digest,
        name=name,
        scopes=frozenset(scopes),
        created_ms=now_ms,
        expires_ms=expires_ms,
    )
    credentials.add(record, now_ms=now_ms)
    return IssuedKey(made.id, made.text)


def first_token(*, tenant: str, credentials: CredentialRepository, pepper: bytes, now_ms: int) -> IssuedKey | None:
    """The administrator's token of a fresh installation; None when the tenant has, or ever had, a token."""
    if credentials.of_kind(tenant, CredentialKind.TOKEN):
        return None
    return issue_token(
        "first admin",
        frozenset({Scope.ADMIN}),
        tenant=tenant,
        credentials=credentials,
        pepper=pepper,
        now_ms=now_ms,
    )
