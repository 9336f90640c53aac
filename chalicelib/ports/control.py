"""Commands to devices and their desired state."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from chalicelib.model import Command, CommandStatus, DeviceRef, Twin


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
