"""`up`: start everything, wait until it serves, say where."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chalicelib.adapters.gated_readings import FILE, read_home
from chalicelib.settings import Settings, SettingsError, from_environment
from infra import first_start, terminal
from infra.backup.marker import unfinished
from infra.environment import add_data_options, data_folder, gather, require_home
from infra.failure import Exit, Failure
from infra.supervisor import background
from infra.supervisor.folder import RunFolder
from infra.supervisor.listeners import open_all, ports, with_free_ports
from infra.supervisor.loop import Supervisor
from infra.supervisor.output import LogFiles, Output, Screen
from infra.supervisor.plan import processes
from infra.supervisor.sockets import mqtt_url_of, url_of


def add_up(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-d", "--detach", action="store_true", help="run in the background; return when ready")
    parser.add_argument("--json", action="store_true", help="print url, mqtt, token, pids and data as one line of JSON")
    parser.add_argument("--host", help="address to listen on [HOST, 127.0.0.1]")
    parser.add_argument("--port", help="port to listen on, 0 for a free one [PORT, 5000]")
    parser.add_argument("--mqtt-port", help="MQTT port to listen on, 0 for a free one [MQTT_PORT, 1883]")
    parser.add_argument(
        "--broker", choices=["mosquitto"], help="what devices connect to instead of the gateway: one started here"
    )
    parser.add_argument(
        "--aws", choices=("elasticmq", "localstack", "moto"), help="queue and records in emulators of AWS's services"
    )
    parser.add_argument("--store", help="where telemetry is stored [IOTFLOW_STORE, sqlite]")
    add_data_options(parser)
    parser.set_defaults(run=up)


def up(options: argparse.Namespace) -> int:
    """Start an instance; in the foreground, until a signal ends it.

    Raises:
        Failure: A setting, the data directory, the port or a process does not work.
    """
    variables = gather(options)
    require_home(variables)
    settings = _checked(variables)
    folder = RunFolder(data_folder(variables))
    folder.claim()
    _refuse_mixed(folder)
    variables |= _store(settings, variables)
    if options.aws:
        variables |= _aws(options.aws, variables)
        settings = _checked(variables)
    if options.broker:
        variables |= _broker(settings, variables)
        settings = _checked(variables)
    listeners = open_all(settings, variables)
    variables |= {"HOST": settings.host, **ports(listeners), "IOTFLOW_DATA": str(folder.data)}
    variables["IOTFLOW_MQTT_GATEWAY"] = str(settings.serves_mqtt).lower()
    if not options.detach and sys.stdout.isatty():
        variables.setdefault("IOTFLOW_LOG_FORMAT", "text")
    plans = processes(settings)
    mqtt_url = mqtt_url_of(listeners["mqtt"]) if "mqtt" in listeners else _broker_url(options, settings)
    output: Output = LogFiles(folder.logs)
    if not options.detach:
        output = Screen(sys.stderr if options.json else sys.stdout, [plan.name for plan in plans])

    def supervisor() -> Supervisor:
        return Supervisor(
            plans,
            environment=variables,
            listeners=listeners,
            folder=folder,
            mqtt_url=mqtt_url,
            output=output,
            background=options.detach,
            refresh=lambda: _store_now(variables, folder),
        )

    def announce(pids: dict[str, int]) -> None:
        report = {
            "url": url_of(listeners["http"]),
            "mqtt": mqtt_url,
            "ports": {name: listener.getsockname()[1] for name, listener in listeners.items()},
            "token": _token(variables),
            "pids": pids,
            "data": str(folder.data),
        }
        print(json.dumps(report) if options.json else welcome(report, detached=options.detach), flush=True)

    if options.detach:
        announce(background.start(supervisor, folder))
    else:
        running = supervisor()
        running.run(lambda: announce(running.pids))
    return Exit.OK


def welcome(report: dict[str, Any], *, detached: bool) -> str:
    """What a person sees when everything runs."""
    url, token = report["url"], report["token"]
    shown = f"\n  token  {terminal.paint(token, terminal.GREEN)}\n         the administrator's, shown only this once"
    return f"""
{terminal.paint("IoTFlow is running.", terminal.BOLD)}

  API    {terminal.paint(url, terminal.CYAN)}
  MQTT   {terminal.paint(report["mqtt"], terminal.CYAN)}
  docs   {url}/docs
  data   {report["data"]}{shown if token else ""}

Register a device:

  curl -X POST {url}/api/v1/devices/register \\
       -H 'Content-Type: application/json' \\
       -d '{{"name": "sensor-1", "device_type": "sensor"}}'

Stop it with {"python3 -m infra down" if detached else "Ctrl-C"}.
"""


def _checked(variables: dict[str, str]) -> Settings:
    """Valid settings that several processes can share."""
    try:
        chosen = from_environment(variables)
    except SettingsError as error:
        raise Failure(str(error), Exit.BAD_OPTION) from None
    for name in ("devices", "queue", "store"):
        if getattr(chosen, name) == "memory":
            message = f"IOTFLOW_{name.upper()}=memory works in a single process only (chalice local); take sqlite"
            raise Failure(message, Exit.BAD_OPTION)
    return chosen


def _store(settings: Settings, variables: Mapping[str, str]) -> dict[str, str]:
    """How to reach IoTDB: a server of this data directory, unless IOTDB_HOST names another."""
    if settings.store != "iotdb" or variables.get("IOTDB_HOST"):
        return {}
    from infra.commands import iotdb

    return iotdb.use(iotdb.server_in(data_folder(variables)))


def _aws(kind: str, variables: Mapping[str, str]) -> dict[str, str]:
    """How to work with emulators of this data directory, which run on when the instance stops: they forget."""
    from infra.emulators import serve

    return serve.use(kind, data_folder(variables) / "emulators").variables


def _broker(settings: Settings, variables: Mapping[str, str]) -> dict[str, str]:
    """How to work with the Mosquitto of this data directory, which runs on when the instance stops, as brokers do."""
    from infra.commands import mosquitto

    data = data_folder(variables)
    return mosquitto.use(mosquitto.server_in(data), replace(with_free_ports(settings, variables), data=data))


def _broker_url(options: argparse.Namespace, settings: Settings) -> str:
    """Where devices connect."""
    return f"mqtt://{settings.mqtt_host}:{settings.mqtt_port}" if options.broker else settings.broker_url


def _store_now(variables: Mapping[str, str], folder: RunFolder) -> dict[str, str]:
    """The store that has the telemetry since `move-store`, and how to reach it."""
    home = read_home(folder.data / FILE)
    if not home.store:
        return {}
    now = {**variables, "IOTFLOW_STORE": home.store}
    return {"IOTFLOW_STORE": home.store, **_store(_checked(now), now)}


def _refuse_mixed(folder: RunFolder) -> None:
    """Do not start on what an interrupted restore left: empty databases would be made for those not yet in place."""
    marks = unfinished(folder.data)
    if marks:
        message = f"a restore into {folder.data} was interrupted: restore again; {marks[0].parent} has what was there"
        raise Failure(message, Exit.DATA_FOLDER)


def _token(variables: dict[str, str]) -> str | None:
    try:
        return first_start.first_token(variables)
    except Failure as failure:
        print(f"{terminal.paint('iotflow:', terminal.YELLOW, sys.stderr)} {failure}", file=sys.stderr)
        return None
