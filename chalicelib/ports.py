"""What the use cases need from the outside, as Protocols. Adapters inherit nothing from here; mypy compares.

Common rules for every adapter:

* The constructor takes values (a path, a URL), connects to nothing and never fails for outside reasons.
* Usable from several threads at once, and from several processes where the technology allows it.
* Foreign exceptions become `Unavailable` (the backend is silent) or another `AppError`, only those that
  the adapter can name; everything else is a bug and passes through.
* Clocks are arguments: `now_ms` is epoch milliseconds UTC.
* A port that can be sick has `check()`, which returns after a real round trip or raises `Unavailable`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chalicelib.aggregates import AggregateQuery, AggregateRow, Survey
from chalicelib.model import (
    AuditEntry,
    Command,
    CommandStatus,
    Credential,
    CredentialKind,
    DeadLetter,
    Declared,
    Device,
    DeviceDraft,
    DeviceRef,
    DeviceStatus,
    Ledger,
    Message,
    Reading,
    Sighting,
    Twin,
    Value,
)

if TYPE_CHECKING:  # it reads payloads, which takes longer to load than all ports together
    from chalicelib.delivery import Delivery


class DeviceFilter(NamedTuple):
    """Which devices: all given conditions hold. `search` matches part of name or location, any case; `tag` is exact."""

    status: DeviceStatus | None = None
    device_type: str | None = None
    search: str | None = None
    ids: frozenset[int] | None = None
    exclude_ids: frozenset[int] | None = None
    tag: str | None = None


class DeviceStats(NamedTuple):
    """Counts of a tenant's devices and live device keys."""

    by_status: Mapping[str, int]
    by_type: Mapping[str, int]
    keys: int


class DeviceRepository(Protocol):
    """Device records. Names are unique per tenant; ids grow, are unique over all tenants and never reused.

    Where a broker is provisioned, this and `CredentialRepository` write to the `BrokerOutbox`, in the transaction of
    the change itself.
    """

    def add(self, draft: DeviceDraft, key: Credential, *, now_ms: int, seed: str = "") -> Device:
        """Add a device and its first key in one transaction; `key.device_id` is filled in by the repository.

        Args:
            draft: The device.
            key: Its key.
            now_ms: Server time.
            seed: What the key is derived from; kept nowhere but in the outbox.

        Raises:
            Conflict: The name is taken in this tenant, or the key's id is taken.
        """
        ...

    def get(self, device: DeviceRef) -> Device | None:
        """The device, or None: also when the id belongs to another tenant."""
        ...

    def find(self, tenant: str, name: str) -> Device | None:
        """The device of exactly this name."""
        ...

    def update(self, device: Device, *, now_ms: int) -> Device:
        """Write all fields of *device*, if the stored version is still `device.version`.

        Returns:
            The device as stored, with `version` one higher and `updated_ms` set.

        Raises:
            Conflict: Changed meanwhile (code ``stale_version``), or the new name is taken (``name_taken``).
            NotFound: Removed meanwhile.
        """
        ...

    def remove(self, device: DeviceRef, *, now_ms: int) -> bool:
        """Remove the device and its keys at once; remember to purge its telemetry. False: no such device."""
        ...

    def removed(self, *, before_ms: int, limit: int = 100) -> list[DeviceRef]:
        """Devices removed before *before_ms* whose telemetry is still to be purged, oldest first."""
        ...

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        """Their telemetry is purged: drop the reminders."""
        ...

    def existing(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        """Those of *devices* that exist now."""
        ...

    def page(self, tenant: str, where: DeviceFilter, *, after_id: int = 0, limit: int = 100) -> list[Device]:
        """Up to *limit* devices with id greater than *after_id*, by id ascending."""
        ...

    def count(self, tenant: str, where: DeviceFilter) -> int:
        """How many devices match."""
        ...

    def stats(self, tenant: str, *, now_ms: int) -> DeviceStats:
        """Counts over all devices of the tenant."""
        ...

    def tenants(self) -> list[str]:
        """Every tenant that has a device."""
        ...

    def revision(self) -> int:
        """Another number after any process changed a device or a credential, and now and then without.

        Costs microseconds, or one small read over the network: whoever keeps devices connected asks several times a
        second.
        """
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class CredentialRepository(Protocol):
    """Keys of devices and tokens of people and programs: digests only.

    Reads see a revocation made by any process at once. The keys of a removed device are gone with it.
    """

    def get(self, credential_id: str) -> Credential | None:
        """The credential of this public id part; also an expired one. This is the hot path: one cached look-up."""
        ...

    def add(self, credential: Credential, *, now_ms: int, max_alive: int | None = None, seed: str = "") -> None:
        """Store a credential.

        Args:
            credential: The credential, complete.
            now_ms: Decides which others are alive.
            max_alive: Refuse when the same device already has this many live keys.
            seed: What a device's key is derived from; kept nowhere but in the outbox.

        Raises:
            Conflict: The id is taken (code ``id_taken``), a live token of the tenant has this name
                (``name_taken``), or the device has `max_alive` live keys (``too_many_keys``).
            NotFound: The device does not exist.
        """
        ...

    def expire(self, credential_id: str, *, at_ms: int) -> bool:
        """Let it die at *at_ms*, or earlier if it already would. False: no such credential."""
        ...

    def remove(self, tenant: str, credential_id: str) -> bool:
        """Revoke at once. False: no such credential in this tenant."""
        ...

    def of_device(self, device: DeviceRef) -> list[Credential]:
        """All keys of the device, oldest first, expired ones included."""
        ...

    def of_kind(self, tenant: str, kind: CredentialKind) -> list[Credential]:
        """All of the tenant's credentials of this kind, oldest first."""
        ...


class BrokerChange(NamedTuple):
    """A device of which a broker may know something else than the records say.

    Attributes:
        number: Grows with every change of any device; never given twice.
        device: The device, which may be gone.
        seed: What its newest key is derived from under the pepper; empty when no key was made since the broker was
            last told. Without the pepper it is worth nothing.
    """

    number: int
    device: DeviceRef
    seed: str = ""


class BrokerOutbox(Protocol):
    """Devices that a broker is to be told about: at most one entry each, so it never outgrows the records.

    The entries are written by `DeviceRepository` and `CredentialRepository`, atomically with a change that matters to a
    broker: a device added, removed, or of another status; a device's key added, expired or removed. A new
    change of a device that has an entry gives the entry a new number; it keeps its seed unless the change brings
    another (an added key) or the device is gone (none), and stays hidden while it is taken. So two workers never tell
    the broker about one device at the same time, and the last state is told last. What to tell is read from the records
    when the entry is taken.
    """

    def take(self, *, limit: int, hidden_s: float, now_ms: int) -> list[BrokerChange]:
        """Up to *limit* entries that are not hidden, the longest unchanged first, and hide them for *hidden_s*.

        A clock that stepped back hides nothing for longer than *hidden_s*.
        """
        ...

    def settle(self, changes: Iterable[BrokerChange]) -> None:
        """The broker knows: drop these entries; one whose device changed since it was taken stays, and is shown."""
        ...

    def release(self, changes: Iterable[BrokerChange]) -> None:
        """The broker could not be told: show these entries again."""
        ...

    def waiting(self, devices: Iterable[DeviceRef]) -> set[DeviceRef]:
        """Those of *devices* that have an entry."""
        ...

    def count(self) -> int:
        """How many entries there are."""
        ...


class BrokerAccount(NamedTuple):
    """What a broker is to know of a device.

    Attributes:
        device_id: The user name.
        enabled: Whether the device may connect.
        key_id: Public id of the key that is the password, empty when no key is alive.
        key_hash: `Credential.broker_hash` of that key; empty for a key from before there were any.
        key: The key in clear, where it is known.
    """

    device_id: int
    enabled: bool
    key_id: str
    key_hash: str
    key: str = ""

    def __repr__(self) -> str:
        return f"BrokerAccount({self.device_id}, enabled={self.enabled}, key_id={self.key_id!r})"


class Provisioned(NamedTuple):
    """What became of accounts: ids of those that had to be changed, and of those that are shut out for want of a key.

    A device in `stranded` may connect by the records, but the broker does not know its newest key and cannot be told.
    """

    changed: tuple[int, ...] = ()
    stranded: tuple[int, ...] = ()


class BrokerProvisioner(Protocol):
    """Tells a broker which devices may connect. Accounts whose user name is no number are not touched.

    Attributes:
        pause_s: Wait so long between two calls that change something, because each costs the broker much.
    """

    pause_s: float

    def put(self, accounts: Sequence[BrokerAccount]) -> Provisioned:
        """Make the broker know exactly this of these devices; again is safe and changes nothing.

        A device that is connected and may not be any more, or not with this key, is cut off.

        Raises:
            Unavailable: Some may be done; doing all again is safe.
        """
        ...

    def remove(self, device_ids: Sequence[int]) -> None:
        """Forget these devices, and cut them off.

        Raises:
            Unavailable: Some may be done; doing all again is safe.
        """
        ...

    def device_ids(self) -> set[int]:
        """Every device that the broker knows."""
        ...

    def check(self) -> None:
        """Make a round trip to the broker."""
        ...

    def close(self) -> None:
        """Let go of connections; the next call makes new ones."""
        ...


class TelemetryQueue(Protocol):
    """SQS semantics: at least once, no order promised, a received message is hidden until its visibility ends."""

    def send(self, body: str, *, readings: int, now_ms: int) -> str:
        """Make *body* durable and return the message's id.

        Within `tickets.collect()` a local adapter may return before its commit and leave a ticket instead.

        Raises:
            Unavailable: Not stored.
            TooLarge: Over the queue's message size.
        """
        ...

    def receive(self, *, limit: int, visibility_s: float, now_ms: int) -> list[Message]:
        """Take up to *limit* visible messages, oldest first, and hide them for *visibility_s*.

        A message that was received `max_receive_count` times already is moved to the dead letters instead.
        A clock that stepped back hides no message for longer than *visibility_s*.
        """
        ...

    def adopt(self, messages: Sequence[Message]) -> None:
        """Somebody else received *messages* from this queue for us, as Lambda does, and will delete them."""
        ...

    def settled(self, receipts: Sequence[str], *, now_ms: int) -> None:
        """The readings of those that were adopted are stored: for a ledger that is not kept with the messages."""
        ...

    def delete(self, receipts: Sequence[str], *, now_ms: int) -> None:
        """Their readings are stored. A stale receipt does nothing."""
        ...

    def release(self, receipts: Sequence[str], *, delay_s: float, now_ms: int, uncounted: bool = False) -> None:
        """Make them visible again after *delay_s*; the receive count stays.

        With *uncounted* this delivery does not count towards the dead letters: nothing was wrong with the messages,
        the store was away.
        """
        ...

    def bury(
        self, receipt: str, *, reason: str, now_ms: int, body: str | None = None, readings: int | None = None
    ) -> None:
        """Move a received message to the dead letters, atomically where the backend can.

        With *body* and *readings*, only that part of it is buried and the rest counts as stored.
        """
        ...

    def discard(self, receipt: str, *, readings: int, now_ms: int) -> None:
        """Delete a received message of which *readings* were dropped on purpose and the rest stored."""
        ...

    def dead_letters(self, *, after_id: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """Buried messages, in the order of their ids, after *after_id*."""
        ...

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """One buried message."""
        ...

    def replay(self, letter_id: str, *, now_ms: int) -> bool:
        """Queue a buried message again, receive count zero, reason forgotten. False: no such letter."""
        ...

    def discard_letter(self, letter_id: str, *, now_ms: int) -> bool:
        """Drop a buried message for good. False: no such letter."""
        ...

    def tidy(self, *, now_ms: int) -> None:
        """Every few minutes: what the backend set aside by itself becomes dead letters."""
        ...

    def ledger(self) -> Ledger:
        """Where every accepted reading is."""
        ...

    def oldest_age_s(self, *, now_ms: int) -> float:
        """Age of the oldest message that is still to be stored, 0.0 for an empty queue."""
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...

    def close(self) -> None:
        """Commit what waits and let go of files: the process ends."""
        ...


class Rejected(NamedTuple):
    """A reading that the store will never take: its place in the call's list, and the reason in words.

    `expired`: it is older than the store keeps readings, which is no fault of it.
    """

    position: int
    reason: str
    expired: bool = False


class ReadingStore(Protocol):
    """Telemetry. All calls name the device by (tenant, id); an unknown device simply has no readings.

    Ranges are half-open, ``start_ms <= timestamp < end_ms``. What was written is readable when `write` returns.
    """

    def write(self, readings: Sequence[Reading]) -> list[Rejected]:
        """Upsert readings of any devices in any order; durable when it returns.

        Of two values for the same (device, measurement, timestamp) the later in the list wins; values of a
        reading that are not given stay as they are. A measurement may change its type at any time.

        Returns:
            The readings that can never be stored. All others are.

        Raises:
            Unavailable: Some may be stored; writing all again is safe.
        """
        ...

    def read(
        self,
        device: DeviceRef,
        *,
        start_ms: int,
        end_ms: int,
        limit: int,
        newest_first: bool = False,
        measurements: Sequence[str] | None = None,
    ) -> list[Reading]:
        """Up to *limit* readings in order of time. Page on by moving *start_ms* or *end_ms*.

        With *measurements*, only those values, and only readings that have at least one of them.
        """
        ...

    def latest(self, device: DeviceRef) -> dict[str, tuple[int, Value]]:
        """The newest value of every measurement, with its own timestamp in ms."""
        ...

    def aggregate(self, device: DeviceRef, query: AggregateQuery) -> list[AggregateRow]:
        """Numeric values in windows; see `aggregates`. Text and boolean values do not take part."""
        ...

    def survey(self, devices: Sequence[DeviceRef], *, start_ms: int, end_ms: int) -> Survey:
        """Counts and statistics over many devices, for the analytics page."""
        ...

    def count(self, device: DeviceRef) -> int:
        """How many readings (rows, not values) are stored."""
        ...

    def delete(
        self, device: DeviceRef, *, start_ms: int, end_ms: int, measurements: Sequence[str] | None = None
    ) -> int:
        """Delete values in the range; returns how many readings lost at least one value."""
        ...

    def retain(self, longest: int, devices: Sequence[tuple[DeviceRef, int]], *, now_ms: int) -> int:
        """Drop readings that are older than their device's days, or let the store do so itself; again and again.

        Args:
            longest: The most days of any device, known or not; 0 keeps for ever.
            devices: Every device with its days, 0 for ever; empty when there are no rules (any more).
            now_ms: Now; a store with rules of its own goes by its own clock.

        Returns:
            Readings that were deleted one by one.
        """
        ...

    def purge(self, device: DeviceRef) -> None:
        """Delete everything of the device."""
        ...

    def risks(self) -> list[str]:
        """What in the backend's settings can lose readings or lets strangers in, in sentences.

        Raises:
            Unavailable: It does not answer.
        """
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class DeclarationRepository(Protocol):
    """What an administrator declared the measurements of a device type to be; for stores that have typed columns."""

    def get(self, tenant: str, device_type: str) -> Declared:
        """The declared measurements of the type; empty when there are none."""
        ...

    def all(self, tenant: str) -> Mapping[str, Declared]:
        """Every device type that has declarations, in alphabetical order."""
        ...

    def put(self, tenant: str, device_type: str, declared: Declared) -> None:
        """Replace all declarations of the type."""
        ...

    def remove(self, tenant: str, device_type: str) -> bool:
        """Drop all declarations of the type. False: there were none."""
        ...


class Limit(NamedTuple):
    """A token bucket: `burst` calls at once, refilled at `per_s` calls a second."""

    burst: int
    per_s: float


class Decision(NamedTuple):
    """What a limiter said. `retry_after_s` is 0.0 when allowed; `reset_s` is the time until the bucket is full."""

    allowed: bool
    remaining: int
    retry_after_s: float
    reset_s: float


class RateLimiter(Protocol):
    """Token buckets by key."""

    def take(self, key: str, limit: Limit, *, now_ms: int, cost: int = 1) -> Decision:
        """Take *cost* tokens; a refusal takes none. `cost=0` only looks.

        A clock that steps back refills nothing and locks nobody out.
        """
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class Presence(Protocol):
    """When devices were last seen, and whether they said goodbye. An older sighting never replaces a newer one."""

    def mark(self, sightings: Sequence[Sighting]) -> None:
        """Record signs of life; several of one device in one call are fine."""
        ...

    def read(self, devices: Sequence[DeviceRef]) -> dict[DeviceRef, Sighting]:
        """The newest sighting of each device that was ever seen."""
        ...

    def online(self, tenant: str, *, since_ms: int) -> frozenset[int]:
        """Ids of devices whose newest sighting is at or after *since_ms* and online."""
        ...

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        """Drop what is known of removed devices."""
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class AuditLog(Protocol):
    """Append-only record of who did what."""

    def append(self, entry: AuditEntry) -> None:
        """Add one entry; its `id` is given by the log."""
        ...

    def page(self, tenant: str, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Newest first, with ids below *before_id*."""
        ...


class Attempt(NamedTuple):
    """One use of an idempotency key: when it was first tried, and the first answer once there is one (JSON)."""

    started_ms: int
    answer: str | None


class Idempotency(Protocol):
    """First answers by (caller, key), kept for 24 hours."""

    def begin(self, caller: str, key: str, fingerprint: str, *, now_ms: int) -> Attempt:
        """Remember the first use durably, or return what is known of it.

        Raises:
            Unprocessable: The same key came with another *fingerprint* within 24 h.
        """
        ...

    def finish(self, caller: str, key: str, answer: str) -> None:
        """Keep the answer for later uses of the key."""
        ...

    def expire(self, *, before_ms: int) -> int:
        """Forget keys first used before *before_ms*; returns how many, or 0 where the backend does it by itself."""
        ...


Labels = tuple[tuple[str, str], ...]
"""Label names and values in a fixed order, for example ``(("reason", "too_large"),)``."""


class Counters(Protocol):
    """Counts that only grow, right over all processes; kept in total and by hour.

    A crash may lose the last second: these are for people and dashboards, the ledger is the queue's.
    """

    def add(self, name: str, labels: Labels = (), amount: float = 1, *, now_ms: int) -> None:
        """Count; cheap, may buffer for up to a second."""
        ...

    def flush(self) -> None:
        """Make buffered counts visible to everybody."""
        ...

    def totals(self) -> dict[tuple[str, Labels], float]:
        """Every counter since the beginning."""
        ...

    def since(self, name: str, *, since_ms: int) -> dict[Labels, float]:
        """One counter by labels, from the hour that contains *since_ms* on."""
        ...

    def expire(self, *, before_ms: int) -> None:
        """Drop hourly counts before *before_ms*; totals stay."""
        ...


class CommandRepository(Protocol):
    """Commands to devices and how far each got; see `Command` for the life cycle."""

    def add(self, *commands: Command) -> None:
        """Add commands in one transaction. One whose id its device already has changes nothing.

        A backend of small transactions adds many commands in several; the same call again completes what failed.
        """
        ...

    def get(self, device: DeviceRef, command_id: str) -> Command | None:
        """One command of the device."""
        ...

    def pending(self, devices: Sequence[DeviceRef], *, now_ms: int, limit: int = 1000) -> list[Command]:
        """Commands of these devices that are still to be sent, in the order in which they were added."""
        ...

    def queued(self, tenant: str, *, now_ms: int, limit: int = 10_000) -> list[Command]:
        """Commands of all devices of the tenant that were never sent, in the order in which they were added."""
        ...

    def backlog(self, devices: Sequence[DeviceRef], *, now_ms: int) -> Mapping[DeviceRef, int]:
        """How many commands are still to be sent to each of these devices; those with none are left out."""
        ...

    def advance(
        self, device: DeviceRef, command_id: str, to: CommandStatus, *, now_ms: int, result: Any = None
    ) -> Command | None:
        """Move a command forward, atomically; None when there is none or that step is not possible (any more)."""
        ...

    def page(self, device: DeviceRef, *, before_id: str | None = None, limit: int = 100) -> list[Command]:
        """The device's commands, the last added first; only those added before *before_id* when that is given."""
        ...

    def counts(self, tenant: str) -> Mapping[CommandStatus, int]:
        """How many commands are in each status; those that have none are left out."""
        ...

    def expire(self, *, now_ms: int) -> int:
        """Mark pending commands whose time is over; returns how many."""
        ...

    def forget(self, *, before_ms: int) -> int:
        """Drop commands that are not pending and did not change since *before_ms*; returns how many."""
        ...

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        """Drop everything of removed devices."""
        ...

    def revision(self) -> int:
        """Grows when any process changed anything here; as cheap as that of `DeviceRepository`."""
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class TwinRepository(Protocol):
    """Desired and reported state of devices."""

    def get(self, device: DeviceRef) -> Twin:
        """The device's twin; an empty one of version 0 when nothing was ever written."""
        ...

    def put(self, twin: Twin) -> Twin:
        """Write the whole twin, if the stored version is still `twin.version`.

        Returns:
            The twin as stored, with `version` one higher.

        Raises:
            Conflict: Changed meanwhile (code ``stale_version``).
        """
        ...

    def changed(self, *, since: int, limit: int = 1000) -> list[Twin]:
        """Twins that changed after the revision *since*, the longest ago first.

        Whoever follows all changes takes `revision()` first, then asks with the revision before.
        """
        ...

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        """Drop the twins of removed devices."""
        ...

    def revision(self) -> int:
        """Grows when any process changed a twin; as cheap as that of `DeviceRepository`."""
        ...

    def check(self) -> None:
        """Make a round trip to the backend."""
        ...


class Reachable(Protocol):
    """A server that is only asked whether it is there."""

    def check(self) -> None:
        """Connect and leave.

        Raises:
            Unavailable: Nobody answers there.
        """
        ...


class Tenure(NamedTuple):
    """One holding of a lease. `number` grows with each, so that a later one is known to have ended an earlier."""

    name: str
    number: int


class Tenant(NamedTuple):
    """Who holds a lease, until when, and what he says of himself."""

    holder: str
    expires_ms: int
    note: str


class Lease(Protocol):
    """Which of several processes may act. Who does not renew in time loses the lease to the first who asks.

    All ask with the same *ttl_s*. A lease that lasts longer than that from now was taken by a clock that stepped back
    since, and is free.
    """

    def acquire(self, name: str, holder: str, *, ttl_s: float, now_ms: int) -> Tenure | None:
        """Begin a tenure of *ttl_s* if nobody has one, or *holder* himself; None while another has."""
        ...

    def renew(self, tenure: Tenure, *, ttl_s: float, now_ms: int, note: str = "") -> bool:
        """Let the tenure last for *ttl_s* from now, also when it had run out; False: another has begun since."""
        ...

    def release(self, tenure: Tenure) -> None:
        """End the tenure, so that the next need not wait; nothing happens if another has begun."""
        ...

    def tenant(self, name: str, *, now_ms: int) -> Tenant | None:
        """Who holds the lease now."""
        ...


class Taken(NamedTuple):
    """What a successor needs to know of what was taken.

    Attributes:
        marks: Packet id -> digest of topic and content, of what the broker may repeat.
        stamped_ms: The latest time that was given to a reading.
    """

    marks: Mapping[int, int]
    stamped_ms: int


class Inbox(Protocol):
    """What a broker delivers, on its way into the queue. Knows a repetition by its packet id and content.

    A broker repeats what it was not seen to be told that it arrived. Where the queue has transactions, the memory of
    what did is kept in the same one as the messages, for as long as a repetition can come, and nothing is taken under
    a tenure that is over.
    """

    def take(self, deliveries: Sequence["Delivery"], tenure: Tenure, *, now_ms: int) -> None:
        """Queue all accepted messages and make dead letters of the refused, in one transaction.

        Raises:
            Unavailable: Nothing was stored.
            Conflict: Nothing was stored: the tenure is over (code ``lease_lost``).
        """
        ...

    def taken(self, name: str) -> Taken:
        """What was taken by tenures of the lease *name*."""
        ...
