"""Telemetry moves to IoTDB and back under devices that send: nothing is lost, nothing doubled, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.gated_readings import FILE, Home, read_home
from infra.failure import Exit
from tests.contract.iotdb_server import require_iotdb
from tests.e2e.installation import is_settled, refusal
from tests.e2e.instance import ROOT, Instance, eventually, infra
from tests.e2e.posting import NO_LIMITS, Load, Owner, ledger, register, stored_numbers


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose IoTDB is stopped at the end."""
    require_iotdb()
    yield tmp_path / "var"
    if (tmp_path / "var" / "iotdb").exists():
        infra("iotdb", "stop", "--data", str(tmp_path / "var"))


def where(data: Path) -> list[str]:
    return ["--data", str(data), "--env", os.devnull]


def move(data: Path, to: str, *options: str) -> dict[str, Any]:
    done = infra("move-store", "--to", to, "--json", *where(data), *options)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_all_stored(instance: Instance, owners: list[Owner], load: Load) -> None:
    """What was acknowledged is stored, once, and the ledger agrees."""
    assert not load.refused
    assert eventually(lambda: is_settled(instance.url), 60)
    for owner in owners:
        promised = [ack.number for ack in load.acknowledged if ack.device_id == owner.id]
        found = stored_numbers(instance.url, owner)
        assert set(promised) <= set(found)
        assert found == list(range(len(found)))
    book = ledger(instance.url)
    assert book["balanced"]
    assert book["stored"] == book["accepted"]


def test_store_moves_to_iotdb_and_back_under_load(data: Path) -> None:
    with Instance(data, NO_LIMITS) as instance:
        everybody: list[Owner] = []
        for to, options in (("iotdb", ()), ("sqlite", ("--replace",))):
            owners = [register(instance.url, f"{to} {number}") for number in range(3)]
            everybody += owners
            with Load(instance.url, owners) as load:
                stored_of_each(instance, owners, 100)
                report = move(data, to, *options)
                stored_of_each(instance, owners, 1 + max(ack.number for ack in load.acknowledged))
            assert (report["store"], report["devices"], report["restarted"]) == (to, len(everybody), True)
            assert report["readings"] > 300
            assert read_home(data / FILE) == Home(to)
            assert_all_stored(instance, owners, load)
            if to == "iotdb":
                refused = refusal(infra("move-store", "--to", "sqlite", *where(data)), Exit.BAD_OPTION)
                assert (
                    refused == f"sqlite has readings of device {owners[0].id} (iotdb 0) already: --replace deletes them"
                )
        assert instance.process("consumer")["restarts"] == 0
        stored = {owner: stored_numbers(instance.url, owner) for owner in everybody}
    refused = refusal(infra("up", "-d", "--store", "iotdb", *where(data)), Exit.BAD_OPTION)
    assert "is in sqlite, and IOTFLOW_STORE=iotdb" in refused
    with Instance(data, NO_LIMITS) as again:
        assert {owner: stored_numbers(again.url, owner) for owner in everybody} == stored


def stored_of_each(instance: Instance, owners: list[Owner], number: int) -> None:
    """Wait until so many readings of every device are stored."""
    assert eventually(lambda: all(len(stored_numbers(instance.url, owner)) > number for owner in owners), 60)


def test_move_that_is_killed_leaves_all_as_it_was_and_goes_on(data: Path) -> None:
    with Instance(data, NO_LIMITS) as instance:
        owners = [register(instance.url, f"device-{number}") for number in range(4)]
        with Load(instance.url, owners) as load:
            assert eventually(lambda: ledger(instance.url)["stored"] > 1000, 60)
            command = [sys.executable, "-m", "infra", "move-store", "--to", "iotdb", *where(data)]
            with subprocess.Popen(command, cwd=ROOT, process_group=0) as mover:
                assert eventually(lambda: read_home(data / FILE) == Home("sqlite", "iotdb"), 60)
                os.killpg(mover.pid, signal.SIGKILL)
            stored = ledger(instance.url)["stored"]
            assert eventually(lambda: ledger(instance.url)["stored"] > stored + 100, 60), "the consumer goes on"
            assert move(data, "iotdb")["restarted"] is True
        assert_all_stored(instance, owners, load)
