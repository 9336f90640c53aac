"""Accounts of a new server: no default password stays, and programs get no more rights than they need."""

import json
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from chalicelib.adapters.iotdb_connection import Access, Connection
from chalicelib.adapters.iotdb_status import Refusal

ALREADY_THERE = 501
DATABASE = "root.iotflow"
PASSWORD_BYTES = 12
"""16 characters; IoTDB takes up to 32."""
_TIMEOUT_S = 10.0
_PATH = re.compile(r"root(\.[a-z0-9_]+)+")


class Accounts(NamedTuple):
    """Passwords of the administrator `root`, and of `writer` and `reader`."""

    root: str
    writer: str
    reader: str

    def access(self, user: str) -> Access:
        """How to log in as one of them."""
        return Access(user, getattr(self, user))


def read(home: Path) -> Accounts | None:
    """The accounts of the server in *home*; None before its first start."""
    file = home / "accounts.json"
    return Accounts(**json.loads(file.read_text(encoding="ascii"))) if file.exists() else None


def make(home: Path, host: str, port: int) -> Accounts:
    """Create the database and the accounts, and change the administrator's password; again is safe.

    Raises:
        Refusal: The server does not let us.
    """
    draft = home / "accounts.new.json"
    chosen = Accounts(*(secrets.token_urlsafe(PASSWORD_BYTES) for _ in Accounts._fields))
    if draft.exists():  # interrupted before
        chosen = Accounts(**json.loads(draft.read_text(encoding="ascii")))
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(chosen._asdict()), encoding="ascii")
    try:
        connection = Connection(host, port, Access("root", "root"))
    except Refusal:  # interrupted after the password was changed
        connection = Connection(host, port, chosen.access("root"))
    try:
        create(connection, chosen)
    finally:
        connection.close()
    draft.rename(home / "accounts.json")
    return chosen


def create(connection: Connection, chosen: Accounts, database: str = DATABASE) -> None:
    """Create the database and the accounts on any server, as its administrator.

    Raises:
        Refusal: The server does not let us.
        ValueError: *database* is no path of IoTDB.
    """
    if not _PATH.fullmatch(database):
        message = "the database must be a path like root.iotflow"
        raise ValueError(message)
    _allow(connection, f"CREATE DATABASE {database}")
    for user, rights in (("writer", "READ, WRITE"), ("reader", "READ")):
        _allow(connection, f"CREATE USER `{user}` '{getattr(chosen, user)}'")
        _allow(connection, f"GRANT {rights} ON {database}.** TO USER `{user}`")
    _allow(connection, f"ALTER USER `root` SET PASSWORD '{chosen.root}'")


def _allow(connection: Connection, statement: str) -> None:
    """Execute; what is there already is fine."""
    try:
        connection.execute(statement, timeout_s=_TIMEOUT_S)
    except Refusal as refused:
        if refused.code != ALREADY_THERE and "exist" not in refused.message:
            raise
