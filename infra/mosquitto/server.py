"""Starts and stops a Mosquitto of this machine, ready when its listener for the bridge answers."""

import getpass
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from chalicelib.adapters.dynsec_control import Control
from chalicelib.ports import BrokerAccount
from chalicelib.settings import Settings
from infra.failure import Exit, Failure
from infra.mosquitto import files, layout, programs
from infra.mosquitto.files import Accounts
from infra.mosquitto.layout import DYNSEC, Layout

FOLDER = "mosquitto"
"""In the data directory."""
INTERNAL_HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 30.0
_POLL_S = 0.02
ENVIRONMENT = "iotflow.env"
_LOG = "mosquitto.log"
_CHOICES = "choices.json"


class Server:
    """The broker whose files are in *home*.

    Args:
        home: Its folder, without white space in its path.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    def accounts(self) -> Accounts:
        """Its accounts.

        Raises:
            Failure: There is no broker yet.
        """
        found = files.accounts(self.home)
        if found is None:
            message = f"there is no Mosquitto in {self.home}; python3 -m infra mosquitto start makes one"
            raise Failure(message, Exit.NOT_RUNNING)
        return found

    @property
    def choices(self) -> dict[str, int | str]:
        """What was chosen at the first start: layout and ports."""
        file = self.home / _CHOICES
        found: dict[str, int | str] = json.loads(file.read_text(encoding="ascii")) if file.exists() else {}
        return found

    @property
    def url(self) -> str:
        """Where the bridge and the administrator connect."""
        return f"mqtt://{INTERNAL_HOST}:{self.choices['internal_port']}"

    def pid(self) -> int | None:
        """Its process; None when it does not run."""
        try:
            pid = int((self.home / layout.PID_FILE).read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        ended = self._process is not None and self._process.pid == pid and self._process.poll() is not None
        return None if ended or str(self.home / layout.CONFIGURATION).encode() not in words else pid

    def configure(self, settings: Settings, devices: Iterable[BrokerAccount], *, kind: str = DYNSEC) -> None:
        """Write its files, with these devices and no others; accounts that are no devices' stay.

        Ports and layout stay what they were at the first time unless settings name others.

        Raises:
            Failure: The plugin is missing, or it runs.
        """
        self._refuse_running()
        kind = str(self.choices.get("kind", kind))
        ports = self._ports(settings)
        chosen = Layout(
            kind=kind,
            folder=self.home,
            host=settings.mqtt_host,
            **ports,
            certificate=settings.mqtt_certificate,
            private_key=settings.mqtt_private_key,
            internal_host=INTERNAL_HOST,
            max_packet_bytes=settings.max_batch_bytes + layout.OVERHEAD_BYTES,
            plugin=programs.plugin() if kind == DYNSEC else "",
            user=getpass.getuser(),
        )
        files.write(self.home, chosen, ())
        files.rebuild(self.home, kind, devices)
        (self.home / _CHOICES).write_text(json.dumps({"kind": kind, **ports}), encoding="ascii")
        lines = [f"{name}={value}\n" for name, value in self.environment().items()]
        files.write_privately(self.home / ENVIRONMENT, "".join(lines))

    def start(self, *, timeout_s: float = START_S) -> None:
        """Start the configured broker, and return when it answers.

        Raises:
            Failure: It is not installed, runs already, a port is taken, or it did not become ready.
        """
        program = programs.broker()
        if self.choices["kind"] == DYNSEC and files.is_damaged(self.home):
            message = f"{self.home / layout.DYNSEC_FILE} was cut off by a crash: python3 -m infra mosquitto rebuild"
            raise Failure(message, Exit.DATA_FOLDER)
        self._refuse_running()
        with (self.home / _LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self.home / layout.CONFIGURATION)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end_s = time.monotonic() + timeout_s
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end_s:
                self.kill()
                message = f"Mosquitto did not start: {self._last_words()}; see {self.home / _LOG}"
                raise Failure(message, Exit.NOT_READY)
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End it; what it holds for absent clients is on the disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def control(self) -> Control:
        """A connection of the administrator."""
        return Control(self.url, (layout.ADMIN, self.accounts().admin))

    def environment(self) -> dict[str, str]:
        """The settings with which IoTFlow works with this broker."""
        accounts, choices = self.accounts(), self.choices
        found = {
            "IOTFLOW_BROKER_URL": self.url,
            "IOTFLOW_BROKER_USER": layout.BRIDGE,
            "IOTFLOW_BROKER_PASSWORD": accounts.bridge,
            "IOTFLOW_BROKER_PROVISIONER": str(choices["kind"]),
            "MQTT_PORT": str(choices["port"]),
            "MQTT_WEBSOCKET_PORT": str(choices["websocket_port"]),
        }
        if choices["kind"] == DYNSEC:
            return found | {
                "IOTFLOW_BROKER_ADMIN_USER": layout.ADMIN,
                "IOTFLOW_BROKER_ADMIN_PASSWORD": accounts.admin,
            }
        return found | {"IOTFLOW_BROKER_PASSWORD_FILE": str(self.home / layout.PASSWORD_FILE)}

    def _ports(self, settings: Settings) -> dict[str, int]:
        """Those that are set, else those of the first time, else free ones."""
        known = self.choices
        wanted = {
            "port": settings.mqtt_port,
            "websocket_port": settings.mqtt_websocket_port,
            "tls_port": settings.mqtt_tls_port,
            "internal_port": 0,
        }
        ports = {name: port or int(known.get(name, 0)) or _free_port() for name, port in wanted.items()}
        return ports if settings.mqtt_certificate is not None else ports | {"tls_port": 0}

    def _refuse_running(self) -> None:
        if self.pid() is not None:
            message = f"Mosquitto runs already in {self.home}"
            raise Failure(message, Exit.ALREADY_RUNNING)

    def _is_ready(self) -> bool:
        if self.pid() is None:
            return False
        try:
            socket.create_connection((INTERNAL_HOST, int(self.choices["internal_port"])), timeout=1).close()
        except OSError:
            return False
        return True

    def _last_words(self) -> str:
        lines = (self.home / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.partition(": ")[2] for line in lines[-20:] if "Error" in line]
        return errors[-1] if errors else "no reason given"

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, number)
        if self._process is not None and self._process.pid == pid:
            self._process.wait(STOP_S)
            return
        end_s = time.monotonic() + STOP_S
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end_s:
            time.sleep(_POLL_S)


def with_running(variables: Mapping[str, str], data: Path) -> dict[str, str]:
    """The variables, and how to work with the broker of this data directory, if it runs and they name no other.

    So what a command does to devices, the broker of `up --broker` is told, too.
    """
    server = Server(data / FOLDER)
    if "IOTFLOW_BROKER_PROVISIONER" in variables or server.pid() is None:
        return dict(variables)
    return server.environment() | dict(variables)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((INTERNAL_HOST, 0))
        return int(taken.getsockname()[1])
