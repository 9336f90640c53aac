"""Tokens of people and programs."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chalicelib import access, times, tokens
from chalicelib.api.forms import FutureInstant
from chalicelib.calls import Call
from chalicelib.declare import Answer, Body, leads_to
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.http import Resource
from chalicelib.model import CredentialKind, Scope
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin", tag="Administration")
ADMIN = access.token(Scope.ADMIN)


class TokenRequest(Body):
    """A token to be made."""

    name: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:@-]([A-Za-z0-9 _.:@-]*[A-Za-z0-9_.:@-])?$"
        ),
    ]
    scopes: list[Scope] = Field(min_length=1, max_length=6)
    expires_at: FutureInstant | None = Field(None, description="nothing for a token that does not expire")


class TokenOut(Answer):
    """What is known of a token: never the token."""

    id: str
    name: str
    scopes: list[str]
    is_active: bool
    created_at: str
    expires_at: str | None


class TokensOut(Answer):
    """All tokens."""

    tokens: list[TokenOut]
    count: int


class NewTokenOut(Answer):
    """A new token, shown this once."""

    message: str
    id: str
    name: str
    scopes: list[str]
    expires_at: str | None
    token: str


class RevokedTokenOut(Answer):
    """A token that is dead."""

    status: Literal["success"] = "success"
    message: str
    id: str


@resource.get("/tokens", access=ADMIN, uses=["credentials:tokens"])
def list_tokens(call: Call) -> TokensOut:
    """List tokens: names, scopes and expiry."""
    records = services().credentials.of_kind(call.principal.tenant, CredentialKind.TOKEN)
    shown = [
        TokenOut(
            id=record.id,
            name=record.name,
            scopes=sorted(record.scopes),
            is_active=record.alive(call.now_ms),
            created_at=times.to_iso(record.created_ms),
            expires_at=times.to_iso(record.expires_ms) if record.expires_ms is not None else None,
        )
        for record in records
    ]
    return TokensOut(tokens=shown, count=len(shown))


@resource.post(
    "/tokens",
    access=ADMIN,
    status=201,
    uses=["credentials:add-token", "audit:write"],
    errors=(409,),
    links=leads_to("revoke_token", token_id="$response.body#/id"),  # noqa: S106 - where it is found
)
def create_token(call: Call, body: TokenRequest) -> NewTokenOut:
    """Make a token; its value is shown this once."""
    expires_ms = _expiry(body.expires_at, call.now_ms)
    made = tokens.issue_token(
        body.name,
        frozenset(body.scopes),
        tenant=call.principal.tenant,
        credentials=services().credentials,
        pepper=services().pepper,
        now_ms=call.now_ms,
        expires_ms=expires_ms,
    )
    call.audit(services().audit, "create_token", f"token:{body.name}", detail=",".join(sorted(body.scopes)))
    return NewTokenOut(
        message="Token created",
        id=made.id,
        name=body.name,
        scopes=sorted(body.scopes),
        expires_at=times.to_iso(expires_ms) if expires_ms is not None else None,
        token=made.text,
    )


@resource.delete("/tokens/{token_id}", access=ADMIN, uses=["credentials:remove", "audit:write"])
def revoke_token(call: Call, token_id: str) -> RevokedTokenOut:
    """Revoke a token; it is dead everywhere when this answers."""
    record = services().credentials.get(token_id)
    known = record is not None and record.kind is CredentialKind.TOKEN
    if not known or not services().credentials.remove(call.principal.tenant, token_id):
        message = "There is no such token"
        raise NotFound(message, field="token_id")
    call.audit(services().audit, "revoke_token", token_id)
    return RevokedTokenOut(message="Token revoked", id=token_id)


def _expiry(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    expires_ms = times.parse_instant(text, field="expires_at", now_ms=now_ms, relative=True)
    if expires_ms <= now_ms:
        message = "expires_at must be in the future"
        raise InvalidInput(message, field="expires_at")
    return expires_ms
