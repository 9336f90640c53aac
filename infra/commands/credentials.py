"""`create-admin` and `create-device`: credentials without HTTP. What is shown once is kept nowhere."""

import argparse
import json
from itertools import count

from chalicelib import devices, tokens
from chalicelib.api.device_shapes import Registration
from chalicelib.api.devices import draft_from
from chalicelib.api.tokens import TokenRequest
from chalicelib.model import DEFAULT_TENANT, CredentialKind, Scope
from chalicelib.wiring import Services
from infra import terminal
from infra.environment import add_data_options
from infra.failure import Exit
from infra.installation import audit, clock_ms, in_words, open_records

DEVICE_TYPE = "sensor"


def add_create_admin(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--name", help="what lists and the audit log call the token [admin]")
    parser.add_argument("--json", action="store_true", help="one line of JSON: id, name, token")
    add_data_options(parser)
    parser.epilog = "Example: python3 -m infra create-admin --name anna"
    parser.set_defaults(run=create_admin)


def create_admin(options: argparse.Namespace) -> int:
    """Make a token that may do everything, and print it this once.

    Raises:
        Failure: A live token has this name, or the records cannot be written.
    """
    services, now_ms = open_records(options, make=True), clock_ms()
    with in_words():
        name = options.name or free_name(services, now_ms)
        wanted = TokenRequest(name=name, scopes=[Scope.ADMIN], expires_at=None)
        made = tokens.issue_token(
            wanted.name,
            frozenset(wanted.scopes),
            tenant=DEFAULT_TENANT,
            credentials=services.credentials,
            pepper=services.pepper,
            now_ms=now_ms,
        )
        audit(services, "create_token", f"token:{wanted.name}", now_ms=now_ms, detail=Scope.ADMIN)
    if options.json:
        print(json.dumps({"id": made.id, "name": wanted.name, "token": made.text}))
    else:
        show_once(f"Administrator {wanted.name}, id {made.id}.", "token", made.text)
    return Exit.OK


def free_name(services: Services, now_ms: int) -> str:
    """``admin``, or ``admin 2``, or the first such name that no live token has."""
    held = services.credentials.of_kind(DEFAULT_TENANT, CredentialKind.TOKEN)
    taken = {token.name for token in held if token.alive(now_ms)}
    names = ("admin" if number == 1 else f"admin {number}" for number in count(1))
    return next(name for name in names if name not in taken)


def add_create_device(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="unique, 1 to 100 characters")
    parser.add_argument(
        "--type", default=DEVICE_TYPE, metavar="TYPE", help=f"what kind of device it is [{DEVICE_TYPE}]"
    )
    parser.add_argument("--location", default="", metavar="PLACE", help="where it is")
    parser.add_argument("--json", action="store_true", help="one line of JSON: id, name, device_type, api_key")
    add_data_options(parser)
    parser.epilog = "Example: python3 -m infra create-device boiler --type heating"
    parser.set_defaults(run=create_device)


def create_device(options: argparse.Namespace) -> int:
    """Register a device, and print its id and, this once, its key.

    Raises:
        Failure: The name is taken or not possible, or the records cannot be written.
    """
    services, now_ms = open_records(options, make=True), clock_ms()
    with in_words():
        wanted = Registration(name=options.name, device_type=options.type, location=options.location)
        made = devices.register(
            draft_from(wanted, now_ms=now_ms),
            devices=services.devices,
            credentials=services.credentials,
            pepper=services.pepper,
            now_ms=now_ms,
        )
        audit(services, "create_device", f"device:{made.device.id}", now_ms=now_ms, detail=made.device.name)
    device = made.device
    if options.json:
        shown = {"id": device.id, "name": device.name, "device_type": device.device_type, "api_key": made.key}
        print(json.dumps(shown))
    else:
        show_once(f"Device {device.name}, id {device.id}, type {device.device_type}.", "key", made.key)
    return Exit.OK


def show_once(heading: str, kind: str, secret: str) -> None:
    """Print a secret with what belongs to it."""
    print(f"{heading}\n\n  {kind}  {terminal.paint(secret, terminal.GREEN)}\n\nIt is shown only this once.")
