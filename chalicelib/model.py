"""The nouns of IoTFlow and their invariants: no I/O, no JSON, no clock.

Times are integers, epoch milliseconds UTC, and end in ``_ms``. Durations end in ``_s``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

DEFAULT_TENANT = "default"
MAX_NAME_LENGTH = 100
MAX_MEASUREMENT_LENGTH = 64
MIN_INT64, MAX_INT64 = -(2**63), 2**63 - 1
ONLINE_FOR_S = 300
"""A device counts as online this long after it was last seen (the predecessor's rule)."""

Value = bool | int | float | str
"""One scalar. ``bool`` is not ``int`` here: test it first. Integers fit in 64 signed bits; floats are finite."""


class MeasurementType(StrEnum):
    """What an administrator may declare a measurement of a device type to be; IoTDB's words."""

    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"


Declared = Mapping[str, MeasurementType]
"""Measurement -> its declared type."""


class DeviceRef(NamedTuple):
    """Names one device in every repository call. Ids are unique over all tenants and never reused."""

    tenant: str
    id: int


class Reading(NamedTuple):
    """One device at one instant.

    (device, measurement, timestamp) is the identity of a value: writing it again replaces it, so a
    redelivered reading changes nothing. `values` maps measurement name to value and is never empty.
    """

    device: DeviceRef
    timestamp_ms: int
    values: Mapping[str, Value]


class Batch(NamedTuple):
    """The readings of one request: accepted, queued and retried together.

    `accepted_ms` is the server's time, given once; a redelivery carries the same.
    """

    device: DeviceRef
    accepted_ms: int
    readings: tuple[Reading, ...]


class DeviceStatus(StrEnum):
    """What a device says of itself, or an administrator of it. An inactive device is refused everywhere."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    MAINTENANCE = "maintenance"
    ERROR = "error"


class ConfigEntry(NamedTuple):
    """One configuration value. `data_type` is string, integer, float, boolean or json; `value` has that type."""

    value: object
    data_type: str
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDraft:
    """A device that is about to be added: everything but what the repository gives it."""

    tenant: str = DEFAULT_TENANT
    name: str
    device_type: str
    description: str = ""
    location: str = ""
    firmware_version: str = ""
    hardware_version: str = ""
    status: DeviceStatus = DeviceStatus.ACTIVE
    configuration: Mapping[str, ConfigEntry] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(DeviceDraft):
    """A registered thing. `version` starts at 1 and grows by one with every update."""

    id: int
    created_ms: int
    updated_ms: int
    version: int = 1

    @classmethod
    def added(cls, draft: DeviceDraft, *, device_id: int, now_ms: int) -> "Device":
        """The device that *draft* becomes when it is added at *now_ms*."""
        values = {name: getattr(draft, name) for name in DeviceDraft.__slots__}
        return cls(**values, id=device_id, created_ms=now_ms, updated_ms=now_ms)

    @property
    def ref(self) -> DeviceRef:
        """What the stores call this device."""
        return DeviceRef(self.tenant, self.id)


class CredentialKind(StrEnum):
    """Whose secret it is: a device's, or a person's or program's."""

    DEVICE_KEY = "device_key"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is kept of a secret: never the secret itself.

    Attributes:
        id: The public id part of the key, unique; look-ups go by it.
        digest: HMAC-SHA256 of the whole key under the server's pepper, hex.
        device_id: The holder of a device key; None for a token.
        name: Name of a token, or a label of a key.
        scopes: What a token may do; empty for a device key.
        expires_ms: From this instant on the credential is dead; None for never.
        broker_hash: A device key as brokers keep it that check passwords themselves; see `keys.broker_hash`.
    """

    id: str
    tenant: str = DEFAULT_TENANT
    kind: CredentialKind
    digest: str
    device_id: int | None = None
    name: str = ""
    scopes: frozenset[str] = frozenset()
    created_ms: int
    expires_ms: int | None = None
    broker_hash: str = ""

    def alive(self, now_ms: int) -> bool:
        """Whether the credential may still be used at *now_ms*."""
        return self.expires_ms is None or now_ms < self.expires_ms


class Scope(StrEnum):
    """What a token may do. `ADMIN` includes all others."""

    DEVICES_READ = "devices:read"
    DEVICES_WRITE = "devices:write"
    TELEMETRY_READ = "telemetry:read"
    TELEMETRY_DELETE = "telemetry:delete"
    COMMANDS_WRITE = "commands:write"
    ADMIN = "admin"


class Sighting(NamedTuple):
    """The newest sign of life of a device: seen at `at_ms`, or known to have left then (`online` False)."""

    device: DeviceRef
    at_ms: int
    online: bool = True


class Message(NamedTuple):
    """A queue envelope, as received.

    Attributes:
        id: Stays the same over redeliveries.
        body: What was sent.
        receipt: Names this delivery; a later delivery makes it stale.
        readings: How many readings the body carries, for the ledger.
        receive_count: 1 on first delivery.
        sent_ms: When it was sent.
    """

    id: str
    body: str
    receipt: str
    readings: int
    receive_count: int
    sent_ms: int


class DeadLetter(NamedTuple):
    """A message that could not be stored, with the reason in words for an operator."""

    id: str
    body: str
    readings: int
    reason: str
    sent_ms: int
    buried_ms: int


class Ledger(NamedTuple):
    """Where every accepted reading is.

    The invariant, exact at any instant for a transactional queue:
    accepted = stored + queued + in_flight + dead_lettered + discarded
    """

    accepted: int
    stored: int
    queued: int
    in_flight: int
    dead_lettered: int
    discarded: int

    @property
    def balanced(self) -> bool:
        """Whether the invariant holds."""
        return self.accepted == self.stored + self.queued + self.in_flight + self.dead_lettered + self.discarded


class CommandStatus(StrEnum):
    """How far a command got. It only moves forward; `NEXT_STATUSES` says where to."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


PENDING_STATUSES = frozenset({CommandStatus.QUEUED, CommandStatus.SENT})
"""The device is not known to have the command: it is sent, again if need be, and can be cancelled or expire."""
RESULT_STATUSES = frozenset({CommandStatus.SUCCEEDED, CommandStatus.FAILED, CommandStatus.REJECTED})
"""What a device says in the end; nothing comes after it."""
_TOLD = RESULT_STATUSES | {CommandStatus.ACKNOWLEDGED}
_GIVEN_UP = frozenset({CommandStatus.EXPIRED, CommandStatus.CANCELLED})
NEXT_STATUSES: Mapping[CommandStatus, frozenset[CommandStatus]] = {
    CommandStatus.QUEUED: _TOLD | _GIVEN_UP | {CommandStatus.SENT, CommandStatus.DELIVERED},
    CommandStatus.SENT: _TOLD | _GIVEN_UP | {CommandStatus.SENT, CommandStatus.DELIVERED},
    CommandStatus.DELIVERED: _TOLD,
    CommandStatus.ACKNOWLEDGED: RESULT_STATUSES,
    CommandStatus.EXPIRED: RESULT_STATUSES,
    CommandStatus.CANCELLED: RESULT_STATUSES,
    CommandStatus.SUCCEEDED: frozenset(),
    CommandStatus.FAILED: frozenset(),
    CommandStatus.REJECTED: frozenset(),
}
"""Where each status may go. Sending again is a step. A late result is taken: the device did what it says it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a device was told to do. Delivered at least once: the device knows a repetition by the id.

    Attributes:
        id: Unique for the device.
        command_type: The last level of its topic, for example ``reboot``.
        payload: Any JSON value.
        expires_ms: From this instant on it is not sent any more; None for never.
        group: The group it was sent to, empty for a command to one device.
        result: What the device answered, any JSON value.
        attempts: How often it was sent.
    """

    id: str
    device: DeviceRef
    command_type: str
    payload: Any
    status: CommandStatus = CommandStatus.QUEUED
    created_ms: int
    updated_ms: int
    expires_ms: int | None = None
    group: str = ""
    result: Any = None
    attempts: int = 0

    def pending(self, now_ms: int) -> bool:
        """Whether the command is still to be sent at *now_ms*."""
        return self.status in PENDING_STATUSES and (self.expires_ms is None or now_ms < self.expires_ms)

    def advanced(self, to: CommandStatus, *, now_ms: int, result: Any = None) -> "Command | None":
        """The command one step further, or None when that step is not possible."""
        if to not in NEXT_STATUSES[self.status]:
            return None
        attempts = self.attempts + (to is CommandStatus.SENT)
        return replace(self, status=to, updated_ms=now_ms, result=result, attempts=attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """What a device is asked to be, and what it says it is: two JSON objects.

    Attributes:
        version: 0 for a device of which nothing was ever written; grows by one with every change of either side.
        desired_updated_ms: When `desired` was last written; None for never.
        reported_updated_ms: When `reported` was last written; None for never.
    """

    device: DeviceRef
    desired: Mapping[str, Any] = field(default_factory=dict)
    reported: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0
    desired_updated_ms: int | None = None
    reported_updated_ms: int | None = None


class AuditEntry(NamedTuple):
    """Who did what to what, with which result, from where, when. Never a secret."""

    tenant: str
    at_ms: int
    actor: str
    action: str
    target: str
    result: str
    address: str
    detail: str = ""
    id: int = 0


_PLAIN_MEASUREMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def is_plain_measurement(name: str) -> bool:
    """Whether *name* needs no encoding in any store."""
    return _PLAIN_MEASUREMENT.fullmatch(name) is not None and name.lower() not in {"time", "timestamp", "root"}
