"""What a progress bar goes by."""

from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.model import DeviceRef, Reading
from infra.transfer.progress import Share

FIRST, SECOND = DeviceRef("default", 1), DeviceRef("default", 2)


def readings(device: DeviceRef, *times_ms: int) -> list[Reading]:
    return [Reading(device, at_ms, {"t": 1}) for at_ms in times_ms]


def test_share_goes_from_a_devices_first_reading_to_its_last_before_the_end() -> None:
    store = MemoryReadings()
    first, second = readings(FIRST, 1000, 1500, 2000), readings(SECOND, 100, 200, 900)
    store.write(first + second)
    share = Share(store, 300)
    assert [share.of(reading) for reading in second] == [0.0, 0.5, 1.0]
    share = Share(store, 10_000)
    assert [share.of(reading) for reading in first] == [0.0, 0.5, 1.0]
    assert share.of(second[0]) == 0.0
    store.purge(FIRST)
    assert 0.0 <= share.of(first[1]) <= 1.0
