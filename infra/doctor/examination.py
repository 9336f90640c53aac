"""Every check, with values from the real world."""

import argparse
import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chalicelib.errors import AppError
from chalicelib.settings import Settings, SettingsError, from_environment, variables
from chalicelib.wiring import Services
from infra.bootstrap import REQUIREMENTS, ROOT
from infra.commands import iotdb as command
from infra.databases import DatabaseFile, present
from infra.doctor import broker, configuration, data, iotdb, machine, service
from infra.doctor.finding import Finding, ok, wrong
from infra.environment import data_folder, gather, read_env_file
from infra.failure import Failure
from infra.installation import clock_ms
from infra.local.protocol import ConnectionLimits
from infra.local.server import SPARE_DESCRIPTORS
from infra.mosquitto import files, layout, programs
from infra.mosquitto.server import FOLDER as MOSQUITTO
from infra.mosquitto.server import Server, with_running
from infra.supervisor import procfs
from infra.supervisor.folder import RunFolder


def examine(options: argparse.Namespace) -> Iterator[Finding]:
    """Look at everything that the instance of *options* needs."""
    yield machine.python(sys.version_info[:3])
    yield from machine.packages(REQUIREMENTS, _installed)
    yield machine.sqlite(sqlite3.sqlite_version_info)
    yield machine.tools(shutil.which)
    yield broker.programs(programs.missing())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = ConnectionLimits().connections + SPARE_DESCRIPTORS
    yield machine.descriptors(-1 if hard == resource.RLIM_INFINITY else hard, wanted)
    try:
        given = gather(options)
        folder = data_folder(given)
        settings = from_environment(with_running(given, folder) | {"IOTFLOW_DATA": str(folder)})
    except (Failure, SettingsError) as error:
        yield wrong("settings", str(error), "correct it; python3 -m infra settings documents each")
        return
    yield from _configuration(options, settings)
    yield from _data(settings)
    yield from _service(settings)


def _configuration(options: argparse.Namespace, settings: Settings) -> Iterator[Finding]:
    yield ok("settings", "understood")
    file = Path(options.env) if options.env else ROOT / ".env"
    if file.exists():
        secrets = [name for variable in variables().values() if variable.secret for name in variable.names]
        yield configuration.env_file(file, read_env_file(file), secrets)
    yield from configuration.doors(settings)


def _data(settings: Settings) -> Iterator[Finding]:
    databases = present(settings)
    yield data.folder(settings.data)
    yield data.room(settings.data, data.free_bytes(settings.data))
    yield data.pepper(settings, has_records=any(each.name == "devices.db" for each in databases))
    yield from data.schemas(databases)
    yield machine.clock(time.time(), _newest_s(databases))
    if settings.data.is_dir():
        paths = [each.path for each in databases]
        yield from data.owners(settings.data, [*paths, *settings.data.glob("pepper")])
        yield from data.restores(settings.data)
    mosquitto = Server(settings.data / MOSQUITTO)
    if mosquitto.choices.get("kind") == layout.DYNSEC:
        yield broker.here(runs=mosquitto.pid() is not None, damaged=files.is_damaged(mosquitto.home))


def _service(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url:
        yield service.redis(settings.redis_url)
    yield from _iotdb(settings)
    folder = RunFolder(settings.data)
    state = folder.read_state() if folder.supervisor_pid() else None
    if state is None:
        yield ok("service", f"nothing runs with {settings.data}")
        yield service.port(settings.host, settings.port)
    else:
        yield from service.processes(state)
        yield from service.answers(state.url, service.fetch)
    yield from _records(settings, running=state is not None)


def _iotdb(settings: Settings) -> Iterator[Finding]:
    """The store that IOTDB_HOST names, and a server of this data directory if it runs."""
    server = command.server_in(settings.data)
    if server.pids():
        yield iotdb.reach(server.port, open_to_others=procfs.is_open_to_others(server.port))
        settings = from_environment({"IOTFLOW_STORE": "iotdb", **command.way_to(server)})
    if settings.store == "iotdb":
        readings = Services(settings).readings
        yield from iotdb.answers(readings, f"{settings.iotdb_host}:{settings.iotdb_port}")


def _records(settings: Settings, *, running: bool) -> Iterator[Finding]:
    """What the databases say, those of them that this release can open as they are."""
    ready = {each.name for each in present(settings) if _is_current(each)}
    services, now_ms = Services(settings), clock_ms()
    try:
        if "queue.db" in ready:
            queue = services.queue
            yield from service.queue(queue.ledger(), queue.oldest_age_s(now_ms=now_ms), running=running)
        if "devices.db" in ready:
            yield service.administrator(services.credentials, now_ms)
            if services.broker is not None:
                yield from broker.telling(services.broker, services.broker_outbox.count())
    except AppError as error:
        yield wrong("records", error.message, service.LOGS)


def _is_current(database: DatabaseFile) -> bool:
    try:
        return database.version() == database.newest
    except Failure:
        return False


def _newest_s(databases: list[DatabaseFile]) -> float:
    """When the newest file of the program or the installation was written."""
    files = [Path(__file__), *(file for each in databases for file in each.files if file.exists())]
    return max(file.stat().st_mtime for file in files)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
