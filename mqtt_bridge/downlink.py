"""Commands and configuration on their way to devices. The databases are the queue; this only carries."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from chalicelib import commands, topics, twin
from chalicelib.errors import Unavailable
from chalicelib.model import Command, CommandStatus, Device, DeviceRef, Twin
from chalicelib.wiring import Services
from mqtt_bridge.clients import heard
from mqtt_bridge.packets import Publish
from mqtt_bridge.session import Session, Sessions
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)

RPC = "v1/devices/me/rpc/request/"
ATTRIBUTES = "v1/devices/me/attributes"


class Downlink:
    """Sends each pending command once to every session of its device that listens for it.

    Args:
        services: The repositories of commands and twins.
        sessions: Where devices listen.
        loop: The event loop of the sessions; the repositories are asked by a thread.
    """

    def __init__(self, services: Services, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._sessions = sessions
        self._loop = loop
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="downlink")
        self._listeners: dict[DeviceRef, str] = {}
        self._revision = -1
        self._looking = False
        self._twins_revision = -1

    def welcome(self, device: Device, session: Session, *, now_ms: int) -> None:
        """*session* has subscribed, or is back: send what waits for it."""
        self._listeners[device.ref] = session.key.owner
        self._look([device.ref], now_ms)
        self._in_thread(lambda: self._read_twin(device.ref, session))

    def watch(self, *, now_ms: int) -> None:
        """Ask whether anybody changed a command; called several times a second."""
        if self._looking or not self._listeners:
            return
        try:
            revision, of_twins = self._services.commands.revision(), self._services.twins.revision()
        except Unavailable:
            return
        if of_twins != self._twins_revision:
            since, self._twins_revision = self._twins_revision, of_twins
            if since >= 0:
                self._in_thread(lambda: self._read_twins(since))
        if revision != self._revision:
            self._revision = revision
            gone = [ref for ref, owner in self._listeners.items() if not self._sessions.is_connected(owner)]
            for ref in gone:
                del self._listeners[ref]
            self._look(list(self._listeners), now_ms)

    def close(self) -> None:
        """End what is being done."""
        self._thread.shutdown()

    def _look(self, devices: Sequence[DeviceRef], now_ms: int) -> None:
        self._looking = True
        self._in_thread(lambda: self._pending(devices, now_ms))

    def _pending(self, devices: Sequence[DeviceRef], now_ms: int) -> None:
        found: list[Command] = []
        try:
            found = self._services.commands.pending(devices, now_ms=now_ms)
        except Unavailable:
            log.warning("The commands cannot be read; they are sent later")
            self._revision = -1
        self._loop.call_soon_threadsafe(self._deliver, found, now_ms)

    def _deliver(self, found: Iterable[Command], now_ms: int) -> None:
        self._looking = False
        for command in found:
            owner = self._listeners.get(command.device)
            for session in list(self._sessions.of(owner)) if owner else ():
                self._send(command, session, now_ms)

    def _send(self, command: Command, session: Session, now_ms: int) -> None:
        chosen = _topic_for(command, session)
        if chosen is None or session.link is None or command.id in session.told:
            return
        name, qos = chosen
        session.told[command.id] = None

        def confirmed() -> None:
            # Forgotten only when it is written down: who read the pending commands before that must not send it again.
            self._advance(
                command,
                CommandStatus.DELIVERED,
                lambda: self._loop.call_soon_threadsafe(session.told.pop, command.id, None),
            )

        message = Publish(name, command_payload(command, name), qos, properties=expiry(command, now_ms))
        if not session.send(message, confirmed if qos else None):
            session.told.pop(command.id, None)
            return
        self._advance(command, CommandStatus.SENT)
        if not qos:
            confirmed()

    def _advance(self, command: Command, to: CommandStatus, then: Callable[[], object] = lambda: None) -> None:
        def advance() -> None:
            self._advanced(command, to)
            then()

        self._in_thread(advance)

    def _advanced(self, command: Command, to: CommandStatus) -> None:
        now_ms = time.time_ns() // 1_000_000
        try:
            self._services.commands.advance(command.device, command.id, to, now_ms=now_ms)
        except Unavailable:
            log.warning("That a command is %s cannot be written down; it may be sent again", to)

    def _read_twin(self, device: DeviceRef, session: Session) -> None:
        try:
            found = self._services.twins.get(device)
        except Unavailable:
            log.warning("The configuration cannot be read; a device is told at its next change")
            return
        if found.desired:
            self._loop.call_soon_threadsafe(_tell_twin, found, session, True)

    def _read_twins(self, since: int) -> None:
        try:
            changed = self._services.twins.changed(since=since)
        except Unavailable:
            self._twins_revision = since
            return
        self._loop.call_soon_threadsafe(self._tell_twins, changed)

    def _tell_twins(self, changed: Iterable[Twin]) -> None:
        for each in changed:
            owner = self._listeners.get(each.device)
            for session in list(self._sessions.of(owner)) if owner else ():
                _tell_twin(each, session, False)

    def _in_thread(self, work: Callable[[], None]) -> None:
        self._thread.submit(work)


def _tell_twin(found: Twin, session: Session, retained: bool) -> None:
    """Send the desired state to *session* if it listens; once for each version."""
    if found.desired_updated_ms is None or (not retained and found.desired_updated_ms == session.config_told_ms):
        return  # only what is reported has changed
    session.config_told_ms = found.desired_updated_ms
    name = topics.config(found.device.id)
    told = twin.message(found)
    if heard(session.subscriptions, ATTRIBUTES) is not None and not retained and told["delta"]:
        session.send(Publish(ATTRIBUTES, compact(told["delta"])))
    qos = heard(session.subscriptions, name)
    if qos is not None:
        session.send(Publish(name, compact(told), qos, retain=retained))


def _topic_for(command: Command, session: Session) -> tuple[str, int] | None:
    """Where *session* hears the command, and with which QoS: on one topic, however many it has subscribed to."""
    of_type = topics.commands(command.device.id, command.command_type)
    for name in (of_type, topics.commands(command.device.id), f"{RPC}{command.id}"):
        qos = heard(session.subscriptions, name)
        if qos is not None:
            return name, qos
    return None


def expiry(command: Command, now_ms: int) -> dict[int, int]:
    """The properties that let a command die with its time."""
    if command.expires_ms is None:
        return {}
    return {Property.MESSAGE_EXPIRY: max(1, (command.expires_ms - now_ms) // 1000)}


def command_payload(command: Command, name: str) -> bytes:
    """What a device reads; ThingsBoard's has its own words."""
    if name.startswith(RPC):
        return compact({"method": command.command_type, "params": command.payload})
    return compact(commands.message(command))


def compact(document: object) -> bytes:
    """*document* as JSON without spaces."""
    return json.dumps(document, separators=(",", ":")).encode()
