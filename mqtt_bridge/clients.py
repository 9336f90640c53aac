"""Who a connection belongs to, and which topics are his. Pure: credentials are checked in `admission`."""

import re
from dataclasses import dataclass
from enum import Enum

from chalicelib import topics
from chalicelib.model import Device
from chalicelib.topics import BASE, Kind, Topic
from mqtt_bridge.reasons import Reason


class Role(Enum):
    """What a client may be."""

    DEVICE = "device"
    READER = "reader"
    """A token with telemetry:read: hears telemetry, says nothing."""
    ENROLLEE = "enrollee"
    """No device yet: may register one."""
    LEGACY = "legacy"
    """Anybody, where IOTFLOW_MQTT_LEGACY lets him in: each message says whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The holder of a connection.

    Attributes:
        owner: Sessions are his alone: nobody of another owner can take one over.
        device: The device itself, as last read.
        credential_id: What he signed in with; empty for those without.
        expires_ms: When that credential dies; None for never.
        address: Where he connects from.
    """

    role: Role
    owner: str
    tenant: str
    address: str
    device: Device | None = None
    credential_id: str = ""
    expires_ms: int | None = None


def may_publish(client: Client, topic: Topic | None) -> bool:
    """Whether *client* may publish under *topic*; None is a name that is none of the catalogue's."""
    if topic is None or not topic.entry.up:
        return False
    discovery = topic.entry.kind is Kind.DISCOVERY
    if client.role is Role.DEVICE:
        own = client.device is not None and topic.device_id in {"", str(client.device.id)}
        return own and not discovery
    if client.role is Role.ENROLLEE:
        return discovery
    return client.role is Role.LEGACY and topic.entry.kind is not Kind.THINGSBOARD


def subscription_reason(client: Client, text: str) -> Reason:
    """`SUCCESS` when *client* may hear what *text* matches; a filter that is not one at all is `TOPIC_FILTER_INVALID`.

    A filter is granted only when everything that it can ever match is the client's own: nothing is granted and then
    silently not delivered.
    """
    if text.startswith("$share/"):
        return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    pattern = _patterns(client)
    return Reason.SUCCESS if pattern is not None and pattern.fullmatch(text) else Reason.NOT_AUTHORIZED


def _patterns(client: Client) -> re.Pattern[str] | None:
    match client.role:
        case Role.DEVICE if client.device is not None:
            own = rf"{BASE}/devices/{client.device.id}/(?:#|\+|config|commands|commands/(?:#|\+|[\w.:-]{{1,64}}))"
            return re.compile(rf"{own}|{_THINGSBOARD}", re.ASCII)
        case Role.READER:
            return _TELEMETRY
        case Role.ENROLLEE:
            return _RESPONSES
        case Role.LEGACY:
            return _LEGACY
        case _:
            return None


_THINGSBOARD = r"v1/devices/me/(?:attributes|attributes/response/(?:\+|\d{1,9})|rpc/request/(?:\+|\w{1,64}))"
_TELEMETRY = re.compile(rf"{BASE}/devices/(?:\+|\d{{1,18}})/telemetry(?:/#|/\+)?", re.ASCII)
_RESPONSES = re.compile(rf"{BASE}/discovery/response/(?:\+|[\w.:-]{{1,64}})", re.ASCII)
_LEGACY = re.compile(rf"{BASE}/devices/[\w.:-]{{1,64}}/(?:commands|config|commands/(?:#|\+))", re.ASCII)


def heard(subscriptions: dict[str, int], name: str) -> int | None:
    """The highest QoS with which *subscriptions* hear the topic *name*, or None.

    A message comes once, however many of them match.
    """
    found = [qos for text, qos in subscriptions.items() if topics.matches(text, name)]
    return max(found) if found else None
