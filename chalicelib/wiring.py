"""Builds the adapters that the settings ask for; the one module that knows both ends.

Each adapter is imported and built on first use and kept for the life of the process, so that a Lambda pays only
for the ports that its endpoint uses.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib import declarations, ports, settings
from chalicelib.access import Openness
from chalicelib.errors import Unavailable
from chalicelib.limits import PayloadLimits
from chalicelib.stamps import Stamps
from chalicelib.status import BRIDGE_CONNECTED

if TYPE_CHECKING:
    from chalicelib.adapters.dynamo_connection import Connection
    from chalicelib.adapters.dynamo_table import Table

log = logging.getLogger(__name__)


class Services:
    """The ports, one attribute each. Assigning to an attribute replaces that port, for tests.

    Args:
        chosen: The settings; adapters get single values of it.
    """

    def __init__(self, chosen: settings.Settings) -> None:
        self.settings = chosen
        self.stamps = Stamps()

    @cached_property
    def pepper(self) -> bytes:
        """The secret under which keys are hashed."""
        if self.settings.pepper:
            return self.settings.pepper.encode()
        if self.settings.pepper_secret:
            from chalicelib.adapters import aws_secret

            return aws_secret.read(self.settings.pepper_secret)
        from chalicelib.adapters import secret_file

        return secret_file.read_or_make(self.settings.data / "pepper")

    @cached_property
    def limits(self) -> PayloadLimits:
        """What a payload may hold."""
        return PayloadLimits(
            body_bytes=self.settings.max_body_bytes,
            batch_bytes=self.settings.max_batch_bytes,
            measurements=self.settings.max_measurements,
            readings=self.settings.max_readings,
            text_bytes=self.settings.max_text_bytes,
            oldest_ms=self.settings.oldest_ms,
            future_s=self.settings.future_s,
        )

    @cached_property
    def openness(self) -> Openness:
        """What may be done without a credential."""
        chosen = self.settings
        return Openness(chosen.local, chosen.telemetry_is_public, chosen.registration_is_open, chosen.enrollment_token)

    @cached_property
    def devices(self) -> ports.DeviceRepository:
        """Device records."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_devices import MemoryDevices
            from chalicelib.adapters.memory_outbox import MemoryBrokerOutbox

            outbox = self.broker_outbox if self.settings.has_provisioner else None
            return MemoryDevices(outbox if isinstance(outbox, MemoryBrokerOutbox) else None)
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_devices import DynamoDevices

            return DynamoDevices(self._table, outbox=self.settings.has_provisioner)
        from chalicelib.adapters.sqlite_devices import SqliteDevices

        return SqliteDevices(self._devices_file, outbox=self.settings.has_provisioner)

    @cached_property
    def credentials(self) -> ports.CredentialRepository:
        """Keys and tokens."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_devices import MemoryCredentials, MemoryDevices

            if not isinstance(self.devices, MemoryDevices):
                message = "memory credentials live beside memory devices"
                raise TypeError(message)
            return MemoryCredentials(self.devices)
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_credentials import DynamoCredentials

            return DynamoCredentials(self._table, outbox=self.settings.has_provisioner)
        from chalicelib.adapters.sqlite_credentials import SqliteCredentials

        return SqliteCredentials(self._devices_file, outbox=self.settings.has_provisioner)

    @cached_property
    def declarations(self) -> ports.DeclarationRepository:
        """Declared types of measurements."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_declarations import MemoryDeclarations

            return MemoryDeclarations()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_declarations import DynamoDeclarations

            return DynamoDeclarations(self._table)
        from chalicelib.adapters.sqlite_declarations import SqliteDeclarations

        return SqliteDeclarations(self._devices_file)

    @cached_property
    def broker_outbox(self) -> ports.BrokerOutbox:
        """Devices that a broker is to be told about; nobody writes to it without a provisioner."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_outbox import MemoryBrokerOutbox

            return MemoryBrokerOutbox()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_outbox import DynamoBrokerOutbox

            return DynamoBrokerOutbox(self._table)
        from chalicelib.adapters.sqlite_outbox import SqliteBrokerOutbox

        return SqliteBrokerOutbox(self._devices_file)

    @cached_property
    def broker(self) -> ports.BrokerProvisioner | None:
        """Who tells the broker of devices; None for the gateway and for AWS, which ask the records themselves."""
        chosen = self.settings
        if chosen.broker_provisioner == "passwords" and chosen.broker_password_file is not None:
            from chalicelib.adapters.password_file import PasswordFile

            return PasswordFile(chosen.broker_password_file, reload_command=chosen.broker_reload)
        if chosen.broker_provisioner == "dynsec":
            from chalicelib.adapters.dynsec import DynsecProvisioner
            from chalicelib.adapters.dynsec_control import Control

            account = (chosen.broker_admin_user, chosen.broker_admin_password)
            return DynsecProvisioner(Control(chosen.broker_url, account, ca_file=chosen.broker_ca_file or None))
        return None

    @cached_property
    def queue(self) -> ports.TelemetryQueue:
        """Accepted readings on their way to the store."""
        if self.settings.queue == "memory":
            from chalicelib.adapters.memory_queue import MemoryQueue

            return MemoryQueue(max_receive_count=self.settings.max_receives)
        if self.settings.queue == "sqs":
            from chalicelib.adapters.aws_client import LONG_POLL_S
            from chalicelib.adapters.sqs_queue import SqsQueue

            chosen = self.settings
            return SqsQueue(
                chosen.queue_url,
                chosen.dead_letter_url,
                chosen.table,
                max_receive_count=chosen.max_receives,
                wait_s=LONG_POLL_S,
            )
        from chalicelib.adapters.sqlite_queue import SqliteQueue

        return SqliteQueue(self._file("queue.db"), max_receive_count=self.settings.max_receives)

    @cached_property
    def readings(self) -> ports.ReadingStore:
        """Stored telemetry."""
        chosen = self.settings
        if chosen.queue != "sqlite" or chosen.store == "memory":
            return self.ungated_readings
        from chalicelib.adapters import gated_readings

        return gated_readings.GatedReadings(self.ungated_readings, chosen.store, self._file(gated_readings.FILE))

    @cached_property
    def ungated_readings(self) -> ports.ReadingStore:
        """Stored telemetry, past the gate that is closed while it moves."""
        if self.settings.store == "memory":
            from chalicelib.adapters.memory_readings import MemoryReadings

            return MemoryReadings()
        if self.settings.store == "iotdb":
            from chalicelib.adapters.iotdb_client import nodes_of
            from chalicelib.adapters.iotdb_connection import Access
            from chalicelib.adapters.iotdb_readings import IotdbReadings

            chosen = self.settings
            access = Access(chosen.iotdb_user, chosen.iotdb_password, chosen.iotdb_tls, chosen.iotdb_ca_file or None)
            administrator = access._replace(user=chosen.iotdb_admin_user, password=chosen.iotdb_admin_password)
            return IotdbReadings(
                nodes_of(chosen.iotdb_host, chosen.iotdb_port),
                access,
                administrator=administrator if administrator.user else None,
                database=chosen.iotdb_database,
                declared=partial(declarations.of_device, devices=self.devices, declarations=self.declarations),
            )
        from chalicelib.adapters.sqlite_readings import SqliteReadings

        return SqliteReadings(self._file("telemetry.db"))

    @cached_property
    def limiter(self) -> ports.RateLimiter:
        """Rate limits: in this process, or shared through Redis or DynamoDB."""
        from chalicelib.adapters.memory_limiter import MemoryLimiter

        if self.settings.redis_url:
            from chalicelib.adapters.redis_limiter import RedisLimiter

            return RedisLimiter(self.settings.redis_url, MemoryLimiter())
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_limiter import DynamoLimiter

            return DynamoLimiter(self._table, MemoryLimiter())
        return MemoryLimiter()

    @cached_property
    def presence(self) -> ports.Presence:
        """When devices were last seen."""
        if self.settings.redis_url:
            from chalicelib.adapters.redis_presence import RedisPresence

            return RedisPresence(self.settings.redis_url)
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_presence import MemoryPresence

            return MemoryPresence()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_presence import DynamoPresence

            return DynamoPresence(self._table)
        from chalicelib.adapters.sqlite_presence import SqlitePresence

        return SqlitePresence(self._file("presence.db"))

    @cached_property
    def commands(self) -> ports.CommandRepository:
        """Commands to devices."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_commands import MemoryCommands

            return MemoryCommands()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_commands import DynamoCommands

            return DynamoCommands(self._table)
        from chalicelib.adapters.sqlite_commands import SqliteCommands

        return SqliteCommands(self._file("commands.db"))

    @cached_property
    def twins(self) -> ports.TwinRepository:
        """Desired and reported state."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_commands import MemoryTwins

            return MemoryTwins()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_twins import DynamoTwins

            return DynamoTwins(self._table)
        from chalicelib.adapters.sqlite_twins import SqliteTwins

        return SqliteTwins(self._file("commands.db"))

    @cached_property
    def lease(self) -> ports.Lease:
        """Which of several bridges works; beside the queue where that can bind a commit to it, see `inbox`."""
        if self.settings.queue == "memory":
            from chalicelib.adapters.memory_lease import MemoryLease

            return MemoryLease()
        if self.settings.queue != "sqlite" and self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_lease import DynamoLease

            return DynamoLease(self._table)
        from chalicelib.adapters.sqlite_lease import SqliteLease

        return SqliteLease(self._file("queue.db"))

    @cached_property
    def inbox(self) -> ports.Inbox:
        """The way from a broker into the queue."""
        if self.settings.queue == "sqlite":
            from chalicelib.adapters.sqlite_inbox import SqliteInbox

            return SqliteInbox(self._file("queue.db"))
        from chalicelib.adapters.plain_inbox import PlainInbox

        return PlainInbox(self.queue)

    @cached_property
    def mqtt(self) -> ports.Reachable:
        """Where devices connect over MQTT: the gateway's listener, or the bridge to their broker."""
        if self.settings.broker_url:
            from chalicelib.adapters.lease_probe import LeaseProbe

            return LeaseProbe(self.lease, self.settings.bridge_client_id, good=BRIDGE_CONNECTED)
        from chalicelib.adapters.mqtt_probe import MqttProbe

        return MqttProbe(self.settings.mqtt_host, self.settings.mqtt_port)

    @cached_property
    def audit(self) -> ports.AuditLog:
        """Who did what."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_audit import MemoryAudit

            return MemoryAudit()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_audit import DynamoAudit

            return DynamoAudit(self._table)
        from chalicelib.adapters.sqlite_audit import SqliteAudit

        return SqliteAudit(self._file("audit.db"))

    @cached_property
    def idempotency(self) -> ports.Idempotency:
        """First answers by idempotency key."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_idempotency import MemoryIdempotency

            return MemoryIdempotency()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_idempotency import DynamoIdempotency

            return DynamoIdempotency(self._table)
        from chalicelib.adapters.sqlite_idempotency import SqliteIdempotency

        return SqliteIdempotency(self._file("idempotency.db"))

    @cached_property
    def counters(self) -> ports.Counters:
        """Counts for dashboards."""
        if self.settings.devices == "memory":
            from chalicelib.adapters.memory_counters import MemoryCounters

            return MemoryCounters()
        if self.settings.devices == "dynamodb":
            from chalicelib.adapters.dynamo_counters import DynamoCounters

            return DynamoCounters(self._table)
        from chalicelib.adapters.sqlite_counters import SqliteCounters

        return SqliteCounters(self._file("counters.db"))

    def warm(self) -> None:
        """Build every port now, before threads share them, and open the databases.

        A backend that is away stops nobody: writes go on without the store, and what cannot be done says so itself.

        Raises:
            NewerSchemaError: A database belongs to a newer release.
        """
        for name, attribute in vars(Services).items():
            if isinstance(attribute, cached_property) and not name.startswith("_"):
                getattr(self, name)
        for name, port in (("devices", self.devices), ("queue", self.queue), ("readings", self.readings)):
            try:
                port.check()
            except Unavailable as error:
                log.warning("Starting without the %s: %s", name, error.message)

    def prepare(self) -> None:
        """Make what is slow to make, without connecting: Lambda starts us on whole processors, and runs us on less."""
        if self.settings.devices == "dynamodb":
            self._dynamodb.open()

    @cached_property
    def _dynamodb(self) -> "Connection":
        from chalicelib.adapters.dynamo_connection import Connection

        return Connection()

    @cached_property
    def _table(self) -> "Table":
        """The DynamoDB table of all records."""
        from chalicelib.adapters.dynamo_table import Table

        return Table(self.settings.table, self._dynamodb)

    def _file(self, name: str) -> Path:
        return self.settings.data / name

    @property
    def _devices_file(self) -> Path:
        return self.settings.devices_file or self._file("devices.db")


_current: list[Services] = []


def services() -> Services:
    """The process-wide services, made from the environment on the first call."""
    if not _current:
        _current.append(Services(settings.from_environment(os.environ)))
    return _current[-1]


@contextmanager
def use(replacement: Services) -> Iterator[Services]:
    """Work with *replacement* within the block: the one seam for tests and for programs with their own settings."""
    _current.append(replacement)
    try:
        yield replacement
    finally:
        _current.remove(replacement)
