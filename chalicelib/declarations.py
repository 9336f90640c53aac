"""Declared types of measurements: which hold for a device."""

from chalicelib.model import Declared, DeviceRef
from chalicelib.ports import DeclarationRepository, DeviceRepository

MAX_MEASUREMENTS = 1000
"""Of one device type."""


def of_device(device: DeviceRef, *, devices: DeviceRepository, declarations: DeclarationRepository) -> Declared:
    """What is declared for the device's type; nothing for a device that is gone."""
    found = devices.get(device)
    return declarations.get(found.tenant, found.device_type) if found is not None else {}
