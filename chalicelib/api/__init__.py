"""HTTP endpoints, one blueprint a resource: declarations plus one call each."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.declare import Endpoint
    from chalicelib.http import Resource

MODULES = (
    "chalicelib.api.system",
    "chalicelib.api.devices",
    "chalicelib.api.telemetry",
    "chalicelib.api.history",
    "chalicelib.api.exports",
    "chalicelib.api.commands",
    "chalicelib.api.twin",
    "chalicelib.api.mqtt",
    "chalicelib.api.admin_devices",
    "chalicelib.api.device_types",
    "chalicelib.api.bulk",
    "chalicelib.api.insight",
    "chalicelib.api.admin",
    "chalicelib.api.tokens",
)
"""Every resource, in the order of the documentation."""


def resource(module: str) -> "Resource":
    """The resource that a module of `MODULES` declares."""
    found: Resource = importlib.import_module(module).resource
    return found


def endpoints() -> "list[Endpoint]":
    """Every endpoint there is, whichever of them this process serves."""
    return [declared for module in MODULES for declared in resource(module).endpoints]
