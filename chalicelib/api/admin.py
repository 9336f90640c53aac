"""Administration beside devices: dead letters and the audit log."""

from pydantic import Field

from chalicelib import access, times
from chalicelib.calls import Call
from chalicelib.declare import Answer, Query, leads_to
from chalicelib.errors import NotFound
from chalicelib.http import Resource
from chalicelib.model import DeadLetter, Scope
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin", tag="Administration")
ADMIN = access.token(Scope.ADMIN)


class LettersQuery(Query):
    """A page of dead letters."""

    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=100)


class AuditQuery(Query):
    """A page of the audit log."""

    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, pattern=r"^[0-9]{1,18}$")


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


@resource.get(
    "/dead-letters",
    access=ADMIN,
    uses=["queue:list-letters"],
    links=leads_to(
        "read_dead_letter",
        "replay_dead_letter",
        "discard_dead_letter",
        letter_id="$response.body#/dead_letters/0/id",
    ),
)
def list_dead_letters(call: Call, query: LettersQuery) -> DeadLettersOut:  # noqa: ARG001 - every handler takes the call
    """List messages that could not be stored, with reason and payload."""
    letters = services().queue.dead_letters(after_id=query.cursor, limit=query.limit + 1)
    shown = letters[: query.limit]
    return DeadLettersOut(
        dead_letters=[_letter(letter) for letter in shown],
        count=len(shown),
        next_cursor=shown[-1].id if len(letters) > query.limit else None,
    )


@resource.get("/dead-letters/{letter_id}", access=ADMIN, uses=["queue:read-letter"])
def read_dead_letter(call: Call, letter_id: str) -> DeadLetterOut:  # noqa: ARG001
    """Read one dead letter."""
    letter = services().queue.dead_letter(letter_id)
    if letter is None:
        raise _no_letter()
    return _letter(letter)


@resource.post(
    "/dead-letters/{letter_id}/replay",
    access=ADMIN,
    uses=["queue:list-letters", "queue:replay-letter", "audit:write"],
)
def replay_dead_letter(call: Call, letter_id: str) -> DeadLetterActionOut:
    """Queue a dead letter again; `all` in place of an id takes every one that is there now."""
    ids = _all_letter_ids() if letter_id == "all" else [letter_id]
    count = sum(services().queue.replay(each, now_ms=call.now_ms) for each in ids)
    if not count and letter_id != "all":
        raise _no_letter()
    call.audit(services().audit, "replay_dead_letter", letter_id, detail=str(count))
    return DeadLetterActionOut(message="Queued again", count=count)


@resource.delete("/dead-letters/{letter_id}", access=ADMIN, uses=["queue:discard-letter", "audit:write"])
def discard_dead_letter(call: Call, letter_id: str) -> DeadLetterActionOut:
    """Drop a dead letter for good."""
    if not services().queue.discard_letter(letter_id, now_ms=call.now_ms):
        raise _no_letter()
    call.audit(services().audit, "discard_dead_letter", letter_id)
    return DeadLetterActionOut(message="Discarded", count=1)


@resource.get("/audit", access=ADMIN, uses=["audit:read"])
def read_audit(call: Call, query: AuditQuery) -> AuditOut:
    """Read the audit log, newest first."""
    before_id = int(query.cursor) if query.cursor is not None else None
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
