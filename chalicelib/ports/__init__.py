"""What the use cases need from the outside, as Protocols. Adapters inherit nothing from here; mypy compares.

Common rules for every adapter:

* The constructor takes values (a path, a URL), connects to nothing and never fails for outside reasons.
* Usable from several threads at once, and from several processes where the technology allows it.
* Foreign exceptions become `Unavailable` (the backend is silent) or another `AppError`, only those that
  the adapter can name; everything else is a bug and passes through.
* Clocks are arguments: `now_ms` is epoch milliseconds UTC.
* A port that can be sick has `check()`, which returns after a real round trip or raises `Unavailable`.

records.py    device records, credentials and declared types
telemetry.py  the way of readings: the queue, and the store behind it
guards.py     what is asked or told at every call: limits, presence, audit, repeated requests, counts
control.py    commands to devices and their desired state
brokers.py    brokers of MQTT: what they are told of devices, who speaks with them, and what they deliver
"""

from chalicelib.ports.brokers import (
    BrokerAccount,
    BrokerChange,
    BrokerOutbox,
    BrokerProvisioner,
    Inbox,
    Lease,
    Provisioned,
    Taken,
    Tenant,
    Tenure,
)
from chalicelib.ports.control import CommandRepository, Reachable, TwinRepository
from chalicelib.ports.guards import (
    Attempt,
    AuditLog,
    Counters,
    Decision,
    Idempotency,
    Labels,
    Limit,
    Presence,
    RateLimiter,
)
from chalicelib.ports.records import (
    CredentialRepository,
    DeclarationRepository,
    DeviceFilter,
    DeviceRepository,
    DeviceStats,
)
from chalicelib.ports.telemetry import ReadingStore, Rejected, TelemetryQueue

__all__ = [
    "Attempt",
    "AuditLog",
    "BrokerAccount",
    "BrokerChange",
    "BrokerOutbox",
    "BrokerProvisioner",
    "CommandRepository",
    "Counters",
    "CredentialRepository",
    "Decision",
    "DeclarationRepository",
    "DeviceFilter",
    "DeviceRepository",
    "DeviceStats",
    "Idempotency",
    "Inbox",
    "Labels",
    "Lease",
    "Limit",
    "Presence",
    "Provisioned",
    "RateLimiter",
    "Reachable",
    "ReadingStore",
    "Rejected",
    "Taken",
    "TelemetryQueue",
    "Tenant",
    "Tenure",
    "TwinRepository",
]
