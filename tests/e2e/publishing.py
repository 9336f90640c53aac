"""Devices behind a broker: each publishes numbered readings and keeps a ledger of what the broker acknowledged."""

import json
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from tests.e2e.installation import is_settled
from tests.e2e.instance import eventually
from tests.e2e.load import rows_of
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import FIRST_MS, Owner, ledger, register

NO_SUBSCRIBERS = 0x10


class Publisher:
    """One device. Reading n has the value n; with *own_times* its time is n seconds, else the service gives it one.

    Attributes:
        acknowledged: Numbers that the broker has acknowledged.
        doubtful: Numbers of which nobody knows: the broker died before its acknowledgement. Sent again only with own
            times, where that changes nothing.
    """

    def __init__(self, owner: Owner, port: int, *, own_times: bool, pause_s: float) -> None:
        self.owner = owner
        self.own_times = own_times
        self.acknowledged: list[int] = []
        self.doubtful: list[int] = []
        self._port = port
        self._pause_s = pause_s

    def run(self, stopped: threading.Event) -> None:
        """Publish until *stopped*."""
        number = 0
        while not stopped.is_set():
            try:
                with Peer(self._port) as peer:
                    assert peer.connect(str(self.owner.id), self.owner.key).reason == 0, "not let in yet"
                    while not stopped.wait(self._pause_s):
                        number = self._publish(peer, number)
            except (OSError, AssertionError):
                stopped.wait(0.05)  # the broker is away

    def _publish(self, peer: Peer, number: int) -> int:
        """Publish one reading; returns the number of the next."""
        body: dict[str, object] = {"data": {"n": number}}
        if self.own_times:
            body["timestamp"] = FIRST_MS + 1000 * number
        answer = peer.publish(f"iotflow/devices/{self.owner.id}/telemetry", json.dumps(body).encode())
        if answer is None:
            if not self.own_times:
                self.doubtful.append(number)
                return number + 1
            return number
        if answer.reason == NO_SUBSCRIBERS:
            return number
        self.acknowledged.append(number)
        return number + 1

    def missing_and_surplus(self, url: str) -> tuple[list[int], Counter[int]]:
        """Acknowledged numbers that are not stored, and what is stored more than once or was never sent."""
        stored = Counter(number for _, number in rows_of(url, self.owner))
        promised = set(self.acknowledged)
        allowed = promised | set(self.doubtful) | ({len(self.acknowledged)} if self.own_times else set())
        surplus = Counter({number: count for number, count in stored.items() if count > 1 or number not in allowed})
        return sorted(promised - set(stored)), surplus


class Fleet:
    """Publishers of both kinds at once; use it in a with statement.

    Args:
        url: The service.
        port: The broker's, for devices; it lets them in when it was told of them.
        each: Devices of each kind.
        pause_s: Between two readings of a device.

    Attributes:
        broker_was_killed: Set it when that was the fault: publishers then repeat what was not acknowledged, and the
            broker what it does not remember to have sent.
    """

    def __init__(self, url: str, port: int, *, each: int = 2, pause_s: float = 0.002) -> None:
        self.url = url
        self.publishers = [
            Publisher(register(url, f"device-{own_times}-{number}"), port, own_times=own_times, pause_s=pause_s)
            for own_times in (True, False)
            for number in range(each)
        ]
        self.broker_was_killed = False
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=each.run, args=(self._stopped,)) for each in self.publishers]

    @property
    def acknowledged(self) -> int:
        """Readings that the broker has acknowledged up to now."""
        return sum(len(publisher.acknowledged) for publisher in self.publishers)

    def publishes(self, readings: int = 200, deadline_s: float = 30.0) -> bool:
        """Whether *readings* more are acknowledged before the deadline."""
        enough = self.acknowledged + readings
        return eventually(lambda: self.acknowledged >= enough, deadline_s)

    def assert_kept(self, *, dead_lettered: int = 0) -> None:
        """Wait until everything is stored, then compare. The publishers must have stopped.

        The ledger has no reading more than the broker acknowledged, unless the broker itself may have repeated one.
        """
        doubtful = [number for each in self.publishers for number in each.doubtful]
        arrived = eventually(lambda: is_settled(self.url) and ledger(self.url)["accepted"] >= self.acknowledged, 30.0)
        found = {each.owner.id: each.missing_and_surplus(self.url) for each in self.publishers}
        if self.broker_was_killed:  # what it repeats from an older state of its own has a new time, or is the same
            timeless = [each.owner.id for each in self.publishers if not each.own_times]
            found |= {owner_id: (found[owner_id][0], Counter()) for owner_id in timeless}
        wrong = [_shown(*each) for each in found.values() if any(each)]
        assert not wrong, (wrong, ledger(self.url), self.acknowledged)
        book = ledger(self.url)
        assert arrived, (book, self.acknowledged)
        accepted = book["accepted"] - dead_lettered
        assert (accepted, book["dead_lettered"]) == (book["stored"], dead_lettered), book
        assert self.broker_was_killed or (accepted == self.acknowledged and not doubtful), (book, self.acknowledged)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def _shown(missing: list[int], surplus: Counter[int]) -> str:
    first = f"{missing[:3]} ... missing, {surplus.most_common(3)} ... too often"
    return f"{len(missing)} missing, {len(surplus)} too often: {first}"
