"""A real IoTDB that is killed, frozen and restarted: nothing acknowledged is lost, nobody waits for ever."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from chalicelib.adapters.iotdb_client import Patience
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading
from infra.iotdb.server import Server
from tests.contract import iotdb_server

DEVICE = DeviceRef("default", 1)
IMPATIENT = Patience(deadline_s=1.5, attempt_s=0.5)
ROUNDS = 5
BATCH = 20


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that these tests may break."""
    with iotdb_server.running() as server:
        yield server


class Stream:
    """Writes batch after batch in a thread, and remembers which were acknowledged."""

    def __init__(self, server: Server, first: int) -> None:
        self._server = server
        self.acknowledged: list[int] = []
        self._next = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def wait_for(self, batches: int) -> None:
        """Return when so many more are acknowledged."""
        wanted = len(self.acknowledged) + batches * BATCH
        end_s = time.monotonic() + 60
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < end_s, "writes do not come back"
            time.sleep(0.005)

    def _write(self) -> None:
        with iotdb_server.store_of(self._server, IMPATIENT) as store:
            while not self._stop.is_set():
                batch = range(self._next, self._next + BATCH)
                try:
                    assert store.write([Reading(DEVICE, n, {"n": n, "half": n + 0.5}) for n in batch]) == []
                except Unavailable:
                    continue  # the same batch again, as the queue would deliver it
                self.acknowledged += batch
                self._next += BATCH


def stored(server: Server) -> dict[int, object]:
    """Time -> value of everything that is stored."""
    with iotdb_server.store_of(server) as store:
        found = store.read(DEVICE, start_ms=0, end_ms=10**9, limit=10**6, measurements=["n"])
    return {reading.timestamp_ms: reading.values["n"] for reading in found}


@pytest.mark.slow
def test_kill_in_mid_stream_loses_nothing_that_was_acknowledged(own: Server) -> None:
    acknowledged: list[int] = []
    for _ in range(ROUNDS):
        with Stream(own, len(acknowledged)) as stream:
            stream.wait_for(30)
            own.kill()
        acknowledged += stream.acknowledged
        own.start()
        found = stored(own)
        assert [n for n in acknowledged if found.get(n) != n] == []


@pytest.mark.slow
def test_restart_under_load_is_survived_by_the_same_store(own: Server) -> None:
    first = max(stored(own), default=0) + 1
    with Stream(own, first) as stream:
        stream.wait_for(10)
        own.stop()
        own.start()
        stream.wait_for(10)
    found = stored(own)
    assert [n for n in stream.acknowledged if found.get(n) != n] == []
    with iotdb_server.store_of(own) as store:
        assert store.latest(DEVICE)["n"] == (max(found), max(found))


def test_frozen_server_is_given_up_within_the_deadline_and_used_again(own: Server) -> None:
    with iotdb_server.store_of(own, IMPATIENT) as store:
        store.check()
        own.send(signal.SIGSTOP)
        try:
            begin_s = time.monotonic()
            with pytest.raises(Unavailable):
                store.latest(DEVICE)
            assert time.monotonic() - begin_s < 5
        finally:
            own.send(signal.SIGCONT)
        assert store.write([Reading(DEVICE, 5_000_000, {"n": 5_000_000})]) == []
        (found,) = store.read(DEVICE, start_ms=5_000_000, end_ms=5_000_001, limit=9)
        assert found.values == {"n": 5_000_000}
