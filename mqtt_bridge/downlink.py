"""Commands and configuration on their way to devices. The databases are the queue; this only carries."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from chalicelib import topics
from chalicelib.errors import Unavailable
from chalicelib.model import Command, CommandStatus, Device, DeviceRef
from chalicelib.times import to_iso
from chalicelib.wiring import Services
from mqtt_bridge.clients import heard
from mqtt_bridge.packets import Publish
from mqtt_bridge.session import Session, Sessions
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)

RPC = "v1/devices/me/rpc/request/"


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

    def welcome(self, device: Device, session: Session, *, now_ms: int) -> None:
        """*session* has subscribed, or is back: send what waits for it."""
        self._listeners[device.ref] = session.key.owner
        self._look([device.ref], now_ms)

    def watch(self, *, now_ms: int) -> None:
        """Ask whether anybody changed a command; called several times a second."""
        if self._looking or not self._listeners:
            return
        try:
            revision = self._services.commands.revision()
        except Unavailable:
            return
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
        commands: list[Command] = []
        try:
            commands = self._services.commands.pending(devices, now_ms=now_ms)
        except Unavailable:
            log.warning("The commands cannot be read; they are sent later")
            self._revision = -1
        self._loop.call_soon_threadsafe(self._deliver, commands, now_ms)

    def _deliver(self, commands: Iterable[Command], now_ms: int) -> None:
        self._looking = False
        for command in commands:
            owner = self._listeners.get(command.device)
            for session in list(self._sessions.of(owner)) if owner else ():
                self._send(command, session, now_ms)

    def _send(self, command: Command, session: Session, now_ms: int) -> None:
        chosen = _topic_for(command, session)
        if chosen is None or session.link is None or command.id in session.told:
            return
        name, qos = chosen
        session.told.add(command.id)

        def confirmed() -> None:
            session.told.discard(command.id)
            self._advance(command, CommandStatus.DELIVERED)

        message = Publish(name, _payload(command, name), qos, properties=_expiry(command, now_ms))
        if not session.send(message, confirmed if qos else None):
            session.told.discard(command.id)
            return
        self._advance(command, CommandStatus.SENT)
        if not qos:
            confirmed()

    def _advance(self, command: Command, to: CommandStatus) -> None:
        self._in_thread(lambda: self._advanced(command, to))

    def _advanced(self, command: Command, to: CommandStatus) -> None:
        now_ms = time.time_ns() // 1_000_000
        try:
            self._services.commands.advance(command.device, command.id, to, now_ms=now_ms)
        except Unavailable:
            log.warning("That a command is %s cannot be written down; it may be sent again", to)

    def _in_thread(self, work: Callable[[], None]) -> None:
        self._thread.submit(work)


def _topic_for(command: Command, session: Session) -> tuple[str, int] | None:
    """Where *session* hears the command, and with which QoS: on one topic, however many it has subscribed to."""
    of_type = topics.commands(command.device.id, command.command_type)
    for name in (of_type, topics.commands(command.device.id), f"{RPC}{command.id}"):
        qos = heard(session.subscriptions, name)
        if qos is not None:
            return name, qos
    return None


def _expiry(command: Command, now_ms: int) -> dict[int, int]:
    if command.expires_ms is None:
        return {}
    return {Property.MESSAGE_EXPIRY: max(1, (command.expires_ms - now_ms) // 1000)}


def _payload(command: Command, name: str) -> bytes:
    """What a device reads; ThingsBoard's has its own words."""
    if name.startswith(RPC):
        return _compact({"method": command.command_type, "params": command.payload})
    document = {
        "command_id": command.id,
        "command": command.command_type,
        "type": command.command_type,
        "payload": command.payload,
        "timestamp": to_iso(command.created_ms),
        "source": "iotflow_api",
    }
    return _compact(document | ({"group_id": command.group} if command.group else {}))


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
