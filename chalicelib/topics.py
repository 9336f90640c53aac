"""The MQTT topics of IoTFlow: which there are, how one is taken apart, how filters match. Pure, no I/O.

The HTTP side, the gateway and the bridge all read the one `CATALOGUE`, and the AsyncAPI document is made from it.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from chalicelib.errors import InvalidInput

BASE = "iotflow"
MAX_TOPIC_BYTES = 65_535
"""The protocol's own limit."""
MAX_LEVEL_LENGTH = 64
"""Characters of a level that the catalogue leaves open: a device's id, a command's type."""


class Kind(StrEnum):
    """What a topic is about."""

    TELEMETRY = "telemetry"
    STATUS = "status"
    COMMANDS = "commands"
    ACK = "command_ack"
    CONFIG = "config"
    DISCOVERY = "discovery"
    THINGSBOARD = "thingsboard"


class Entry(NamedTuple):
    """One topic of the catalogue.

    Attributes:
        name: Unique, for programs.
        pattern: Levels in braces stand for one level of letters, digits and ``_ . : -``.
        up: From devices to the service; else down to devices.
        qos: The quality that clients are advised to use.
        retain: Whether a subscriber gets the last message at once.
    """

    name: str
    kind: Kind
    pattern: str
    up: bool
    qos: int
    retain: bool
    description: str


_DEVICE = f"{BASE}/devices/{{device_id}}"
CATALOGUE: tuple[Entry, ...] = (
    Entry("telemetry", Kind.TELEMETRY, f"{_DEVICE}/telemetry", True, 1, False, "readings in any accepted form"),
    Entry(
        "telemetry_part",
        Kind.TELEMETRY,
        f"{_DEVICE}/telemetry/{{part}}",
        True,
        1,
        False,
        "the same, sorted by the sender: sensors, metrics, events or any other word",
    ),
    Entry("status", Kind.STATUS, f"{_DEVICE}/status", True, 1, True, "presence: online or offline"),
    Entry(
        "status_word",
        Kind.STATUS,
        f"{_DEVICE}/status/{{word}}",
        True,
        1,
        True,
        "presence: online, offline or heartbeat; fit for a last will",
    ),
    Entry("heartbeat", Kind.STATUS, f"{_DEVICE}/heartbeat", True, 0, False, "a sign of life, without content"),
    Entry("commands", Kind.COMMANDS, f"{_DEVICE}/commands", False, 1, False, "every command to the device"),
    Entry(
        "commands_of_type",
        Kind.COMMANDS,
        f"{_DEVICE}/commands/{{command_type}}",
        False,
        1,
        False,
        "the same commands by type, for those who subscribe to commands/#",
    ),
    Entry(
        "command_ack", Kind.ACK, f"{_DEVICE}/commands/{{command_id}}/ack", True, 1, False, "what became of a command"
    ),
    Entry("config", Kind.CONFIG, f"{_DEVICE}/config", False, 1, True, "desired state with its version"),
    Entry(
        "discovery_register",
        Kind.DISCOVERY,
        f"{BASE}/discovery/register/{{name}}",
        True,
        1,
        False,
        "registration over MQTT",
    ),
    Entry(
        "discovery_response",
        Kind.DISCOVERY,
        f"{BASE}/discovery/response/{{name}}",
        False,
        1,
        False,
        "the answer to a registration, with the new device's key",
    ),
    Entry("me_telemetry", Kind.THINGSBOARD, "v1/devices/me/telemetry", True, 1, False, "readings of this connection"),
    Entry(
        "me_attributes",
        Kind.THINGSBOARD,
        "v1/devices/me/attributes",
        True,
        1,
        False,
        "reported state, and desired back",
    ),
    Entry(
        "me_attributes_request",
        Kind.THINGSBOARD,
        "v1/devices/me/attributes/request/{request_id}",
        True,
        1,
        False,
        "asks for desired and reported state",
    ),
    Entry(
        "me_attributes_response",
        Kind.THINGSBOARD,
        "v1/devices/me/attributes/response/{request_id}",
        False,
        1,
        False,
        "desired and reported state as asked for",
    ),
    Entry(
        "me_rpc_request", Kind.THINGSBOARD, "v1/devices/me/rpc/request/{request_id}", False, 1, False, "every command"
    ),
    Entry(
        "me_rpc_response",
        Kind.THINGSBOARD,
        "v1/devices/me/rpc/response/{request_id}",
        True,
        1,
        False,
        "the result of a command",
    ),
)
"""Every topic that means something to the service."""


class Topic(NamedTuple):
    """A topic name taken apart: its entry, and what stands in the levels that the entry leaves open."""

    entry: Entry
    values: Mapping[str, str]

    @property
    def device_id(self) -> str:
        """The id of the device as it stands in the topic; empty where the topic names none."""
        return self.values.get("device_id", "")


def parse(name: str) -> Topic | None:
    """Take a topic name apart; None when it is none of the catalogue's."""
    levels = name.split("/")
    for entry, pattern in _BY_LENGTH.get(len(levels), ()):
        values = _values(pattern, levels)
        if values is not None:
            return Topic(entry, values)
    return None


def _values(pattern: tuple[str, ...], levels: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for expected, level in zip(pattern, levels, strict=True):
        if expected.startswith("{"):
            if _LEVEL.fullmatch(level) is None:
                return None
            values[expected[1:-1]] = level
        elif expected != level:
            return None
    return values


def telemetry(device_id: int | str) -> str:
    """Where the device sends readings."""
    return f"{BASE}/devices/{device_id}/telemetry"


def status(device_id: int | str, word: str = "") -> str:
    """Where the device's presence goes: ``online``, ``offline``, ``heartbeat`` or without a word."""
    return f"{BASE}/devices/{device_id}/status" + (f"/{word}" if word else "")


def commands(device_id: int | str, command_type: str = "") -> str:
    """Where the device hears every command, or those of one type."""
    return f"{BASE}/devices/{device_id}/commands" + (f"/{command_type}" if command_type else "")


def ack(device_id: int | str, command_id: str) -> str:
    """Where the device says what became of a command."""
    return f"{BASE}/devices/{device_id}/commands/{command_id}/ack"


def config(device_id: int | str) -> str:
    """Where the device hears its desired state."""
    return f"{BASE}/devices/{device_id}/config"


def require_name(name: str, *, field: str = "topic") -> None:
    """Check that a message can be published under *name*.

    Raises:
        InvalidInput: It is empty, too long, or has a character that a topic name cannot have.
    """
    _require_text(name, field)
    if "+" in name or "#" in name:
        message = f"{field} is a filter: a message is published without + and #"
        raise InvalidInput(message, field=field)


def require_filter(text: str, *, field: str = "topic") -> None:
    """Check that *text* is a topic filter as the protocol defines it.

    Raises:
        InvalidInput: It is not.
    """
    _require_text(text, field)
    levels = text.split("/")
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels) or "#" in levels[:-1]:
        message = f"{field}: + and # stand for whole levels, # only for the last ones"
        raise InvalidInput(message, field=field)


def _require_text(text: str, field: str) -> None:
    if not text:
        message = f"{field} is empty"
        raise InvalidInput(message, field=field)
    if _FORBIDDEN.search(text):
        message = f"{field} has a character that a topic cannot have"
        raise InvalidInput(message, field=field)
    if len(text.encode()) > MAX_TOPIC_BYTES:
        message = f"{field} is longer than {MAX_TOPIC_BYTES} bytes"
        raise InvalidInput(message, field=field, limit=f"{MAX_TOPIC_BYTES} bytes")


@lru_cache(maxsize=10_000)
def matches(topic_filter: str, name: str) -> bool:
    """Whether a subscription to the valid *topic_filter* hears what is published under the valid *name*.

    A filter that begins with a wildcard hears nothing that begins with ``$``.
    """
    wanted, given = topic_filter.split("/"), name.split("/")
    if name.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position == len(given) or level not in {"+", given[position]}:
            return False
    return len(wanted) == len(given)


_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LEVEL = re.compile(rf"[A-Za-z0-9_.:-]{{1,{MAX_LEVEL_LENGTH}}}")
_BY_LENGTH: dict[int, list[tuple[Entry, tuple[str, ...]]]] = {}
for _entry in CATALOGUE:
    _pattern = tuple(_entry.pattern.split("/"))
    _BY_LENGTH.setdefault(len(_pattern), []).append((_entry, _pattern))
