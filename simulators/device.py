"""One simulated device: makes readings when they are due, and keeps each until the service has accepted it.

A device never waits. `step` does what is due now and says when to call again, so a few threads serve a thousand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from simulators.client import Answer, TimedReading, status_text
from simulators.enrolment import Enrolled, Enrolment, Keys, OnDuplicate, Registrar
from simulators.line import Line
from simulators.outbox import Outbox
from simulators.profiles import Kind
from simulators.signals import Data
from simulators.timeline import Timeline
from simulators.totals import Counts
from simulators.uplink import Connect, Uplink

OUTAGE_S = 5.0
"""How long a simulated network failure lasts, in simulated seconds (Source: the predecessor's devices)."""
STAGGER_S = 5.0
"""The first readings of a fleet are spread over this many simulated seconds."""
SEND_GAP_S = 0.125
"""Least real time between two sends of one device: readings that fall due faster go together."""
LATE_S = 0.001
"""A device is woken this much after its reading is due, so that rounding never wakes it too early."""


@dataclass(frozen=True)
class DevicePlan:
    """What a device is: its name, its kind, and how many simulated seconds lie between its readings.

    `enrolled` is its key, where that is known beforehand; else it registers.
    """

    name: str
    kind: Kind
    interval_s: float
    enrolled: Enrolled | None = None


@dataclass(frozen=True)
class Surroundings:
    """What all devices of a run share. `clock` is real time, `heartbeat_interval_s` counts in it.

    The first readings are spread over `stagger_s` simulated seconds.
    """

    seed: int
    timeline: Timeline
    clock: Callable[[], float]
    client: Registrar
    connect: Connect
    keys: Keys
    on_duplicate: OnDuplicate
    failure_rate: float
    heartbeat_interval_s: float
    stagger_s: float = STAGGER_S


class SimulatedDevice:
    """A device in a run. One thread at a time may call it.

    Its data depend on the seed and its planned name alone: not on the network, its key or what else runs.
    """

    def __init__(self, plan: DevicePlan, around: Surroundings) -> None:
        data_rng = Random(f"{around.seed}/{plan.name}")
        self.plan = plan
        self.counts = Counts()
        self.enrolled = plan.enrolled
        self.refusal: str | None = None
        self.last_data: Data = {}
        self._around = around
        self._network_rng = Random(f"{around.seed}/{plan.name}/network")
        self._first_s = around.timeline.begin_s + data_rng.uniform(0, min(around.stagger_s, plan.interval_s))
        self._profile = plan.kind.make(data_rng, self._first_s)
        self._made = 0
        self._uplink: Uplink | None = None
        self._outbox = Outbox(self.counts)
        self._line = Line(self.counts, clock=around.clock, rng=self._network_rng)
        self._heartbeat_at_s = around.clock()
        self._enrolment = Enrolment(
            registration(plan, self._profile.location),
            client=around.client,
            keys=around.keys,
            on_duplicate=around.on_duplicate,
        )

    @property
    def waiting(self) -> int:
        """How many readings are made and not yet accepted."""
        return len(self._outbox)

    @property
    def progress(self) -> int:
        """A number that grows whenever the service has taken something from the device."""
        return self.counts.accepted + (self.enrolled is not None)

    def step(self) -> float | None:
        """Do what is due; return the real time (epoch seconds) at which to call again, or None when finished."""
        now_s = self._around.clock()
        if now_s < self._line.silent_until_s:
            return self._line.silent_until_s
        if self.enrolled is None:
            self._enrol()
        else:
            uplink = self._connected(self.enrolled)
            self._make(self._around.timeline.simulated_s(now_s))
            self._beat(now_s, uplink)
            if self._outbox and now_s >= self._line.silent_until_s:
                self._send(now_s, uplink)
        return self._due_s()

    def settle(self) -> None:
        """Say goodbye, and count what was due and is not accepted as lost: the run is over."""
        if self._uplink is not None:
            self._uplink.close()
        if self._more():
            unmade = math.ceil((self._around.timeline.end_s - self._next_s()) / self.plan.interval_s)
            self._made += unmade
            self.counts.due += unmade
            self.counts.lost[self._reason()] += unmade
        self._outbox.lose(len(self._outbox), self._reason())

    def _reason(self) -> str:
        return f"not registered: {self.refusal}" if self.refusal else "not accepted in time"

    def _next_s(self) -> float:
        return self._first_s + self._made * self.plan.interval_s

    def _more(self) -> bool:
        timeline, next_s = self._around.timeline, self._next_s()
        return next_s < timeline.end_s and not (timeline.interrupted and next_s < timeline.live_s)

    def _make(self, simulated_s: float) -> None:
        """Make the readings that are due; of the history only what one request carries, the rest when that is sent."""
        live_s = self._around.timeline.live_s
        while self._more() and (time_s := self._next_s()) <= simulated_s:
            if time_s < live_s and self._outbox.full:
                return
            self.last_data = self._profile.measure(time_s)
            self._outbox.put(TimedReading(round(time_s * 1000), self.last_data))
            self._made += 1

    def _due_s(self) -> float | None:
        timeline = self._around.timeline
        if self.refusal is not None:
            return None
        if self.enrolled is None or self._outbox:
            return self._line.silent_until_s
        next_s = timeline.wall_end_s
        if self._more():
            next_s = timeline.wall_at(self._next_s()) + LATE_S
        elif self._around.clock() >= next_s:
            return None
        return max(self._line.silent_until_s, min(next_s, self._heartbeat_at_s))

    def _enrol(self) -> None:
        outcome = self._line.ask(self._enrolment.attempt, repeatable=True)
        if isinstance(outcome, Enrolled):
            self.enrolled = outcome
        elif outcome is not None:
            self.refusal = f"{status_text(outcome.status)} {outcome.body.get('message', '')}".strip()

    def _connected(self, enrolled: Enrolled) -> Uplink:
        if self._uplink is None:
            self._uplink = self._around.connect(enrolled, self.plan.kind.device_type, self.counts)
        return self._uplink

    def _beat(self, now_s: float, uplink: Uplink) -> None:
        if not self._heartbeat_at_s <= now_s < self._around.timeline.wall_end_s:
            return
        self._heartbeat_at_s = now_s + self._around.heartbeat_interval_s
        self.counts.heartbeats += 1
        answer = self._line.ask(uplink.heartbeat, repeatable=False)
        self.counts.heartbeats_accepted += answer is not None and answer.status == 200

    def _send(self, now_s: float, uplink: Uplink) -> None:
        if self._network_rng.random() < self._around.failure_rate:
            self._outbox.delay()
            self._line.hush(now_s + OUTAGE_S / self._around.timeline.speed)
            return
        batch = self._outbox.batch()
        self._line.hush(now_s + SEND_GAP_S)
        answer = self._line.ask(lambda: self._telemetry(uplink, batch), repeatable=True)
        if answer is None:
            return
        if answer.status == 201:
            self._outbox.accept(len(batch))
        else:
            self._outbox.lose(len(batch), status_text(answer.status))

    def _telemetry(self, uplink: Uplink, batch: list[TimedReading]) -> Answer:
        answer = uplink.telemetry(batch)
        self.counts.latencies_ms.append(answer.latency_ms)
        return answer


def registration(plan: DevicePlan, location: str) -> dict[str, str]:
    """Return the record that a device registers with, with the predecessor's keys."""
    return {
        "name": plan.name,
        "description": f"Simulated {plan.kind.name.replace('_', ' ')} device",
        "device_type": plan.kind.device_type,
        "location": location,
        "firmware_version": "1.0.0",
        "hardware_version": "sim-v1.0",
    }
