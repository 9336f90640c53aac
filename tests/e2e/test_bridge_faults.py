"""The bridge under fault: what the broker acknowledged is stored exactly once, also without a time of its own."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.sqlite_lease import SqliteLease
from chalicelib.ports import Tenant
from infra.mosquitto.server import Server
from tests.contract.mosquitto_broker import device_port, is_let_in, running
from tests.e2e.instance import ROOT, Instance, eventually
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import NO_LIMITS, Owner, call, ledger, register
from tests.e2e.publishing import Fleet

ROUNDS = 5
Strike = Callable[[Instance, Server], None]
NAME = "iotflow-bridge"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "broker") as server:
        yield server


@pytest.fixture
def instance(tmp_path: Path, broker: Server) -> Iterator[Instance]:
    """Gives what a killed consumer held to the next one after a second."""
    settings = {**NO_LIMITS, "IOTFLOW_VISIBILITY_SECONDS": "1", **broker.environment()}
    with Instance(tmp_path / "var", settings) as started:
        assert is_connected(started)
        yield started


def fleet_of(instance: Instance, broker: Server, **more: Any) -> Fleet:
    return Fleet(instance.url, device_port(broker), **more)


def is_connected(instance: Instance) -> bool:
    """Whether the bridge is, before a deadline."""
    return eventually(
        lambda: bool(call(instance.url, "/api/v1/mqtt/status")[1]["broker_info"]["connected"]), deadline_s=40
    )


def connections(instance: Instance) -> int:
    """How often the supervised bridge has connected."""
    return (instance.data / "logs" / "bridge.log").read_text().count("The bridge is connected")


def tenant(instance: Instance) -> Tenant | None:
    """Which bridge works."""
    lease = SqliteLease(instance.data / "queue.db")
    found = lease.tenant(NAME, now_ms=time.time_ns() // 1_000_000)
    lease.database.close()
    return found


def working_pid(instance: Instance) -> int:
    """Its process id; 0 when none works."""
    found = tenant(instance)
    return int(found.holder.split(":")[1]) if found is not None else 0


@contextmanager
def stand_by(instance: Instance) -> Iterator[int]:
    """A second bridge, as an operator starts one; gives its pid."""
    environment = {**os.environ, **instance.environment, "IOTFLOW_DATA": str(instance.data)}
    process = subprocess.Popen([sys.executable, "-m", "mqtt_bridge"], cwd=ROOT, env=environment)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()


def let_in(broker: Server, owner: Owner) -> Peer:
    """The device, connected as soon as the broker was told of it."""
    assert eventually(lambda: is_let_in(broker, owner.id, owner.key))
    peer = Peer(device_port(broker))
    peer.connect(str(owner.id), owner.key)
    return peer


def freeze(instance: Instance, pid: int) -> bool:
    """Stop a process; False when that was within a transaction: then nobody can write until it goes on."""
    os.kill(pid, signal.SIGSTOP)
    with closing(sqlite3.connect(instance.data / "queue.db", isolation_level=None, timeout=1)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
    return True


def freeze_and_wake(instance: Instance, fleet: Fleet) -> None:
    """Stop the bridge that works until another does, and for a while longer."""
    assert fleet.publishes()
    frozen = working_pid(instance)
    while not freeze(instance, frozen):
        os.kill(frozen, signal.SIGCONT)
    assert eventually(lambda: working_pid(instance) not in {0, frozen})
    assert fleet.publishes()
    os.kill(frozen, signal.SIGCONT)
    assert fleet.publishes()
    assert working_pid(instance) != frozen


def kill_bridge(instance: Instance, _broker: Server) -> None:
    assert instance.runs_again("bridge", instance.kill("bridge"))


def kill_consumer(instance: Instance, _broker: Server) -> None:
    assert instance.runs_again("consumer", instance.kill("consumer"))


@pytest.mark.parametrize("strike", [kill_bridge, kill_consumer])
def test_kill_in_mid_stream_loses_nothing_and_doubles_nothing(
    instance: Instance, broker: Server, strike: Strike
) -> None:
    with fleet_of(instance, broker) as fleet:
        for _ in range(ROUNDS):
            assert fleet.publishes()
            strike(instance, broker)
        assert fleet.publishes()
    fleet.assert_kept()


def test_killed_broker_comes_back_with_the_bridges_session(instance: Instance, broker: Server) -> None:
    """What Mosquitto has acknowledged it has also sent, if the bridge is there: else it forgets up to a second."""
    with fleet_of(instance, broker) as fleet:
        fleet.broker_was_killed = True
        for round_number in range(1, ROUNDS + 1):
            assert fleet.publishes(100)
            broker.kill()
            broker.start()
            assert eventually(lambda: connections(instance) > round_number)  # noqa: B023 - called at once
        assert fleet.publishes(100)
    fleet.assert_kept()


def test_restarted_broker_keeps_what_it_has_for_a_bridge_that_is_away(instance: Instance, broker: Server) -> None:
    with fleet_of(instance, broker) as fleet:
        assert fleet.publishes()
        instance.kill("bridge", signal.SIGSTOP)
        assert fleet.publishes(1000)
        fleet.broker_was_killed = True
        broker.stop()
        broker.start()
        instance.kill("bridge", signal.SIGCONT)
        assert is_connected(instance)
        assert fleet.publishes()
    fleet.assert_kept()


def test_stand_by_takes_over_when_the_one_that_works_is_killed(instance: Instance, broker: Server) -> None:
    with fleet_of(instance, broker) as fleet, stand_by(instance) as second:
        assert fleet.publishes()
        first = working_pid(instance)
        assert first == instance.pid("bridge")
        instance.kill("supervisor", signal.SIGSTOP)  # or it would start another at once
        os.kill(first, signal.SIGKILL)
        begun_s = time.monotonic()
        assert eventually(lambda: working_pid(instance) == second)
        took_s = time.monotonic() - begun_s
        assert fleet.publishes()
        os.kill(instance.pids["supervisor"], signal.SIGCONT)
    print(f"took over after {took_s:.1f} s")
    fleet.assert_kept()


def test_one_that_was_frozen_doubles_nothing_when_it_wakes_up(instance: Instance, broker: Server) -> None:
    with fleet_of(instance, broker) as fleet, stand_by(instance) as second:
        for _ in range(ROUNDS):
            freeze_and_wake(instance, fleet)
        assert working_pid(instance) in {second, instance.pid("bridge")}
    fleet.assert_kept()


def test_bursts_wait_at_the_broker_while_the_queue_is_slow(instance: Instance, broker: Server) -> None:
    with fleet_of(instance, broker, each=4, pause_s=0.0) as fleet:
        connection = sqlite3.connect(instance.data / "queue.db", isolation_level=None, timeout=30)
        enough = fleet.acknowledged + 2000
        while fleet.acknowledged < enough:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(0.3)  # what makes it slow
            connection.execute("ROLLBACK")
        connection.close()
    fleet.assert_kept()


def test_queue_that_does_not_answer_is_waited_for(instance: Instance, broker: Server) -> None:
    with fleet_of(instance, broker) as fleet:
        assert fleet.publishes()
        connection = sqlite3.connect(instance.data / "queue.db", isolation_level=None, timeout=30)
        connection.execute("BEGIN IMMEDIATE")
        accepted = connection.execute("SELECT accepted FROM ledger").fetchone()[0]
        log = instance.data / "logs" / "bridge.log"
        assert eventually(lambda: "The queue does not take messages" in log.read_text())
        assert fleet.publishes(1000)
        assert connection.execute("SELECT accepted FROM ledger").fetchone()[0] == accepted
        connection.execute("ROLLBACK")
        connection.close()
        assert fleet.publishes()
    fleet.assert_kept()


def test_poison_between_good_messages_is_buried_alone(instance: Instance, broker: Server) -> None:
    poisoner = register(instance.url, "poisoner")
    topic = f"iotflow/devices/{poisoner.id}/telemetry"
    with fleet_of(instance, broker) as fleet:
        assert fleet.publishes(10)
        peer = let_in(broker, poisoner)
        for number in range(20):
            assert fleet.publishes(10)
            peer.publish(topic, b'{"n": %d' % number)
        peer.disconnect()
    letters = eventually(lambda: ledger(instance.url)["dead_lettered"] == 20)
    assert letters, ledger(instance.url)
    found = call(instance.url, "/api/v1/admin/dead-letters", headers={"Authorization": f"Bearer {instance.token}"})[1]
    assert all("not JSON" in letter["reason"] and topic in letter["payload"] for letter in found["dead_letters"])
    fleet.assert_kept(dead_lettered=20)
