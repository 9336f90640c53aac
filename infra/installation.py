"""The installation that a command works on: its settings and ports, and its failures in an operator's words."""

import argparse
import getpass
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.errors import AppError, Unavailable
from chalicelib.model import DEFAULT_TENANT, AuditEntry
from chalicelib.settings import Settings, SettingsError, from_environment
from chalicelib.wiring import Services
from infra.databases import databases
from infra.environment import data_folder, gather, require_home
from infra.failure import Exit, Failure
from infra.mosquitto.server import with_running
from infra.supervisor import procfs
from infra.supervisor.folder import RunFolder


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings of the instance that *options* name; its data directory is absolute.

    Raises:
        Failure: A setting cannot be used.
    """
    variables = gather(options)
    require_home(variables)
    data = data_folder(variables)
    try:
        return from_environment(with_running(variables, data) | {"IOTFLOW_DATA": str(data)})
    except SettingsError as error:
        raise Failure(str(error), Exit.BAD_OPTION) from None


def open_records(options: argparse.Namespace, *, make: bool = False) -> Services:
    """The ports to an installation's records.

    Args:
        options: Name the instance.
        make: Begin an installation where there is none, rather than refuse what may be a typo.

    Raises:
        Failure: A setting cannot be used, there is no data directory, or records live in memory only.
    """
    settings = settings_of(options)
    if settings.devices == "memory":
        message = "IOTFLOW_DEVICES=memory keeps records within one process, where no command sees them; take sqlite"
        raise Failure(message, Exit.BAD_OPTION)
    if not make and not settings.data.is_dir():
        message = f"there is no data directory {settings.data}; choose another with --data, or begin with up"
        raise Failure(message, Exit.DATA_FOLDER)
    with in_words():
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Services(settings)


@contextmanager
def at_rest(settings: Settings) -> Iterator[None]:
    """Hold the installation for this command alone: within the block nothing can be started on it.

    Raises:
        Failure: It runs, or another program has one of its databases open.
    """
    folder = RunFolder(settings.data)
    pid = folder.supervisor_pid()
    if pid is not None:
        message = f"an instance runs with the data directory {settings.data}, process {pid}; stop it with down"
        raise Failure(message, Exit.ALREADY_RUNNING)
    folder.claim()
    try:
        for database in databases(settings):
            users = procfs.holders({str(database.path.resolve())})
            if users:
                message = f"process {users[0]} has {database.path} open; end it first"
                raise Failure(message, Exit.ALREADY_RUNNING)
        yield
    finally:
        folder.release()


def clock_ms() -> int:
    """Epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000


def audit(services: Services, action: str, target: str, *, now_ms: int, detail: str = "") -> None:
    """Record what this command did, under the name of whoever runs it."""
    actor = f"operator:{user()}"
    services.audit.append(AuditEntry(DEFAULT_TENANT, now_ms, actor, action, target, "done", "local", detail))


def user() -> str:
    """The name of the operating system's user; the number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@contextmanager
def in_words() -> Iterator[None]:
    """Turn every failure that has a meaning into one sentence.

    Raises:
        Failure: Says what failed; a traceback is left for bugs.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise Failure(message, Exit.BAD_OPTION) from None
    except Unavailable as error:
        message = f"{error.message}; python3 -m infra doctor looks for the reason"
        raise Failure(message) from None
    except AppError as error:
        raise Failure(error.message) from None
    except NewerSchemaError as error:
        raise Failure(str(error)) from None
    except sqlite3.Error as error:
        message = f"SQLite says: {error}; python3 -m infra doctor looks for the reason"
        raise Failure(message) from None
    except OSError as error:
        message = f"{error.filename or 'the file system'}: {error.strerror or error}"
        raise Failure(message, Exit.DATA_FOLDER) from None
