"""Simulated time: where it begins, how fast it runs, and where it ends.

A run has an optional history, sent as fast as the service takes it, and a live part of `duration_s` real seconds in
which simulated time runs `speed` times faster than the clock. Unless a start is given, the live part begins so far in
the past that it ends in the present: no reading ever carries a time in the future.

    history                live, speed times faster
    |--------------------->|======================>|
    begin_s                live_s                  end_s  (= the real time at which the run ends)
"""

import math
from typing import Self


class FutureRun(Exception):
    """The run would reach into the future, and readings never do."""


class Timeline:
    """Maps real time (`wall_s`) to simulated time; both in seconds since the epoch.

    Args:
        wall_s: the real time at which the run starts.
        live_s: the simulated time at that instant.
        history_s: how much lies before it.
        duration_s: the length of the live part in real seconds.
        speed: simulated seconds in a real one.
    """

    def __init__(self, *, wall_s: float, live_s: float, history_s: float, duration_s: float, speed: float) -> None:
        self.live_s = live_s
        self.begin_s = live_s - history_s
        self.end_s = live_s + duration_s * speed
        self.wall_end_s = wall_s + duration_s
        self.speed = speed
        self.interrupted = False
        self._wall_s = wall_s

    @classmethod
    def plan(
        cls, *, now_s: float, history_s: float, duration_s: float, speed: float, start_s: float | None = None
    ) -> Self:
        """Lay out a run that starts now: simulated time begins at `start_s`, or so that it ends in the present.

        The beginning is a whole second, so that a run can be repeated by writing it down.

        Raises:
            FutureRun: start earlier, or make the run shorter or slower.
        """
        live_s = math.floor(now_s - duration_s * (speed - 1) - history_s if start_s is None else start_s) + history_s
        if live_s + duration_s * speed > now_s + duration_s:
            raise FutureRun("the run would reach into the future: start earlier, or make it shorter or slower")
        return cls(wall_s=now_s, live_s=live_s, history_s=history_s, duration_s=duration_s, speed=speed)

    def simulated_s(self, wall_s: float) -> float:
        """Return the simulated time at a real time; it stands still at the end."""
        return min(self.live_s + (wall_s - self._wall_s) * self.speed, self.end_s)

    def wall_at(self, simulated_s: float) -> float:
        """Return the real time at which the simulated time is reached; the past for the history."""
        return self._wall_s + (simulated_s - self.live_s) / self.speed

    def interrupt(self, wall_s: float) -> None:
        """End the live part now, if it would last longer, and the history wherever each device is in it."""
        self.interrupted = True
        self.end_s = self.simulated_s(wall_s)
        self.wall_end_s = min(wall_s, self.wall_end_s)
