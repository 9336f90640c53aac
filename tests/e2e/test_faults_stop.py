"""A consumer that is held up for longer than messages are its own, and an orderly stop in mid-load."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.e2e.instance import ROOT, Instance, eventually
from tests.e2e.load import Fleet
from tests.e2e.posting import NO_LIMITS, ledger

ROUNDS = 2


def stop_with_messages_in_hand(instance: Instance) -> int:
    """SIGSTOP to the consumer while it waits for the store: it holds messages, and no lock. Returns its pid."""
    with closing(sqlite3.connect(instance.data / "telemetry.db", isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert eventually(lambda: ledger(instance.url)["in_flight"] > 0)
        pid = instance.kill("consumer", signal.SIGSTOP)
        connection.execute("ROLLBACK")
    return pid


@contextmanager
def another_consumer(instance: Instance) -> Iterator[None]:
    """One more on the same queue; it takes over what the first does not finish in time."""
    settings = {**os.environ, **instance.environment, "IOTFLOW_DATA": str(instance.data)}
    with subprocess.Popen([sys.executable, "-m", "infra.local.consumer"], cwd=ROOT, env=settings) as process:
        try:
            yield
        finally:
            process.terminate()
    assert process.returncode == 0


def test_consumer_stopped_beyond_the_visibility_stores_nothing_twice(tmp_path: Path) -> None:
    """Another one stores its messages meanwhile; what it does when it wakes up changes nothing."""
    with Instance(tmp_path / "var", {**NO_LIMITS, "IOTFLOW_VISIBILITY_SECONDS": "1"}) as instance:
        with Fleet(instance.url) as fleet:
            assert fleet.sends()
            pid = stop_with_messages_in_hand(instance)
            with another_consumer(instance):
                assert eventually(lambda: ledger(instance.url)["in_flight"] == 0)
                os.kill(pid, signal.SIGCONT)
                assert fleet.sends()
            assert fleet.sends()
        fleet.assert_kept()
        assert (instance.pid("consumer"), instance.process("consumer")["restarts"]) == (pid, 0)


def test_down_in_mid_load_cuts_no_request_and_loses_no_message(tmp_path: Path) -> None:
    """Nobody sends twice here: what is stored is exactly what was answered with 201."""
    with Instance(tmp_path / "var", NO_LIMITS) as instance:
        with Fleet(instance.url, retries=False) as fleet:
            for _ in range(ROUNDS):
                assert fleet.sends()
                instance.down()
                instance.up()
            assert fleet.sends()
        fleet.assert_kept()
    assert fleet.outcomes.keys() <= {"201", "refused", "reset"}
