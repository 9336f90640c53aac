"""Brokers of MQTT: what they are told of devices, who speaks with them, and what they deliver."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from chalicelib.model import DeviceRef

if TYPE_CHECKING:  # it reads payloads, which takes longer to load than all ports together
    from chalicelib.delivery import Delivery


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
