"""Live taps: readers who hear telemetry while it comes in. QoS 0: who is slow misses some."""

from chalicelib.model import Device
from mqtt_bridge.clients import heard
from mqtt_bridge.intake import without_key
from mqtt_bridge.packets import Publish
from mqtt_bridge.session import Session


class Taps:
    """The sessions of readers by tenant.

    Attributes:
        missed: How many messages were not sent since their reader was too slow.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, list[Session]] = {}
        self.missed = 0

    def add(self, tenant: str, session: Session) -> None:
        """From now on *session* hears what its subscriptions match."""
        sessions = self._sessions.setdefault(tenant, [])
        if session not in sessions:
            sessions.append(session)

    def discard(self, tenant: str, session: Session) -> None:
        """Its connection has ended."""
        sessions = [each for each in self._sessions.get(tenant, ()) if each is not session]
        if sessions:
            self._sessions[tenant] = sessions
        else:
            self._sessions.pop(tenant, None)

    def tell(self, device: Device, name: str, payload: bytes) -> None:
        """A reading of *device* was accepted under the topic *name*."""
        if not self._sessions:
            return
        for session in self._sessions.get(device.tenant, ()):
            if session.link is None or heard(session.subscriptions, name) is None:
                continue
            if session.link.is_slow:
                self.missed += 1
            else:
                session.send(Publish(name, without_key(payload)))
