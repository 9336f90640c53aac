"""The embedded databases of an installation, as files: where each is, and which schema it has."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from chalicelib.adapters import (
    sqlite_audit,
    sqlite_commands,
    sqlite_counters,
    sqlite_idempotency,
    sqlite_presence,
    sqlite_queue_tables,
    sqlite_readings,
    sqlite_registry,
)
from chalicelib.adapters.sqlite import Database
from chalicelib.settings import Settings
from infra.failure import Failure

DEVICES = "devices.db"
# In the order in which a backup copies them: see infra.backup.writing.
_MIGRATIONS: dict[str, Sequence[str]] = {
    "idempotency.db": sqlite_idempotency.MIGRATIONS,
    "queue.db": sqlite_queue_tables.MIGRATIONS,
    "telemetry.db": sqlite_readings.MIGRATIONS,
    "presence.db": sqlite_presence.MIGRATIONS,
    "counters.db": sqlite_counters.MIGRATIONS,
    "commands.db": sqlite_commands.MIGRATIONS,
    DEVICES: sqlite_registry.MIGRATIONS,
    "audit.db": sqlite_audit.MIGRATIONS,
}
_WAIT_S = 5.0


class DatabaseFile(NamedTuple):
    """One embedded database; the file need not exist.

    Attributes:
        name: What it is called in messages and backups, whatever its path.
        path: Where it is.
        migrations: As its adapter has them; their number is the newest schema.
    """

    name: str
    path: Path
    migrations: Sequence[str]

    @property
    def newest(self) -> int:
        """The schema that this release works with."""
        return len(self.migrations)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file and what SQLite keeps beside it."""
        return (self.path, *(self.path.with_name(self.path.name + suffix) for suffix in ("-wal", "-shm")))

    def version(self) -> int:
        """The schema that the file has, which must exist; 0 for an empty file.

        Raises:
            Failure: It is no database, or a damaged one.
        """
        try:
            with closing(self.connect()) as connection:
                return int(connection.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.DatabaseError as error:
            message = (
                f"{self.path} cannot be read as a database ({error}); python3 -m infra restore brings a backup back"
            )
            raise Failure(message) from None

    def refuse_newer(self) -> int:
        """The schema that the file has.

        Raises:
            Failure: A newer release wrote it, or it cannot be read.
        """
        version = self.version()
        if version > self.newest:
            message = (
                f"{self.path} has schema {version}, and this release knows up to {self.newest}: "
                "upgrade IoTFlow, or restore a backup that this release made"
            )
            raise Failure(message)
        return version

    def migrate(self) -> None:
        """Bring the file to the newest schema, in one transaction."""
        database = Database(self.path, self.migrations)
        database.migrate()
        database.close()

    def damage(self, check: str = "integrity_check") -> str | None:
        """The first thing that SQLite finds wrong with the file, None when it is sound; reads all of it."""
        try:
            with closing(self.connect()) as connection:
                found = str(connection.execute(f"PRAGMA {check}(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            found = str(error)
        return None if found == "ok" else found.splitlines()[-1]  # the first line only says in which database

    def connect(self) -> sqlite3.Connection:
        """A connection to the file as it is, which must exist; nothing is migrated."""
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_S)


def databases(settings: Settings) -> list[DatabaseFile]:
    """Every embedded database that an installation can have, in the order of a backup."""
    devices = settings.devices_file or settings.data / DEVICES
    return [
        DatabaseFile(name, devices if name == DEVICES else settings.data / name, migrations)
        for name, migrations in _MIGRATIONS.items()
    ]


def present(settings: Settings) -> list[DatabaseFile]:
    """Those of `databases` whose files exist, in the same order."""
    return [database for database in databases(settings) if database.path.exists()]
