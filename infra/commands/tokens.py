"""`tokens`: list, create and revoke the tokens of people and programs, without HTTP."""

import argparse
import json

from chalicelib import keys, times, tokens
from chalicelib.api.tokens import TokenRequest
from chalicelib.errors import InvalidInput
from chalicelib.model import DEFAULT_TENANT, Credential, CredentialKind, Scope
from infra import terminal
from infra.commands.credentials import show_once
from infra.environment import add_data_options
from infra.failure import Exit, Failure
from infra.installation import audit, clock_ms, in_words, open_records


def add_tokens(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _add_common(parser)
    parser.epilog = "Example: python3 -m infra tokens create grafana --scopes telemetry:read --expires 90d"
    parser.set_defaults(run=list_tokens)
    actions = parser.add_subparsers(metavar="list|create|revoke", title="what to do [list]")
    # A default of the action would replace what was given before it: `tokens --data DIR list`.
    unset = argparse.SUPPRESS
    listing = actions.add_parser("list", help="names, scopes and expiry", argument_default=unset)
    listing.set_defaults(run=list_tokens)
    creating = actions.add_parser("create", help="make a token and show it this once", argument_default=unset)
    creating.add_argument("name", metavar="NAME", help="what lists and the audit log call it")
    creating.add_argument("--scopes", required=True, metavar="A,B", help=f"of {', '.join(Scope)}")
    creating.add_argument("--expires", metavar="WHEN", default=None, help="30d, 12h, or such as 2027-01-31 [never]")
    creating.set_defaults(run=create_token)
    revoking = actions.add_parser("revoke", help="let a token die now", argument_default=unset)
    revoking.add_argument("token", metavar="ID", help="as listed; the token itself is understood too")
    revoking.set_defaults(run=revoke_token)
    for action in (listing, creating, revoking):
        _add_common(action)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    add_data_options(parser)


def list_tokens(options: argparse.Namespace) -> int:
    """Show every token that was not revoked, expired ones included.

    Raises:
        Failure: The records cannot be read.
    """
    services, now_ms = open_records(options), clock_ms()
    with in_words():
        found = services.credentials.of_kind(DEFAULT_TENANT, CredentialKind.TOKEN)
    if options.json:
        print(json.dumps([_described(token, now_ms) for token in found]))
    elif found:
        rows = [("id", "name", "scopes", "created", "expires")]
        rows += [(token.id, token.name, ",".join(sorted(token.scopes)), *_span(token, now_ms)) for token in found]
        heading, *lines = terminal.table(rows)
        print("\n".join([terminal.paint(heading, terminal.BOLD), *lines]))
    else:
        print("There are no tokens; python3 -m infra create-admin makes the first.")
    return Exit.OK


def create_token(options: argparse.Namespace) -> int:
    """Make a token and print it this once.

    Raises:
        Failure: A live token has this name, a scope or a time is none, or the records cannot be written.
    """
    services, now_ms = open_records(options), clock_ms()
    expires_ms = expiry_ms(options.expires, now_ms)
    with in_words():
        wanted = TokenRequest.model_validate({"name": options.name, "scopes": _words(options.scopes)})
        made = tokens.issue_token(
            wanted.name,
            frozenset(wanted.scopes),
            tenant=DEFAULT_TENANT,
            credentials=services.credentials,
            pepper=services.pepper,
            now_ms=now_ms,
            expires_ms=expires_ms,
        )
        scopes = sorted(wanted.scopes)
        audit(services, "create_token", f"token:{wanted.name}", now_ms=now_ms, detail=",".join(scopes))
    ends = None if expires_ms is None else times.to_iso(expires_ms)
    if options.json:
        shown = {"id": made.id, "name": wanted.name, "scopes": scopes, "expires_at": ends, "token": made.text}
        print(json.dumps(shown))
    else:
        show_once(f"Token {wanted.name}, id {made.id}, expires {ends or 'never'}.", "token", made.text)
    return Exit.OK


def revoke_token(options: argparse.Namespace) -> int:
    """Revoke a token; every process refuses it from now on.

    Raises:
        Failure: There is no such token, or the records cannot be written.
    """
    services, now_ms = open_records(options), clock_ms()
    parsed = keys.parse_key(options.token)
    token_id = parsed.id if parsed else options.token
    with in_words():
        record = services.credentials.get(token_id)
        if record is None or record.kind is not CredentialKind.TOKEN or record.tenant != DEFAULT_TENANT:
            message = f"there is no token with the id {token_id}; python3 -m infra tokens lists them"
            raise Failure(message)
        services.credentials.remove(DEFAULT_TENANT, token_id)
        audit(services, "revoke_token", token_id, now_ms=now_ms)
    print(json.dumps({"id": token_id, "revoked": True}) if options.json else f"Token {record.name} is revoked.")
    return Exit.OK


def expiry_ms(text: str | None, now_ms: int) -> int | None:
    """When a token dies: after a duration, or at a time; None for never.

    Raises:
        Failure: It is neither, or not in the future.
    """
    if text is None:
        return None
    try:
        expires_ms = now_ms + times.parse_duration_s(text, field="--expires") * 1000
    except InvalidInput:
        try:
            expires_ms = times.parse_instant(text, field="--expires", now_ms=now_ms, relative=True)
        except InvalidInput:
            message = f"--expires {text} is neither a duration such as 30d nor a time such as 2027-01-31"
            raise Failure(message, Exit.BAD_OPTION) from None
    if expires_ms <= now_ms:
        message = f"--expires {text} is not in the future"
        raise Failure(message, Exit.BAD_OPTION)
    return expires_ms


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _span(token: Credential, now_ms: int) -> tuple[str, str]:
    if token.expires_ms is None:
        return times.to_iso(token.created_ms), "never"
    word = "" if token.alive(now_ms) else " (expired)"
    return times.to_iso(token.created_ms), times.to_iso(token.expires_ms) + word


def _described(token: Credential, now_ms: int) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "is_active": token.alive(now_ms),
        "created_at": times.to_iso(token.created_ms),
        "expires_at": None if token.expires_ms is None else times.to_iso(token.expires_ms),
    }
