"""What Mosquitto is told: listeners, limits, topics and roles. Text only, no file is touched here.

Devices reach listeners that replace their client id by their user name, so that nobody takes over the session of
another. The bridge and the administrator have a listener of their own, on loopback unless asked otherwise. What a
device may publish and read is in the access file; that it may not even ask for anything else is in dynamic security.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.ports import BrokerAccount
from chalicelib.topics import BASE, CATALOGUE

ADMIN, BRIDGE, DEVICE = "admin", "bridge", "device"
DYNSEC, PASSWORDS = "dynsec", "passwords"
LAYOUTS = (DYNSEC, PASSWORDS)
CONFIGURATION, ACCESS, DYNSEC_FILE, PASSWORD_FILE, PID_FILE = (
    "mosquitto.conf",
    "acl",
    "dynsec.json",
    "passwords",
    "mosquitto.pid",
)
MAX_QUEUED_BYTES = 1024**3
"""For each client that is away: the bridge's hour at 2 500 messages a second of 100 bytes."""
OVERHEAD_BYTES = 1024
_CONTROL = "$CONTROL/dynamic-security/#"
_HIGH, _LOW = 10, -1


class Layout(NamedTuple):
    """What can be chosen.

    Attributes:
        kind: One of `LAYOUTS`.
        folder: Where the broker finds its files.
        host: Address of the devices' listeners.
        port: Port of MQTT.
        websocket_port: Port of MQTT over WebSocket; 0 for none.
        tls_port: Port of MQTT over TLS; 0 for none.
        certificate: PEM file of the certificate chain, with `tls_port`.
        private_key: PEM file of its key.
        internal_host: Address of the listener for the bridge and the administrator.
        internal_port: Its port.
        max_packet_bytes: Largest message.
        plugin: The plugin's file, for dynamic security.
        user: Whom a broker that root starts becomes; empty leaves it to the broker.
    """

    kind: str
    folder: Path
    host: str
    port: int
    websocket_port: int
    tls_port: int
    certificate: Path | None
    private_key: Path | None
    internal_host: str
    internal_port: int
    max_packet_bytes: int
    plugin: str
    user: str


def configuration(layout: Layout) -> str:
    """The text of mosquitto.conf; for 2.0.11 and later."""
    lines = [
        "# Made by python3 -m infra mosquitto config, which overwrites it.",
        "per_listener_settings false",
        "allow_anonymous false",
        *_files(layout),
        *([f"user {layout.user}"] if layout.user else []),
        "log_dest stdout",
        *(f"log_type {level}" for level in ("error", "warning", "notice")),
        "# What was acknowledged is on the disk a second later.",
        "persistence true",
        "autosave_interval 1",
        "# A number of messages as limit drops what was acknowledged; the ceiling only keeps the machine alive.",
        "max_queued_messages 0",
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        "max_inflight_messages 1000",
        "persistent_client_expiration 30d",
        f"max_packet_size {layout.max_packet_bytes}",
        "set_tcp_nodelay true",
        *_listeners(layout),
    ]
    return "\n".join(lines) + "\n"


def _files(layout: Layout) -> list[str]:
    folder = layout.folder
    accounts = [f"password_file {folder / PASSWORD_FILE}"]
    if layout.kind == DYNSEC:
        accounts = [f"plugin {layout.plugin}", f"plugin_opt_config_file {folder / DYNSEC_FILE}"]
    others = [f"acl_file {folder / ACCESS}", f"pid_file {folder / PID_FILE}", f"persistence_location {folder}/"]
    return accounts + others


def _listeners(layout: Layout) -> list[str]:
    lines = _devices_listener(layout.port, layout.host)
    if layout.websocket_port:
        lines += [*_devices_listener(layout.websocket_port, layout.host), "protocol websockets"]
    if layout.tls_port:
        lines += [
            *_devices_listener(layout.tls_port, layout.host),
            f"certfile {layout.certificate}",
            f"keyfile {layout.private_key}",
            "tls_version tlsv1.2",
        ]
    return [*lines, "# The bridge and the administrator.", f"listener {layout.internal_port} {layout.internal_host}"]


def _devices_listener(port: int, host: str) -> list[str]:
    return [f"listener {port} {host}", "use_username_as_clientid true"]


def access() -> str:
    """The text of the access file: the bridge does everything, a device what the catalogue of topics gives it."""
    lines = ["# Made by python3 -m infra mosquitto config, which overwrites it.", f"user {BRIDGE}"]
    lines.append(f"topic readwrite {BASE}/#")
    for up, filter_ in device_filters("%u"):
        lines.append(f"pattern {'write' if up else 'read'} {filter_}")
    return "\n".join(lines) + "\n"


def device_filters(device_id: str) -> list[tuple[bool, str]]:
    """What a device may publish (True) and read (False).

    Topics without the device's id are not among them: a broker cannot tell whose they are. So registration over MQTT
    and ThingsBoard's topics are the gateway's alone.
    """
    found = []
    for entry in CATALOGUE:
        first, *rest = entry.pattern.split("{device_id}")
        if rest:
            levels = ["+" if level.startswith("{") else level for level in rest[0].split("/")]
            found.append((entry.up, first + device_id + "/".join(levels)))
    return found


def dynsec(clients: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of a new dynsec.json with these clients."""
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": list(clients),
        "groups": [],
        "roles": [
            {"rolename": ADMIN, "acls": [_rule(kind, _CONTROL) for kind in _EVERYTHING]},
            {
                "rolename": BRIDGE,
                "acls": [
                    _rule("subscribePattern", f"{BASE}/#"),
                    _rule("subscribePattern", "$CONTROL/#", priority=_LOW, allow=False),
                ],
            },
            {"rolename": DEVICE, "acls": _device_rules()},
        ],
    }


_EVERYTHING = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")


def _device_rules() -> list[dict[str, Any]]:
    """Subscribing is refused but for what devices read; whose it is, the access file asks when a message comes.

    Mosquitto 2.0 knows no placeholder here, so the one role allows the topics of all; nothing is heard from another's.
    """
    allowed = sorted({filter_ for up, filter_ in device_filters("+") if not up} | {f"{BASE}/devices/+/commands/#"})
    refused = ("#", "$share/#", "$SYS/#", "$CONTROL/#")
    return [
        *(_rule("subscribePattern", filter_, priority=_HIGH) for filter_ in allowed),
        *(_rule("subscribePattern", filter_, priority=_LOW, allow=False) for filter_ in refused),
    ]


def _rule(kind: str, topic: str, *, priority: int = 0, allow: bool = True) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "priority": priority, "allow": allow}


def client(name: str, password_hash: str, role: str) -> dict[str, Any]:
    """An account in dynsec.json."""
    _, _, iterations, salt, derived = password_hash.split("$")
    return {
        "username": name,
        "roles": [{"rolename": role}],
        "password": derived,
        "salt": salt,
        "iterations": int(iterations),
    }


def device(account: BrokerAccount) -> dict[str, Any]:
    """A device's account in dynsec.json, as `DynsecProvisioner` would make it; its key's hash is known."""
    name = str(account.device_id)
    bound = {"clientid": name, "textname": account.key_id}
    return client(name, account.key_hash, DEVICE) | bound | ({} if account.enabled else {"disabled": True})
