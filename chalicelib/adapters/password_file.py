"""Devices in a password file of Mosquitto, which reads it again when it is told to."""

import os
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from chalicelib.errors import Unavailable
from chalicelib.ports import BrokerAccount, Provisioned

RELOAD_S = 30.0
PID_FILE = "mosquitto.pid"
_ONLY_OURS = 0o600


class PasswordFile:
    """`BrokerProvisioner` over ``password_file``: one line for each device that may connect.

    Every reload makes Mosquitto check the passwords of all that are connected, 60 us each, and cuts off whom it finds
    no longer right. One reload takes any number of changes, so they are gathered for a second.

    Args:
        path: The file; its owner and mode stay as they are.
        reload_command: Run after each change; when empty, SIGHUP goes to the process in `PID_FILE` beside the file,
            and to nobody when no broker runs: it reads the file when it starts.
    """

    pause_s = 1.0

    def __init__(self, path: Path, *, reload_command: str = "") -> None:
        self._path = path
        self._reload_command = reload_command
        self._lock = threading.Lock()
        self._told = False

    def put(self, accounts: Sequence[BrokerAccount]) -> Provisioned:
        stranded = tuple(each.device_id for each in accounts if each.enabled and not each.key_hash)
        wanted = {str(each.device_id): each.key_hash if each.enabled else "" for each in accounts}
        return Provisioned(self._change(wanted), stranded)

    def remove(self, device_ids: Sequence[int]) -> None:
        self._change({str(device_id): "" for device_id in device_ids})

    def device_ids(self) -> set[int]:
        with self._lock:
            return {int(name) for name in self._read() if name.isascii() and name.isdecimal()}

    def check(self) -> None:
        with self._lock:
            self._read()

    def close(self) -> None:
        """Nothing is held."""

    def _change(self, wanted: dict[str, str]) -> tuple[int, ...]:
        """Write what differs; an empty hash takes the line away. Returns the ids of which something differed."""
        with self._lock:
            lines = self._read()
            changed = tuple(int(name) for name, password in wanted.items() if lines.get(name, "") != password)
            if changed:
                self._told = False
                lines |= wanted
                self._write({name: password for name, password in lines.items() if password})
            if not self._told:  # also what another process wrote and did not live to tell
                self._reload()
                self._told = True
            return changed

    def _read(self) -> dict[str, str]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except OSError as error:
            message = f"The broker's password file {self._path.name} cannot be read"
            raise Unavailable(message) from error
        pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
        return {name: password for name, _, password in pairs}

    def _write(self, lines: dict[str, str]) -> None:
        text = "".join(f"{name}:{password}\n" for name, password in lines.items())
        try:
            descriptor, draft = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                self._keep_owner(descriptor)
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(draft).replace(self._path)
        except OSError as error:
            message = f"The broker's password file {self._path.name} cannot be written"
            raise Unavailable(message) from error

    def _keep_owner(self, descriptor: int) -> None:
        """The broker must be able to read the new file as it read the old one."""
        if not self._path.exists():
            os.fchmod(descriptor, _ONLY_OURS)
            return
        old = self._path.stat()
        os.fchmod(descriptor, old.st_mode & 0o777)
        with suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)

    def _reload(self) -> None:
        if not self._reload_command:
            self._signal()
            return
        words = shlex.split(self._reload_command)
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=RELOAD_S)  # noqa: S603 - the operator's own
        except (OSError, subprocess.SubprocessError) as error:
            message = "IOTFLOW_BROKER_RELOAD does not succeed"
            raise Unavailable(message) from error

    def _signal(self) -> None:
        try:
            pid = int(self._path.with_name(PID_FILE).read_text(encoding="ascii"))
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
                if ":\t" in line
            )
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return
        if status["Name"] != "mosquitto":
            return
        if not int(status["SigCgt"], 16) & 1 << signal.SIGHUP - 1:
            message = "The broker is starting"  # the signal would end it, and it may have read the file before
            raise Unavailable(message)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
