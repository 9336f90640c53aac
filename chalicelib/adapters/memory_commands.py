"""Commands and twins in this process: for tests, and for a service that may forget."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.errors import Conflict
from chalicelib.model import PENDING_STATUSES, Command, CommandStatus, DeviceRef, Twin


class MemoryCommands:
    """`CommandRepository` in a dictionary, which keeps the order in which commands were added."""

    def __init__(self) -> None:
        self._commands: dict[tuple[DeviceRef, str], Command] = {}
        self._lock = threading.Lock()
        self._revision = 0

    def add(self, *commands: Command) -> None:
        with self._lock:
            for command in commands:
                self._commands.setdefault((command.device, command.id), command)
            self._revision += 1

    def get(self, device: DeviceRef, command_id: str) -> Command | None:
        return self._commands.get((device, command_id))

    def pending(self, devices: Sequence[DeviceRef], *, now_ms: int, limit: int = 1000) -> list[Command]:
        wanted = frozenset(devices)
        with self._lock:
            found = [command for command in self._commands.values() if command.device in wanted]
        return [command for command in found if command.pending(now_ms)][:limit]

    def queued(self, tenant: str, *, now_ms: int, limit: int = 10_000) -> list[Command]:
        with self._lock:
            known = list(self._commands.values())
        queued = (each for each in known if each.device.tenant == tenant and each.status is CommandStatus.QUEUED)
        return [command for command in queued if command.pending(now_ms)][:limit]

    def backlog(self, devices: Sequence[DeviceRef], *, now_ms: int) -> Mapping[DeviceRef, int]:
        wanted = frozenset(devices)
        with self._lock:
            found = [command for command in self._commands.values() if command.device in wanted]
        return Counter(command.device for command in found if command.pending(now_ms))

    def advance(
        self, device: DeviceRef, command_id: str, to: CommandStatus, *, now_ms: int, result: Any = None
    ) -> Command | None:
        with self._lock:
            command = self._commands.get((device, command_id))
            advanced = command.advanced(to, now_ms=now_ms, result=result) if command is not None else None
            if advanced is not None:
                self._commands[device, command_id] = advanced
                self._revision += 1
        return advanced

    def page(self, device: DeviceRef, *, before_id: str | None = None, limit: int = 100) -> list[Command]:
        with self._lock:
            own = [command for command in self._commands.values() if command.device == device]
        if before_id is not None:
            ids = [command.id for command in own]
            own = own[: ids.index(before_id)] if before_id in ids else []
        return own[::-1][:limit]

    def counts(self, tenant: str) -> Mapping[CommandStatus, int]:
        with self._lock:
            return Counter(command.status for command in self._commands.values() if command.device.tenant == tenant)

    def expire(self, *, now_ms: int) -> int:
        with self._lock:
            over = [
                key
                for key, command in self._commands.items()
                if command.status in PENDING_STATUSES and not command.pending(now_ms)
            ]
            for key in over:
                self._commands[key] = replace(self._commands[key], status=CommandStatus.EXPIRED, updated_ms=now_ms)
            self._revision += 1
        return len(over)

    def forget(self, *, before_ms: int) -> int:
        with self._lock:
            old = [
                key
                for key, command in self._commands.items()
                if command.status not in PENDING_STATUSES and command.updated_ms < before_ms
            ]
            self._drop(old)
        return len(old)

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        removed = frozenset(devices)
        with self._lock:
            self._drop([key for key in self._commands if key[0] in removed])

    def revision(self) -> int:
        return self._revision

    def check(self) -> None:
        """Memory is always there."""

    def _drop(self, keys: Iterable[tuple[DeviceRef, str]]) -> None:
        for key in keys:
            del self._commands[key]
        self._revision += 1


class MemoryTwins:
    """`TwinRepository` in a dictionary, the longest unchanged first."""

    def __init__(self) -> None:
        self._twins: dict[DeviceRef, tuple[int, Twin]] = {}
        self._lock = threading.Lock()
        self._revision = 0

    def get(self, device: DeviceRef) -> Twin:
        _, twin = self._twins.get(device, (0, Twin(device=device)))
        return twin

    def put(self, twin: Twin) -> Twin:
        with self._lock:
            if self.get(twin.device).version != twin.version:
                raise Conflict("The twin was changed meanwhile", field="version", code="stale_version")
            written = replace(twin, version=twin.version + 1)
            self._revision += 1
            self._twins.pop(twin.device, None)
            self._twins[twin.device] = (self._revision, written)
        return written

    def changed(self, *, since: int, limit: int = 1000) -> list[Twin]:
        with self._lock:
            return [twin for changed, twin in self._twins.values() if changed > since][:limit]

    def purge(self, devices: Iterable[DeviceRef]) -> None:
        with self._lock:
            for device in devices:
                self._twins.pop(device, None)
            self._revision += 1

    def revision(self) -> int:
        return self._revision

    def check(self) -> None:
        """Memory is always there."""
