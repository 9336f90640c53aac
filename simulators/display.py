"""What a run shows while it goes on: a live table on a terminal, a line now and then elsewhere."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from simulators.device import SimulatedDevice
from simulators.timeline import Timeline
from simulators.totals import total

LINE_EVERY_S = 10.0
LINES_BESIDE_ROWS = 8
"""What the table's frame, the progress bar and the prompt take of the screen."""

PROGRESS_TEXT_WIDTH = 75
"""Room beside the bar: were the last line full, the echo of Ctrl-C would wrap and shift the picture by a line."""


class Display(Protocol):
    """Shows a run. Use it as a context manager, and call `update` often."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def update(self, now_s: float) -> None:
        """Show how things are now (real time, epoch seconds)."""


def display_for(console: Console, devices: Sequence[SimulatedDevice], timeline: Timeline, *, now_s: float) -> Display:
    """Return the display that suits the console."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console, devices, timeline, now_s=now_s)
    return Lines(console, devices, now_s=now_s)


class Lines:
    """One line every ten seconds."""

    def __init__(self, console: Console, devices: Sequence[SimulatedDevice], *, now_s: float) -> None:
        self._console = console
        self._devices = devices
        self._began_s = now_s
        self._next_s = now_s + LINE_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, now_s: float) -> None:
        """Print a line when it is time for one."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + LINE_EVERY_S
        self._console.print(f"{now_s - self._began_s:.0f} s: {progress_text(self._devices)}", highlight=False)


class LiveTable:
    """A table of the devices, or of their types when they do not fit the screen, above a progress bar."""

    def __init__(
        self, console: Console, devices: Sequence[SimulatedDevice], timeline: Timeline, *, now_s: float
    ) -> None:
        self._devices = devices
        self._timeline = timeline
        self._began_s = now_s
        self._by_type = len(devices) + LINES_BESIDE_ROWS > console.height
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(max(10, console.width - PROGRESS_TEXT_WIDTH)),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("", total=1.0)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, now_s: float) -> None:
        """Draw everything anew."""
        self._progress.update(self._task, completed=self._share(now_s), description=progress_text(self._devices))
        table = type_table(self._devices) if self._by_type else device_table(self._devices)
        self._live.update(Group(table, self._progress), refresh=True)

    def _share(self, now_s: float) -> float:
        """Return how much of the run is done, 0 to 1: of its readings when there is a history, else of its time."""
        if self._timeline.begin_s == self._timeline.live_s:
            return min(1.0, (now_s - self._began_s) / max(self._timeline.wall_end_s - self._began_s, 0.001))
        span_s = self._timeline.end_s - self._timeline.begin_s
        expected = sum(span_s / device.plan.interval_s for device in self._devices)
        return min(1.0, sum(device.counts.accepted for device in self._devices) / max(expected, 1.0))


def device_table(devices: Iterable[SimulatedDevice]) -> Table:
    """Return a table with a row for each device."""
    table = Table("device", "state", "accepted", "waiting", _last_column(), expand=True)
    for device in devices:
        name = device.enrolled.name if device.enrolled else device.plan.name
        table.add_row(name, _state(device), str(device.counts.accepted), str(device.waiting), _last(device))
    return table


def type_table(devices: Iterable[SimulatedDevice]) -> Table:
    """Return a table with a row for each type of device."""
    groups: dict[str, list[SimulatedDevice]] = defaultdict(list)
    for device in devices:
        groups[device.plan.kind.device_type].append(device)
    table = Table("type", "devices", "online", "accepted", "waiting", _last_column(), expand=True)
    for device_type, members in groups.items():
        online = sum(device.enrolled is not None for device in members)
        accepted, waiting = sum(d.counts.accepted for d in members), sum(d.waiting for d in members)
        table.add_row(device_type, str(len(members)), str(online), str(accepted), str(waiting), _last(members[0]))
    return table


def progress_text(devices: Sequence[SimulatedDevice]) -> str:
    """Return one line about the whole fleet."""
    counts = total(device.counts for device in devices)
    online = sum(device.enrolled is not None for device in devices)
    waiting = sum(device.waiting for device in devices)
    text = f"{online}/{len(devices)} devices, {counts.accepted} accepted, {waiting} waiting"
    return f"{text}, {counts.lost_readings} lost" if counts.lost_readings else text


def _state(device: SimulatedDevice) -> str:
    if device.refusal:
        return f"[red]{device.refusal}[/]"
    return device.enrolled.how if device.enrolled else "registering"


def _last_column() -> Column:
    return Column("last reading", ratio=1, no_wrap=True, overflow="ellipsis")


def _last(device: SimulatedDevice) -> str:
    return "  ".join(f"{name} {value}" for name, value in device.last_data.items() if name != "timestamp")
