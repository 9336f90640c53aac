"""Devices as clients of Mosquitto's dynamic security plugin."""

from collections.abc import Iterator, Sequence
from typing import Any

from chalicelib.adapters.dynsec_control import Answer, Control
from chalicelib.errors import Unavailable
from chalicelib.ports import BrokerAccount, Provisioned

ROLE = "device"
QUESTIONS = 100
COMMANDS = 5
"""In one message. Mosquitto 2.0 writes its file after each command, and serves nobody meanwhile."""
PAGE = 1000
NOT_FOUND = "Client not found"

Command = dict[str, Any]


class DynsecProvisioner:
    """`BrokerProvisioner` over the plugin: a client for each device, bound to its client id, with the devices' role.

    The plugin takes passwords in clear only and hashes them itself, and tells nobody what it has. So the id of the key
    that is the password is kept beside it, as the client's text name: that is how a comparison knows which it is.
    Every command makes the broker write its file, 3 ms for 1 000 devices; what is right already costs only a question.

    Args:
        control: The connection.
    """

    pause_s = 0.0

    def __init__(self, control: Control) -> None:
        self._control = control

    def put(self, accounts: Sequence[BrokerAccount]) -> Provisioned:
        changed, stranded = list[int](), list[int]()
        for chunk in _chunks(accounts, QUESTIONS):
            answers = self._control.ask([_get(account.device_id) for account in chunk])
            commands = list[Command]()
            for account, answer in zip(chunk, answers, strict=True):
                needed = _commands(account, _client(answer))
                commands += needed
                changed += [account.device_id] if needed else []
                stranded += [account.device_id] if _is_stranded(account, _client(answer)) else []
            self._carry_out(commands)
        return Provisioned(tuple(changed), tuple(stranded))

    def remove(self, device_ids: Sequence[int]) -> None:
        self._carry_out([{"command": "deleteClient", "username": str(each)} for each in device_ids])

    def device_ids(self) -> set[int]:
        found, offset = set[int](), 0
        while True:
            (answer,) = self._control.ask([{"command": "listClients", "count": PAGE, "offset": offset}])
            _refuse_error(answer)
            names = answer["data"]["clients"]
            if not names:
                return found
            found.update(int(name) for name in names if name.isascii() and name.isdecimal())
            offset += len(names)

    def check(self) -> None:
        (answer,) = self._control.ask([{"command": "getRole", "rolename": ROLE}])
        _refuse_error(answer)

    def close(self) -> None:
        self._control.close()

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for chunk in _chunks(commands, COMMANDS):
            for answer in self._control.ask(chunk):
                if answer.get("error") != NOT_FOUND:
                    _refuse_error(answer)


def _commands(account: BrokerAccount, client: Answer | None) -> list[Command]:
    """What makes *client* what *account* says; nothing when it is already, or when its key cannot be told."""
    name = {"username": str(account.device_id)}
    disable, enable = {"command": "disableClient", **name}, {"command": "enableClient", **name}
    if client is None:
        return _created(account) if account.key else []
    is_enabled = not client.get("disabled", False)
    if not _knows_key(account, client) and not account.key:
        return [disable] if is_enabled else []
    commands = list[Command]()
    if is_enabled and not account.enabled:
        commands.append(disable)
    changes = _changes(account, client)
    if changes:
        commands.append({"command": "modifyClient", **name, **changes})
    if account.enabled and not is_enabled:
        commands.append(enable)
    return commands


def _created(account: BrokerAccount) -> list[Command]:
    name = str(account.device_id)
    identity = {"username": name, "clientid": name, "roles": [{"rolename": ROLE}]}
    password = {"password": account.key, "textname": account.key_id}
    if account.enabled:
        return [{"command": "createClient", **identity, **password}]
    # Without a password until it is disabled: nobody gets in between.
    return [
        {"command": "createClient", **identity},
        {"command": "disableClient", "username": name},
        {"command": "modifyClient", "username": name, **password},
    ]


def _changes(account: BrokerAccount, client: Answer) -> Command:
    changes: Command = {}
    if not _knows_key(account, client):
        changes |= {"password": account.key, "textname": account.key_id}
    if client.get("clientid") != str(account.device_id):
        changes["clientid"] = str(account.device_id)
    if [role["rolename"] for role in client.get("roles", [])] != [ROLE]:
        changes["roles"] = [{"rolename": ROLE}]
    return changes


def _knows_key(account: BrokerAccount, client: Answer) -> bool:
    return bool(account.key_id) and client.get("textname") == account.key_id


def _is_stranded(account: BrokerAccount, client: Answer | None) -> bool:
    return account.enabled and not account.key and (client is None or not _knows_key(account, client))


def _get(device_id: int) -> Command:
    return {"command": "getClient", "username": str(device_id)}


def _client(answer: Answer) -> Answer | None:
    if answer.get("error") == NOT_FOUND:
        return None
    _refuse_error(answer)
    found: Answer = answer["data"]["client"]
    return found


def _refuse_error(answer: Answer) -> None:
    if "error" in answer:
        message = f"The broker's dynamic security refuses {answer.get('command')}: {answer['error']}"
        raise Unavailable(message)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
