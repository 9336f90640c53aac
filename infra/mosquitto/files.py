"""Writes Mosquitto's files into a folder; what holds accounts is made once and then kept."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.keys import broker_hash
from chalicelib.ports import BrokerAccount
from infra.mosquitto import layout
from infra.mosquitto.layout import ADMIN, BRIDGE, DYNSEC, Layout

ACCOUNTS = "accounts.json"
_PASSWORD_BYTES = 24


class Accounts(NamedTuple):
    """Passwords of the administrator and the bridge."""

    admin: str
    bridge: str


def accounts(folder: Path) -> Accounts | None:
    """The accounts of the broker in *folder*; None when there is none."""
    file = folder / ACCOUNTS
    return Accounts(**json.loads(file.read_text(encoding="ascii"))) if file.exists() else None


def write(folder: Path, chosen: Layout, devices: Iterable[BrokerAccount]) -> None:
    """Write all files; again changes nothing but what was chosen differently.

    Args:
        folder: Where to; `chosen.folder` is what the broker calls it.
        chosen: What is asked for.
        devices: Whom a new file of accounts begins with.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = accounts(folder)
    if ours is None:
        ours = Accounts(*(secrets.token_urlsafe(_PASSWORD_BYTES) for _ in Accounts._fields))
        write_privately(folder / ACCOUNTS, json.dumps(ours._asdict()) + "\n")
    write_privately(folder / layout.CONFIGURATION, layout.configuration(chosen))
    write_privately(folder / layout.ACCESS, layout.access())
    if chosen.kind == DYNSEC and is_damaged(folder):
        write_privately(folder / layout.DYNSEC_FILE, _dynsec(ours, devices))
    elif chosen.kind != DYNSEC and not (folder / layout.PASSWORD_FILE).exists():
        write_privately(folder / layout.PASSWORD_FILE, _passwords(ours, devices))


def is_damaged(folder: Path) -> bool:
    """Whether dynsec.json is missing or cut off: Mosquitto 2.0.11 writes it in place, and may be killed meanwhile.

    Source: plugins/dynamic-security/plugin.c of 2.0.11, dynsec__config_save: the name of the draft is cut to that of
    the file.
    """
    try:
        content = json.loads((folder / layout.DYNSEC_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return True
    return not isinstance(content, dict) or not {"clients", "roles"} <= content.keys()


def rebuild(folder: Path, kind: str, devices: Iterable[BrokerAccount]) -> int:
    """Write every device anew, while the broker is stopped; accounts that are no devices' stay. Returns how many."""
    known = [account for account in devices if account.key_hash]
    ours = accounts(folder) or Accounts("", "")
    if kind != DYNSEC:
        write_privately(folder / layout.PASSWORD_FILE, _passwords(ours, known))
        return len(known)
    file = folder / layout.DYNSEC_FILE
    if is_damaged(folder):
        write_privately(file, _dynsec(ours, known))
        return len(known)
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    others = [client for client in content["clients"] if not client["username"].isdecimal()]
    content["clients"] = [*others, *map(layout.device, known)]
    write_privately(file, json.dumps(content))
    return len(known)


def agrees(folder: Path, kind: str, devices: Iterable[BrokerAccount]) -> bool:
    """Whether the broker's file has exactly these devices, with these keys; those without a hash do not count."""
    wanted = {str(each.device_id): each for each in devices if each.key_hash}
    if kind != DYNSEC:
        lines = (folder / layout.PASSWORD_FILE).read_text(encoding="utf-8").splitlines()
        found = {name: hashed for name, _, hashed in (line.partition(":") for line in lines) if name.isdecimal()}
        return found == {name: each.key_hash for name, each in wanted.items() if each.enabled}
    if is_damaged(folder):
        return False
    clients = json.loads((folder / layout.DYNSEC_FILE).read_text(encoding="utf-8"))["clients"]
    known = {each["username"]: each for each in clients if each["username"].isdecimal()}
    return {name: (each.get("textname"), not each.get("disabled", False)) for name, each in known.items()} == {
        name: (each.key_id, each.enabled) for name, each in wanted.items()
    }


def _dynsec(ours: Accounts, devices: Iterable[BrokerAccount]) -> str:
    staff = [layout.client(name, broker_hash(getattr(ours, name)), name) for name in (ADMIN, BRIDGE)]
    return json.dumps(layout.dynsec([*staff, *(layout.device(each) for each in devices if each.key_hash)]))


def _passwords(ours: Accounts, devices: Iterable[BrokerAccount]) -> str:
    lines = [f"{BRIDGE}:{broker_hash(ours.bridge)}"]
    lines += [f"{each.device_id}:{each.key_hash}" for each in devices if each.enabled and each.key_hash]
    return "\n".join(lines) + "\n"


def write_privately(file: Path, text: str) -> None:
    """Atomically, for nobody else's eyes; a file that was there keeps its owner and mode."""
    if file.exists():
        mode, owner = file.stat().st_mode & 0o777, file.stat()
    else:
        mode, owner = 0o600, None
    draft = file.with_name(f".{file.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.chmod(mode)
    if owner is not None and owner.st_uid != draft.stat().st_uid:
        os.chown(draft, owner.st_uid, owner.st_gid)
    draft.replace(file)
