"""Devices under fault: each sends until it is told yes, as real ones do, and keeps a ledger of what it was promised.

After the fault `Fleet.assert_kept` compares: every promised reading is stored exactly once with its value, nothing else
is stored, and the service's own ledger agrees.
"""

import http.client
import json
import threading
from collections import Counter
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from chalicelib import times
from tests.e2e.installation import is_settled
from tests.e2e.instance import eventually
from tests.e2e.posting import FIRST_MS, Owner, call, ledger, register

TIMEOUT_S = 12.0
"""Longer than the front waits for a commit; a device whose request died with the front hears so at once."""
PAUSE_S = 0.02
"""Between a failure and the next attempt."""
PATIENCE_S = 30.0
"""How long the last request of each device may be tried after the fault."""
BATCH = 5
FAR_FUTURE = "2090-01-01"
SEND = "/api/v1/devices/telemetry"


class Kind(NamedTuple):
    """How a device sends.

    Attributes:
        readings: In one request.
        own_times: Whether readings carry timestamps. Those without have an Idempotency-Key instead, or a retry would
            be another reading.
    """

    readings: int
    own_times: bool


KINDS = {"single": Kind(1, True), "batches": Kind(BATCH, True), "timeless": Kind(1, False)}
Row = tuple[str, int]
"""Timestamp as the API writes it, and the reading's number."""


class Device:
    """One device on one connection. Reading n has the value n, and when it has its own time that is n seconds.

    Attributes:
        promised: Rows of which a 201 was received.
        doubtful: Readings in attempts that may have worked, but nobody said so.
        outcomes: Statuses, and ``refused``, ``reset``, ``silent`` or ``cut`` where there was none.
        wrong: Answers that no fault excuses.
    """

    def __init__(self, url: str, owner: Owner, kind: Kind, *, retries: bool) -> None:
        self.owner = owner
        self.promised: list[Row] = []
        self.doubtful = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._kind = kind
        self._retries = retries
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)

    def run(self, stopped: threading.Event, given_up: threading.Event) -> None:
        """Send one request after the other until *stopped*; the last one is settled first, unless it is *given_up*."""
        first = 0
        while not stopped.is_set():
            self._settle(first, given_up)
            first += self._kind.readings
        self._connection.close()

    def _settle(self, first: int, given_up: threading.Event) -> None:
        numbers = range(first, first + self._kind.readings)
        while (promise := self._attempt(numbers)) is None:
            if given_up.wait(PAUSE_S):
                self.wrong.append(f"reading {first} was never accepted")
                return
            if not self._retries:
                return
        if self._kind.own_times:
            self.promised += [(times.to_iso(_time_of(number)), number) for number in numbers]
        else:
            self.promised.append((promise, first))

    def _attempt(self, numbers: range) -> str | None:
        """One request; the timestamp of its 201, or None."""
        try:
            self._connection.request("POST", SEND, self._body(numbers), self._headers(numbers[0]))
            answer = self._connection.getresponse()
            status, content = answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            outcome = _kind_of(error)
            self.outcomes[outcome] += 1
            self.doubtful += 0 if outcome == "refused" else len(numbers)
            return None
        self.outcomes[str(status)] += 1
        if status == 201:
            return str(content["timestamp"])
        self.doubtful += len(numbers)
        if status != 503 or int(answer.headers["Retry-After"]) < 1:
            self.wrong.append(f"{status} {content}")
        return None

    def _body(self, numbers: range) -> str:
        if not self._kind.own_times:
            return json.dumps({"data": {"n": numbers[0]}})
        readings = [{"timestamp": _time_of(number), "data": {"n": number}} for number in numbers]
        return json.dumps(readings[0] if len(readings) == 1 else {"readings": readings})

    def _headers(self, number: int) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "X-API-Key": self.owner.key}
        return headers if self._kind.own_times else headers | {"Idempotency-Key": f"reading-{number}"}

    def assert_kept(self, url: str) -> None:
        """Compare with what is stored."""
        stored = rows_of(url, self.owner)
        promised = sorted(self.promised)
        lost = sorted(set(promised) - set(stored))
        assert not lost, f"{len(lost)} promised readings of device {self.owner.id} are lost, the first {lost[0]}"
        surplus = Counter(stored) - Counter(promised)
        assert not surplus, f"stored twice, or never sent: {surplus}"


class Fleet:
    """Devices of every kind that send at once; use it in a with statement.

    Args:
        url: The service.
        each: Devices of each kind.
        retries: Whether a device sends again what was not answered with 201. Otherwise it goes on with the next, and
            what was not answered must not be stored.
        kinds: Which kinds.
    """

    def __init__(self, url: str, *, each: int = 2, retries: bool = True, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
        self.url = url
        self.devices = [
            Device(url, register(url, f"{kind}-{number}"), KINDS[kind], retries=retries)
            for kind in kinds
            for number in range(each)
        ]
        self._stopped, self._given_up = threading.Event(), threading.Event()
        ends = (self._stopped, self._given_up)
        self._threads = [threading.Thread(target=device.run, args=ends) for device in self.devices]

    @property
    def promised(self) -> int:
        """Readings that were answered with 201 up to now."""
        return sum(len(device.promised) for device in self.devices)

    @property
    def outcomes(self) -> Counter[str]:
        """How the attempts of all devices ended."""
        return sum((device.outcomes for device in self.devices), Counter())

    def sends(self, readings: int = 100, deadline_s: float = 30.0) -> bool:
        """Whether *readings* more are promised before the deadline."""
        enough = self.promised + readings
        return eventually(lambda: self.promised >= enough, deadline_s)

    def assert_kept(self, *, dead_lettered: int = 0) -> None:
        """Wait until the queue is empty, then compare everything. The load must be over.

        Args:
            dead_lettered: Readings that the test put among them and that cannot be stored.
        """
        assert eventually(lambda: is_settled(self.url), 30.0), ledger(self.url)
        assert [wrong for device in self.devices for wrong in device.wrong] == []
        for device in self.devices:
            device.assert_kept(self.url)
        book, doubtful = ledger(self.url), sum(device.doubtful for device in self.devices)
        assert self.promised <= book["stored"] <= self.promised + doubtful
        assert (book["dead_lettered"], book["discarded"]) == (dead_lettered, 0)
        assert book["accepted"] == book["stored"] + dead_lettered

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        patience = threading.Timer(0 if error else PATIENCE_S, self._given_up.set)
        patience.start()
        for thread in self._threads:
            thread.join()
        patience.cancel()


def rows_of(url: str, owner: Owner) -> list[Row]:
    """Everything that is stored of a device, by time."""
    rows: list[Row] = []
    cursor = ""
    while True:
        path = f"/api/v1/telemetry/{owner.id}/range?from={FIRST_MS}&to={FAR_FUTURE}&limit=10000{cursor}"
        status, page = call(url, path, headers={"X-API-Key": owner.key})
        assert status == 200, page
        rows += [(row["timestamp"], row["n"]) for row in page["data"]]
        if page["next_cursor"] is None:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


def _time_of(number: int) -> int:
    return FIRST_MS + 1000 * number


def _kind_of(error: Exception) -> str:
    """What became of an attempt without an answer."""
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "silent"
    return "reset" if isinstance(error, ConnectionError) else "cut"
