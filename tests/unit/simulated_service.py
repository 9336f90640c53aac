"""A service in memory, for the simulators' tests: answers as the contract says, or as a script tells it to."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from simulators.client import Answer, DeviceClient, NoAnswer
from simulators.device import DevicePlan, SimulatedDevice, Surroundings
from simulators.enrolment import OnDuplicate
from simulators.profiles import kind_called
from simulators.timeline import Timeline
from simulators.uplink import over_http

START_S = 1_751_328_000.0
"""2025-07-01T00:00:00Z."""


class MemoryKeys(dict[str, str]):
    """Keys of earlier runs, in memory."""

    def put(self, name: str, api_key: str) -> None:
        self[name] = api_key


class VirtualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_s: float = START_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class SimulatedService:
    """Registers devices and stores readings; a script may put answers before its own.

    Args:
        clock: says when a request came.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.keys: dict[str, str] = {}
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}
        self.log: list[tuple[float, str, str]] = []
        self.largest_batch = 0
        self.script: dict[str, deque[int | type[NoAnswer]]] = {}
        self.retry_after_s: float | None = None
        self._clock = clock
        self._one_at_a_time = Lock()
        self._answers: dict[str, Answer] = {}

    def then(self, path: str, answers: Iterable[int | type[NoAnswer]]) -> None:
        """Give these statuses to the next requests for a path (its last word); NoAnswer acts but does not answer."""
        self.script[path] = deque(answers)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        word = path.rsplit("/", 1)[-1]
        with self._one_at_a_time:
            return self._answer(word, method, headers, body)

    def _answer(self, word: str, method: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self.log.append((self._clock(), method, word))
        scripted = self.script.get(word)
        verdict = scripted.popleft() if scripted else None
        if isinstance(verdict, int):
            return answer(verdict, {"message": "as the script says"}, self.retry_after_s)
        given = self._act(word, headers, json.loads(body) if body else {})
        if verdict is not None:
            raise verdict
        return given

    def _act(self, word: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        if word == "register":
            return self._register(body, headers["Idempotency-Key"])
        names = [name for name, key in self.keys.items() if key == headers.get("X-API-Key")]
        if not names:
            return answer(401, {"message": "no such key"})
        if word == "telemetry":
            return self._store(names[0], body.get("readings", [body]))
        return answer(200, {"device": {"id": 1}})

    def _register(self, record: Mapping[str, Any], idempotency_key: str) -> Answer:
        if idempotency_key in self._answers:
            return self._answers[idempotency_key]
        name = record["name"]
        if name in self.keys:
            return answer(409, {"message": f"{name} is taken"})
        self.keys[name] = f"key of {name}"
        given = answer(201, {"device": {"id": len(self.keys), "api_key": self.keys[name]}})
        self._answers[idempotency_key] = given
        return given

    def _store(self, name: str, readings: list[dict[str, Any]]) -> Answer:
        self.largest_batch = max(self.largest_batch, len(readings))
        for reading in readings:
            self.rows[name, reading["timestamp"]] = reading["data"]
        return answer(201, {"readings": len(readings)})


def answer(status: int, body: Mapping[str, Any] | None = None, retry_after_s: float | None = None) -> Answer:
    """Make an answer that took 2 ms."""
    return Answer(status, body or {}, retry_after_s, 2.0)


class Scene:
    """A service, a clock and what devices need besides: everything a test starts from."""

    def __init__(self, *, duration_s: float = 60, history_s: float = 0, speed: float = 1) -> None:
        now_s = START_S + history_s + duration_s * (speed - 1)
        self.clock = VirtualClock(now_s)
        self.service = SimulatedService(self.clock)
        self.keys = MemoryKeys()
        self.timeline = Timeline.plan(
            now_s=now_s, history_s=history_s, duration_s=duration_s, speed=speed, start_s=START_S
        )

    def device(
        self,
        name: str = "lab",
        *,
        seed: int = 1,
        kind: str = "basic",
        interval_s: float = 10,
        failure_rate: float = 0,
        on_duplicate: OnDuplicate = OnDuplicate.REUSE,
    ) -> SimulatedDevice:
        """Make a device in this scene."""
        client = DeviceClient(self.service)
        around = Surroundings(
            seed=seed,
            timeline=self.timeline,
            clock=self.clock,
            client=client,
            connect=over_http(client),
            keys=self.keys,
            on_duplicate=on_duplicate,
            failure_rate=failure_rate,
            heartbeat_interval_s=20,
        )
        return SimulatedDevice(DevicePlan(name, kind_called(kind), interval_s), around)

    def play(self, device: SimulatedDevice, *, until_s: float = 3600) -> SimulatedDevice:
        """Call the device whenever it asks for it, for at most so many seconds; then settle its counts."""
        end_s = self.clock() + until_s
        while (due_s := device.step()) is not None and due_s <= end_s:
            self.clock.now_s = max(self.clock.now_s, due_s)
        device.settle()
        return device
