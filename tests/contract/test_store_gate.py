"""While telemetry moves, nothing is written to the old store; afterwards nobody writes to it any more."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chalicelib.adapters.gated_readings import GatedReadings, Home, open_gate, read_home, write_home
from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceRef, Reading
from chalicelib.ports import ReadingStore
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.transfer import moving
from tests.builders import NOW_MS, a_device, memory_services
from tests.contract.test_reading_store import NAMES, VALUES

DEVICE = DeviceRef("default", 1)
READING = Reading(DEVICE, NOW_MS, {"t": 1})
CHANGES: list[Callable[[ReadingStore], object]] = [
    lambda store: store.write([READING]),
    lambda store: store.delete(DEVICE, start_ms=0, end_ms=NOW_MS),
    lambda store: store.retain(1, [(DEVICE, 1)], now_ms=NOW_MS),
    lambda store: store.purge(DEVICE),
]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "var" / "store"


@pytest.fixture
def gated(gate: Path) -> GatedReadings:
    return GatedReadings(MemoryReadings(), "sqlite", gate)


def close_gate(gate: Path) -> int:
    descriptor = open_gate(gate, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@pytest.mark.parametrize("change", CHANGES)
def test_closed_gate_refuses_changes_and_lets_reads_through(
    gated: GatedReadings, gate: Path, change: Callable[[ReadingStore], object]
) -> None:
    gated.write([READING])
    closed = close_gate(gate)
    with pytest.raises(Unavailable, match="being moved"):
        change(gated)
    assert gated.read(DEVICE, start_ms=0, end_ms=2 * NOW_MS, limit=9) == [READING]
    assert (gated.count(DEVICE), gated.latest(DEVICE)) == (1, {"t": (NOW_MS, 1)})
    os.close(closed)
    change(gated)


@pytest.mark.parametrize("change", CHANGES)
def test_process_of_the_old_store_changes_nothing_after_the_switch(
    gated: GatedReadings, gate: Path, change: Callable[[ReadingStore], object]
) -> None:
    closed = close_gate(gate)
    write_home(closed, Home("sqlite", "iotdb"))
    os.close(closed)
    change(gated)
    closed = close_gate(gate)
    write_home(closed, Home("iotdb"))
    os.close(closed)
    with pytest.raises(Unavailable, match="has moved"):
        change(gated)
    assert read_home(gate) == Home("iotdb")
    change(GatedReadings(MemoryReadings(), "iotdb", gate))


def test_gate_closes_only_when_the_write_under_way_is_over(gate: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(MemoryReadings):
        def purge(self, device: DeviceRef) -> None:
            begun.set()
            go_on.wait(30)
            super().purge(device)

    writer = threading.Thread(target=GatedReadings(Slow(), "sqlite", gate).purge, args=(DEVICE,))
    writer.start()
    assert begun.wait(30)
    descriptor = open_gate(gate, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    go_on.set()
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    writer.join()
    os.close(descriptor)


def test_services_of_one_machine_have_a_gate(tmp_path: Path) -> None:
    assert isinstance(Services(Settings(data=tmp_path)).readings, GatedReadings)
    assert isinstance(Services(Settings(data=tmp_path, store="memory")).readings, MemoryReadings)


def test_copy_to_another_store_is_equal_value_by_value(reading_store: ReadingStore) -> None:
    services = memory_services()
    device = a_device(services).device
    source = MemoryReadings()
    source.write([Reading(device.ref, NOW_MS + at, {"m": value}) for at, value in enumerate(VALUES)])
    source.write([Reading(device.ref, NOW_MS, {name: at for at, name in enumerate(NAMES)})])
    assert moving.first_in_the_way([device], reading_store) is None
    assert moving.copy(device, source, reading_store) == len(VALUES)
    assert moving.digest(reading_store, device) == moving.digest(source, device)
    assert moving.first_in_the_way([device], reading_store) == device


def test_copy_again_brings_over_what_changed_and_what_was_deleted(reading_store: ReadingStore) -> None:
    device = a_device(memory_services()).device
    source = MemoryReadings()
    source.write([Reading(device.ref, NOW_MS + at, {"m": at, "n": 0.5}) for at in range(50)])
    moving.copy(device, source, reading_store)
    source.delete(device.ref, start_ms=NOW_MS, end_ms=NOW_MS + 10)
    source.write([Reading(device.ref, NOW_MS + 20, {"m": 20.0})])
    assert moving.copy(device, source, reading_store) == 40
    assert moving.digest(reading_store, device) == moving.digest(source, device)
    assert moving.copy(device, source, reading_store) == 40
