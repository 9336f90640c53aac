"""Records for the calls of `calls`: a device and what belongs to it, tokens, a dead letter."""

import time
from dataclasses import replace

from chalicelib import commands, tokens
from chalicelib.commands import Order
from chalicelib.devices import IssuedKey
from chalicelib.model import DEFAULT_TENANT, MeasurementType, Scope, Sighting
from chalicelib.wiring import Services
from tests.builders import a_device, a_reading, received, send


def words(services: Services) -> dict[str, str]:
    """Make the records; returns what stands for the words in braces, and the two credentials."""
    now_ms = time.time_ns() // 1_000_000
    registered = a_device(services)
    device = services.devices.update(replace(registered.device, tags=("hall",)), now_ms=now_ms)
    services.readings.write([a_reading(device, now_ms - 1000)])
    send(services, device)
    (message,) = received(services)
    services.queue.bury(message.receipt, reason="no such thing", now_ms=now_ms)
    services.declarations.put(DEFAULT_TENANT, "sensor", {"temperature": MeasurementType.DOUBLE})
    services.presence.mark([Sighting(device.ref, now_ms)])
    command = commands.send(Order("reboot", None), device, commands=services.commands, now_ms=now_ms)
    token = _token(services, "ops", Scope.ADMIN, now_ms)
    spare = _token(services, "spare", Scope.DEVICES_READ, now_ms)
    return {
        "device": registered.key,
        "admin": token.text,
        "device_id": str(device.id),
        "key_id": registered.key.split("_")[2],
        "spare": spare.text,
        "token_id": spare.id,
        "command_id": command.id,
        "letter_id": services.queue.dead_letters()[0].id,
    }


def _token(services: Services, name: str, scope: Scope, now_ms: int) -> IssuedKey:
    return tokens.issue_token(
        name,
        frozenset({scope}),
        tenant=DEFAULT_TENANT,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=now_ms,
    )
