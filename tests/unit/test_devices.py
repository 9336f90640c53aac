"""Use cases around device records: register, change, rotate keys, leave."""

from dataclasses import replace

import pytest

from chalicelib import devices
from chalicelib.errors import Conflict, NotFound, Unavailable
from chalicelib.model import DEFAULT_TENANT, Device, DeviceDraft, DeviceRef, Sighting
from chalicelib.wiring import Services
from tests.builders import NOW_MS, a_device, a_reading, memory_services


@pytest.fixture
def services() -> Services:
    """Memory adapters."""
    return memory_services()


def register(services: Services, name: str = "d", seed: str = "", now_ms: int = NOW_MS) -> devices.Registered:
    return devices.register(
        DeviceDraft(name=name, device_type="sensor"),
        devices=services.devices,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=now_ms,
        seed=seed,
    )


def alive(services: Services, device: Device, now_ms: int) -> set[str]:
    return {key.id for key in services.credentials.of_device(device.ref) if key.alive(now_ms)}


def rotate(services: Services, made: devices.Registered, key_id: str, overlap_s: int, now_ms: int = NOW_MS) -> str:
    return devices.rotate_key(
        made.device.ref,
        key_id,
        overlap_s=overlap_s,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=now_ms,
    ).id


def test_a_registration_makes_a_device_and_a_key_of_its_own(services: Services) -> None:
    first, second = register(services, "a"), register(services, "b")
    assert first.key != second.key
    assert (first.device.created_ms, first.device.version, second.device.id) == (NOW_MS, 1, first.device.id + 1)
    with pytest.raises(Conflict) as refusal:
        register(services, "a")
    assert refusal.value.code == "name_taken"


def test_a_repeated_registration_is_the_same_device_and_key(services: Services) -> None:
    first = register(services, seed="caller/k")
    again = register(services, seed="caller/k", now_ms=NOW_MS + 5)
    assert again == first
    with pytest.raises(Conflict):
        register(services, seed="caller/other")


def test_a_device_has_at_most_two_live_keys(services: Services) -> None:
    made = register(services)
    named = {"credentials": services.credentials, "pepper": services.pepper, "now_ms": NOW_MS}
    devices.issue_key(made.device.ref, **named)  # type: ignore[arg-type]
    with pytest.raises(Conflict) as refusal:
        devices.issue_key(made.device.ref, **named)  # type: ignore[arg-type]
    assert refusal.value.code == "too_many_keys"
    with pytest.raises(NotFound):
        devices.issue_key(DeviceRef(DEFAULT_TENANT, 99), **named)  # type: ignore[arg-type]


def test_a_rotated_key_lives_on_for_the_overlap(services: Services) -> None:
    made = register(services)
    old = made.key.split("_")[2]
    new = rotate(services, made, old, 60)
    assert alive(services, made.device, NOW_MS + 59_999) == {old, new}
    assert alive(services, made.device, NOW_MS + 60_000) == {new}


def test_a_device_whose_answer_got_lost_rotates_again(services: Services) -> None:
    """The key that nobody knows dies; the one that was used does not live longer for it."""
    made = register(services)
    old = made.key.split("_")[2]
    lost = rotate(services, made, old, 60)
    new = rotate(services, made, old, 3600, NOW_MS + 1000)
    assert lost not in alive(services, made.device, NOW_MS + 2000)
    assert alive(services, made.device, NOW_MS + 59_000) == {old, new}
    assert alive(services, made.device, NOW_MS + 61_000) == {new}


class Contended:
    """A repository in which somebody else is faster a few times."""

    def __init__(self, services: Services, times: int, code: str = "stale_version") -> None:
        self.devices, self.times, self.code = services.devices, times, code

    def get(self, device: DeviceRef) -> Device | None:
        return self.devices.get(device)

    def update(self, device: Device, *, now_ms: int) -> Device:
        if self.times:
            self.times -= 1
            message = "changed meanwhile"
            raise Conflict(message, code=self.code)
        return self.devices.update(device, now_ms=now_ms)


def move(device: Device) -> Device:
    return replace(device, location="roof")


def test_a_change_is_tried_again_when_somebody_was_faster(services: Services) -> None:
    made = register(services)
    contended = Contended(services, devices.UPDATE_TRIES - 1)
    changed = devices.change(made.device.ref, move, devices=contended, now_ms=NOW_MS + 1)  # type: ignore[arg-type]
    assert (changed.location, changed.version, changed.updated_ms) == ("roof", 2, NOW_MS + 1)


@pytest.mark.parametrize(("times", "code"), [(devices.UPDATE_TRIES, "stale_version"), (1, "name_taken")])
def test_a_change_gives_up_in_the_end_and_at_once_for_a_name(services: Services, times: int, code: str) -> None:
    made = register(services)
    contended = Contended(services, times, code)
    with pytest.raises(Conflict) as refusal:
        devices.change(made.device.ref, move, devices=contended, now_ms=NOW_MS)  # type: ignore[arg-type]
    assert refusal.value.code == code
    assert contended.times == 0


def test_nothing_is_changed_of_a_device_that_is_gone(services: Services) -> None:
    with pytest.raises(NotFound):
        devices.change(DeviceRef(DEFAULT_TENANT, 5), move, devices=services.devices, now_ms=NOW_MS)


def test_a_device_is_online_for_five_minutes_after_it_was_seen() -> None:
    ref = DeviceRef(DEFAULT_TENANT, 1)
    seen = Sighting(ref, NOW_MS)
    assert devices.is_online(seen, now_ms=NOW_MS + 299_999)
    assert not devices.is_online(seen, now_ms=NOW_MS + 300_000)
    assert not devices.is_online(seen._replace(online=False), now_ms=NOW_MS)
    assert not devices.is_online(None, now_ms=NOW_MS)


class Silent:
    """A port that does not answer."""

    def read(self, _devices: object) -> object:
        message = "away"
        raise Unavailable(message)

    forget = purge = read


def test_a_device_leaves_with_its_telemetry_and_sightings(services: Services) -> None:
    made = a_device(services)
    services.readings.write([a_reading(made.device)])
    services.presence.mark([Sighting(made.device.ref, NOW_MS)])
    ports = {"devices": services.devices, "presence": services.presence, "readings": services.readings}
    assert devices.remove(made.device.ref, **ports, now_ms=NOW_MS) is True  # type: ignore[arg-type]
    assert devices.remove(made.device.ref, **ports, now_ms=NOW_MS) is False  # type: ignore[arg-type]
    assert services.readings.count(made.device.ref) == 0
    assert services.presence.read([made.device.ref]) == {}


def test_a_device_leaves_also_while_the_store_is_away(services: Services) -> None:
    """The upkeep purges it later."""
    made = a_device(services)
    gone = devices.remove(
        made.device.ref,
        devices=services.devices,
        presence=services.presence,
        readings=Silent(),  # type: ignore[arg-type]
        now_ms=NOW_MS,
    )
    assert gone
    assert services.devices.get(made.device.ref) is None
    assert services.devices.removed(before_ms=NOW_MS + 1) == [made.device.ref]


def test_nothing_is_known_of_sightings_while_presence_is_away(services: Services) -> None:
    made = a_device(services)
    assert devices.sightings([made.device], presence=Silent()) == {}  # type: ignore[arg-type]
