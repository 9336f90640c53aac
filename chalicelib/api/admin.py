"""Administration beside devices: dead letters, audit and tokens."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chalicelib import access, times, tokens
from chalicelib.calls import Call
from chalicelib.declare import Answer, Body, Query
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.http import Resource
from chalicelib.model import CredentialKind, DeadLetter, Scope
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin", tag="Administration")
ADMIN = access.token(Scope.ADMIN)


class PageQuery(Query):
    """A page of a list."""

    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=100)


class DeadLetterOut(Answer):
    """A message that could not be stored: why, and what it carried."""

    id: str
    reason: str
    readings: int
    payload: str
    accepted_at: str
    buried_at: str


class DeadLettersOut(Answer):
    """A page of dead letters."""

    dead_letters: list[DeadLetterOut]
    count: int
    next_cursor: str | None


class DeadLetterActionOut(Answer):
    """What was done with dead letters."""

    message: str
    count: int


class AuditEntryOut(Answer):
    """Who did what to what, with which result, from where, when."""

    id: int
    at: str
    actor: str
    action: str
    target: str
    result: str
    address: str
    detail: str


class AuditOut(Answer):
    """A page of the audit log, newest first."""

    entries: list[AuditEntryOut]
    count: int
    next_cursor: str | None


class TokenRequest(Body):
    """A token to be made."""

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9 _.:@-]+$")
    ]
    scopes: list[Scope] = Field(min_length=1, max_length=6)
    expires_at: str | None = Field(None, description="ISO 8601 or epoch; nothing for a token that does not expire")


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


@resource.get("/dead-letters", access=ADMIN, uses=["queue:dead-letters"])
def list_dead_letters(call: Call, query: PageQuery) -> DeadLettersOut:  # noqa: ARG001 - every handler takes the call
    """List messages that could not be stored, with reason and payload."""
    letters = services().queue.dead_letters(after_id=query.cursor, limit=query.limit + 1)
    shown = letters[: query.limit]
    return DeadLettersOut(
        dead_letters=[_letter(letter) for letter in shown],
        count=len(shown),
        next_cursor=shown[-1].id if len(letters) > query.limit else None,
    )


@resource.get("/dead-letters/{letter_id}", access=ADMIN, uses=["queue:dead-letters"])
def read_dead_letter(call: Call, letter_id: str) -> DeadLetterOut:  # noqa: ARG001
    """Read one dead letter."""
    letter = services().queue.dead_letter(letter_id)
    if letter is None:
        raise _no_letter()
    return _letter(letter)


@resource.post("/dead-letters/{letter_id}/replay", access=ADMIN, uses=["queue:dead-letters", "audit:write"])
def replay_dead_letter(call: Call, letter_id: str) -> DeadLetterActionOut:
    """Queue a dead letter again; `all` in place of an id takes every one that is there now."""
    ids = _all_letter_ids() if letter_id == "all" else [letter_id]
    count = sum(services().queue.replay(each, now_ms=call.now_ms) for each in ids)
    if not count and letter_id != "all":
        raise _no_letter()
    call.audit(services().audit, "replay_dead_letter", letter_id, detail=str(count))
    return DeadLetterActionOut(message="Queued again", count=count)


@resource.delete("/dead-letters/{letter_id}", access=ADMIN, uses=["queue:dead-letters", "audit:write"])
def discard_dead_letter(call: Call, letter_id: str) -> DeadLetterActionOut:
    """Drop a dead letter for good."""
    if not services().queue.discard_letter(letter_id, now_ms=call.now_ms):
        raise _no_letter()
    call.audit(services().audit, "discard_dead_letter", letter_id)
    return DeadLetterActionOut(message="Discarded", count=1)


@resource.get("/audit", access=ADMIN, uses=["audit:read"])
def read_audit(call: Call, query: PageQuery) -> AuditOut:
    """Read the audit log, newest first."""
    before_id = _number(query.cursor)
    entries = services().audit.page(call.principal.tenant, before_id=before_id, limit=query.limit + 1)
    shown = entries[: query.limit]
    return AuditOut(
        entries=[
            AuditEntryOut(
                id=entry.id,
                at=times.to_iso(entry.at_ms),
                actor=entry.actor,
                action=entry.action,
                target=entry.target,
                result=entry.result,
                address=entry.address,
                detail=entry.detail,
            )
            for entry in shown
        ],
        count=len(shown),
        next_cursor=str(shown[-1].id) if len(entries) > query.limit else None,
    )


@resource.get("/tokens", access=ADMIN, uses=["credentials:read"])
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


@resource.post("/tokens", access=ADMIN, status=201, uses=["credentials:write", "audit:write"], errors=(409,))
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


@resource.delete("/tokens/{token_id}", access=ADMIN, uses=["credentials:write", "audit:write"])
def revoke_token(call: Call, token_id: str) -> RevokedTokenOut:
    """Revoke a token; it is dead everywhere when this answers."""
    record = services().credentials.get(token_id)
    known = record is not None and record.kind is CredentialKind.TOKEN
    if not known or not services().credentials.remove(call.principal.tenant, token_id):
        message = "There is no such token"
        raise NotFound(message, field="token_id")
    call.audit(services().audit, "revoke_token", token_id)
    return RevokedTokenOut(message="Token revoked", id=token_id)


def _letter(letter: DeadLetter) -> DeadLetterOut:
    return DeadLetterOut(
        id=letter.id,
        reason=letter.reason,
        readings=letter.readings,
        payload=letter.body,
        accepted_at=times.to_iso(letter.sent_ms),
        buried_at=times.to_iso(letter.buried_ms),
    )


def _all_letter_ids() -> list[str]:
    ids: list[str] = []
    while page := services().queue.dead_letters(after_id=ids[-1] if ids else None, limit=1000):
        ids.extend(letter.id for letter in page)
    return ids


def _no_letter() -> NotFound:
    message = "There is no such dead letter"
    return NotFound(message, field="letter_id")


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        message = "cursor is not one that this list gave"
        raise InvalidInput(message, field="cursor")
    return int(cursor)


def _expiry(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    expires_ms = times.parse_instant(text, field="expires_at", now_ms=now_ms)
    if expires_ms <= now_ms:
        message = "expires_at must be in the future"
        raise InvalidInput(message, field="expires_at")
    return expires_ms
