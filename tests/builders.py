"""Valid things with one keyword each to change: devices, messages, services on memory adapters."""

from chalicelib.codec import batch_to_json
from chalicelib.devices import Registered, register
from chalicelib.model import Batch, Device, DeviceDraft, Message, Reading, Value
from chalicelib.settings import Settings
from chalicelib.wiring import Services

NOW_MS = 1_800_000_000_000
"""2027-01-15T08:00:00Z: the tests' present."""


def memory_services(**changes: object) -> Services:
    """Services on memory adapters, with a pepper and the given settings."""
    chosen: dict[str, object] = {"devices": "memory", "queue": "memory", "store": "memory", "pepper": "pepper"}
    return Services(Settings(**{**chosen, **changes}))  # type: ignore[arg-type]


def a_device(services: Services, name: str = "kitchen", device_type: str = "sensor") -> Registered:
    """A registered device and its key."""
    return register(
        DeviceDraft(name=name, device_type=device_type),
        devices=services.devices,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=NOW_MS,
    )


def a_reading(device: Device, timestamp_ms: int = NOW_MS, **values: Value) -> Reading:
    """A reading of *device*; temperature 21.5 when nothing else is given."""
    return Reading(device.ref, timestamp_ms, values or {"temperature": 21.5})


def send(services: Services, device: Device, *readings: Reading) -> str:
    """Queue readings as one message, past the codec; returns the message's id."""
    batch = Batch(device.ref, NOW_MS, readings or (a_reading(device),))
    return services.queue.send(batch_to_json(batch), readings=len(batch.readings), now_ms=NOW_MS)


def received(services: Services, now_ms: int = NOW_MS) -> list[Message]:
    """Everything that waits in the queue, taken for 30 s."""
    return services.queue.receive(limit=1000, visibility_s=30, now_ms=now_ms)
