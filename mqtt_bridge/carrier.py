"""Commands and configuration on their way to a broker, which delivers them. The databases are the queue."""

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from chalicelib import topics, twin
from chalicelib.errors import Unavailable
from chalicelib.model import DEFAULT_TENANT, Command, CommandStatus, DeviceRef, Twin
from chalicelib.wiring import Services
from mqtt_bridge.broker import Broker
from mqtt_bridge.downlink import command_payload, compact, expiry
from mqtt_bridge.packets import Publish

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TICK_S = 0.1
UNHEARD_S = 30.0
"""After so long a command that nobody listened for is tried again; at once when its device gives a sign of life."""
NO_SUBSCRIBERS = 0x10
"""The reason in a PUBACK of a broker that had nobody to give the message to."""
CONFIGS = topics.config("+")
ALL_TWINS = 1_000_000
NOBODY = 0
"""No device has this id."""


class Carrier:
    """Publishes each command once, and the desired state of each device, retained, whenever it changes.

    A command is sent when the broker has it and knows a subscriber; until then it stays queued.

    Args:
        services: The repositories of commands and twins; they are asked by a thread.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="carrier")
        self._commands_revision = -1
        self._twins_revision = -1
        self._desired_ms: dict[DeviceRef, int] = {}
        self._unheard_s: dict[tuple[DeviceRef, str], float] = {}
        self._unheard_by: set[DeviceRef] = set()
        self._retained: dict[int, bytes] | None = None

    def seen(self, devices: Iterable[DeviceRef]) -> None:
        """These gave a sign of life: commands that nobody listened for are tried again."""
        if self._unheard_by:
            awake = self._unheard_by.intersection(devices)
            self._unheard_by -= awake
            for key in [key for key in self._unheard_s if key[0] in awake]:
                self._unheard_s[key] = 0.0

    def without_retained(self, messages: list[Publish]) -> list[Publish]:
        """*messages* without the configurations that `run` has asked the broker for, which are kept."""
        if self._retained is None:
            return messages
        others = []
        for message in messages:
            topic = topics.parse(message.topic)
            if topic is None or topic.entry.kind is not topics.Kind.CONFIG:
                others.append(message)
            elif topic.device_id.isdecimal():
                self._retained[int(topic.device_id)] = message.payload
        return others

    async def run(self, broker: Broker) -> None:
        """Carry until the connection ends.

        Raises:
            BrokerAway: It has.
        """
        self._commands_revision = -1
        self._unheard_s.clear()
        await self._reconcile(broker)
        for tick in itertools.count(1):
            try:
                await self._carry_commands(broker, again=tick % 10 == 0)
                await self._carry_twins(broker)
            except Unavailable:
                log.warning("Commands and configurations cannot be read or written; they are sent later")
                self._commands_revision = -1
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """End what is being done."""
        self._thread.shutdown()

    # --- commands -----------------------------------------------------------------------------------------------

    async def _carry_commands(self, broker: Broker, *, again: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        due = again and any(at_s <= now_s for at_s in self._unheard_s.values())
        revision = await self._in_thread(self._services.commands.revision)
        if revision == self._commands_revision and not due:
            return
        found = await self._in_thread(partial(self._services.commands.queued, DEFAULT_TENANT, now_ms=_now_ms()))
        self._commands_revision = revision
        keys = {(command.device, command.id) for command in found}
        self._unheard_s = {key: at_s for key, at_s in self._unheard_s.items() if key in keys}
        wanted = [command for command in found if self._unheard_s.get((command.device, command.id), 0.0) <= now_s]
        if not wanted:
            return
        tells = await self._tells_that_nobody_listens(broker)
        by_device: dict[DeviceRef, list[Command]] = {}
        for command in wanted:
            by_device.setdefault(command.device, []).append(command)
        await asyncio.gather(*(self._carry(broker, commands, tells=tells) for commands in by_device.values()))

    async def _tells_that_nobody_listens(self, broker: Broker) -> bool:
        """Whether the broker says so of a topic that nobody listens to; somebody may listen to all devices' commands.

        Then each command can go out under one of its two topics, whichever its device listens to. Otherwise it goes
        out under both, and a device that listens to both by one filter hears it twice.
        """
        return await broker.publish(Publish(topics.commands(NOBODY, "probe"), b"")) == NO_SUBSCRIBERS

    async def _carry(self, broker: Broker, wanted: list[Command], *, tells: bool) -> None:
        """The commands of one device, in their order."""
        for command in wanted:
            key = command.device, command.id
            if await self._publish(broker, command, tells=tells):
                self._unheard_s.pop(key, None)
                advance = partial(self._services.commands.advance, *key, CommandStatus.SENT, now_ms=_now_ms())
                await self._in_thread(advance)
            else:
                self._unheard_s[key] = asyncio.get_running_loop().time() + UNHEARD_S
                self._unheard_by.add(command.device)

    async def _publish(self, broker: Broker, command: Command, *, tells: bool) -> bool:
        """Whether the broker had somebody to give it to, or does not say."""
        heard = False
        for name in (topics.commands(command.device.id, command.command_type), topics.commands(command.device.id)):
            properties = expiry(command, _now_ms())
            reason = await broker.publish(Publish(name, command_payload(command, name), properties=properties))
            heard |= reason != NO_SUBSCRIBERS
            if heard and tells:
                break
        return heard

    # --- configuration ------------------------------------------------------------------------------------------

    async def _reconcile(self, broker: Broker) -> None:
        """Compare what the broker retains with what is desired: it may be new, or have forgotten the last seconds."""
        self._retained = {}
        await broker.subscribe([(CONFIGS, 0)])
        await broker.round_trip()
        await broker.unsubscribe(CONFIGS)
        retained, self._retained = self._retained, None
        revision = await self._in_thread(self._services.twins.revision)
        known = await self._in_thread(partial(self._services.twins.changed, since=-1, limit=ALL_TWINS))
        self._twins_revision = revision
        wanted = {each.device.id: each for each in known if each.desired_updated_ms is not None}
        for each in wanted.values():
            self._desired_ms[each.device] = each.desired_updated_ms or 0
            if each.device.tenant == DEFAULT_TENANT and _config_in(retained.get(each.device.id)) != dict(each.desired):
                await self._tell(broker, each)
        for device_id in retained.keys() - wanted.keys():
            await broker.publish(Publish(topics.config(device_id), b"", retain=True))

    async def _carry_twins(self, broker: Broker) -> None:
        revision = await self._in_thread(self._services.twins.revision)
        if revision == self._twins_revision:
            return
        changed = await self._in_thread(
            partial(self._services.twins.changed, since=self._twins_revision, limit=ALL_TWINS)
        )
        self._twins_revision = revision
        for each in changed:
            if each.desired_updated_ms is None or self._desired_ms.get(each.device) == each.desired_updated_ms:
                continue  # only what is reported has changed
            self._desired_ms[each.device] = each.desired_updated_ms
            if each.device.tenant == DEFAULT_TENANT:
                await self._tell(broker, each)

    async def _tell(self, broker: Broker, found: Twin) -> None:
        await broker.publish(Publish(topics.config(found.device.id), compact(twin.message(found)), retain=True))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _config_in(payload: bytes | None) -> object:
    """The desired state in a retained configuration; None when there is none that can be read."""
    try:
        document = json.loads(payload or b"null")
    except ValueError:
        return None
    return document.get("config") if isinstance(document, dict) else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
