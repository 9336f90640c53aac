"""Sessions: what the gateway remembers of a client between his connections. In memory: a restart forgets them.

What must outlive a restart is in the databases: readings in the queue, commands and twins in theirs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mqtt_bridge.packets import Publish
from mqtt_bridge.reasons import Reason

NEVER = 0xFFFFFFFF
"""The session expiry that means never; the gateway's own maximum still holds."""
MAX_OFFLINE_SESSIONS = 50_000
MAX_WAITING = 1000
"""Messages that wait for a place in a client's receive window. Commands come again from their repository."""


class Link(Protocol):
    """A connection, as a session sees it."""

    receive_maximum: int

    @property
    def is_slow(self) -> bool:
        """Whether much of what was sent has not been taken by the client."""
        ...

    def send(self, message: Publish) -> None:
        """Write a message to the client."""
        ...

    def end(self, reason: Reason) -> None:
        """Close the connection; MQTT 5 is told why."""
        ...


class SessionKey(NamedTuple):
    """Names a session: client ids are each owner's own."""

    owner: str
    client_id: str


@dataclass(slots=True)
class Outgoing:
    """A message that the client has not yet confirmed."""

    message: Publish
    confirmed: Callable[[], None] | None


@dataclass(slots=True)
class Session:
    """One client's state.

    Attributes:
        subscriptions: Filter -> granted QoS, 0 or 1.
        received: Packet ids of QoS 2 messages that are not yet released: a repetition of one is not a new message. A
            dict, like `told`, since most sessions have none, and an empty set weighs three times as much.
        unconfirmed: What was sent with QoS 1, by packet id, in the order of sending.
        told: Ids of commands that were sent and are not yet confirmed.
        config_told_ms: Of when the desired state is that was sent last.
        expiry_s: How long it outlives its connection.
        ends_at_s: When it ends, on the loop's clock, while nobody is connected.
    """

    key: SessionKey
    expiry_s: int = 0
    subscriptions: dict[str, int] = field(default_factory=dict)
    received: dict[int, None] = field(default_factory=dict)
    unconfirmed: dict[int, Outgoing] = field(default_factory=dict)
    waiting: list[Outgoing] = field(default_factory=list)
    told: dict[str, None] = field(default_factory=dict)
    config_told_ms: int | None = None
    link: Link | None = None
    ends_at_s: float = 0.0
    on_end: Callable[[], None] | None = None
    _last_id: int = 0

    def send(self, message: Publish, confirmed: Callable[[], None] | None = None) -> bool:
        """Send a message, now or when the client's window has room; False: nobody is connected, or too much waits."""
        if self.link is None:
            return False
        if not message.qos:
            self.link.send(message)
            return True
        if len(self.waiting) >= MAX_WAITING:
            return False
        self.waiting.append(Outgoing(message, confirmed))
        self._fill()
        return True

    def confirm(self, packet_id: int) -> bool:
        """The client has a message. False: it was not waiting for that."""
        found = self.unconfirmed.pop(packet_id, None)
        if found is None:
            return False
        if found.confirmed:
            found.confirmed()
        self._fill()
        return True

    def resume(self) -> None:
        """Send again what the last connection did not confirm, then what waits."""
        if self.link is not None:
            for outgoing in self.unconfirmed.values():
                self.link.send(outgoing.message._replace(dup=True))
        self._fill()

    def _fill(self) -> None:
        while self.link is not None and self.waiting and len(self.unconfirmed) < self.link.receive_maximum:
            outgoing = self.waiting.pop(0)
            outgoing.message = outgoing.message._replace(packet_id=self._free_id())
            self.unconfirmed[outgoing.message.packet_id] = outgoing
            self.link.send(outgoing.message)

    def _free_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self.unconfirmed:
                return self._last_id


class Opened(NamedTuple):
    """A session, and whether it existed before."""

    session: Session
    present: bool


class Sessions:
    """All sessions of the gateway.

    Args:
        max_expiry_s: No session outlives its connection for longer.
        max_offline: How many are kept without a connection; those that end first go first.
    """

    def __init__(self, *, max_expiry_s: int, max_offline: int = MAX_OFFLINE_SESSIONS) -> None:
        self._max_expiry_s = max_expiry_s
        self._max_offline = max_offline
        self._sessions: dict[SessionKey, Session] = {}
        self._offline: dict[SessionKey, Session] = {}
        self._by_owner: dict[str, tuple[Session, ...]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, key: SessionKey, link: Link, *, clean: bool, expiry_s: int) -> Opened:
        """Give *link* the session of *key*; whoever held it is disconnected."""
        session = self._sessions.get(key)
        if session is not None and session.link is not None:
            session.link.end(Reason.SESSION_TAKEN_OVER)
        session = self._sessions.get(key)  # the end of the other connection may have been its end too
        if session is not None and clean:
            self._drop(session)
            session = None
        present = session is not None
        if session is None:
            session = Session(key)
            self._sessions[key] = session
            self._by_owner[key.owner] = (*self._by_owner.get(key.owner, ()), session)
        self._offline.pop(key, None)
        session.link = link
        session.expiry_s = min(expiry_s, self._max_expiry_s)
        session.on_end = None
        return Opened(session, present)

    def leave(self, session: Session, *, now_s: float) -> None:
        """Its connection has ended; the session ends too, or waits for the next one."""
        session.link = None
        if not session.expiry_s:
            self._drop(session)
            return
        session.ends_at_s = now_s + session.expiry_s
        self._offline[session.key] = session
        if len(self._offline) > self._max_offline:
            self._drop(min(self._offline.values(), key=lambda each: each.ends_at_s))

    def of(self, owner: str) -> Iterable[Session]:
        """The sessions of *owner*."""
        return self._by_owner.get(owner, ())

    def is_connected(self, owner: str) -> bool:
        """Whether *owner* has any connection."""
        return any(session.link is not None for session in self.of(owner))

    def sweep(self, *, now_s: float) -> None:
        """End those whose time is over."""
        for session in [each for each in self._offline.values() if each.ends_at_s <= now_s]:
            self._drop(session)

    def forget(self, owner: str) -> None:
        """End all sessions of *owner*: the device is gone, or locked out."""
        for session in list(self.of(owner)):
            if session.link is None:
                session.on_end = None
                self._drop(session)

    def _drop(self, session: Session) -> None:
        self._sessions.pop(session.key, None)
        self._offline.pop(session.key, None)
        owned = tuple(each for each in self.of(session.key.owner) if each is not session)
        if owned:
            self._by_owner[session.key.owner] = owned
        else:
            self._by_owner.pop(session.key.owner, None)
        if session.on_end is not None:
            session.on_end()
            session.on_end = None
