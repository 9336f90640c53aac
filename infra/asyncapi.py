"""The AsyncAPI document of the MQTT topics, made from their one catalogue: `python -m infra.asyncapi`."""

import re
import sys
from typing import Any

import yaml  # type: ignore[import-untyped]

from chalicelib import topics
from chalicelib.settings import Settings
from chalicelib.version import VERSION

_PARAMETER = re.compile(r"{(\w+)}")


def document() -> dict[str, Any]:
    """AsyncAPI 3.0: a channel and an operation for every topic. `receive` is what the service receives."""
    usual = Settings()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "IoTFlow over MQTT",
            "version": VERSION,
            "description": "MQTT 3.1.1 and 5.0. The user name is the device's id, the password its key; any client id. "
            "A PUBACK or PUBREC means durable. A device reads and writes its own topics only.",
        },
        "servers": {
            "mqtt": {"host": f"localhost:{usual.mqtt_port}", "protocol": "mqtt"},
            "mqtts": {"host": f"localhost:{usual.mqtt_tls_port}", "protocol": "mqtts"},
            "websocket": {"host": f"localhost:{usual.mqtt_websocket_port}", "protocol": "ws"},
        },
        "channels": {entry.name: _channel(entry) for entry in topics.CATALOGUE},
        "operations": {_operation_name(entry): _operation(entry) for entry in topics.CATALOGUE},
    }


def _channel(entry: topics.Entry) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": entry.pattern,
        "messages": {entry.name: {"contentType": "application/json", "summary": entry.description}},
    }
    parameters = _PARAMETER.findall(entry.pattern)
    if parameters:
        channel["parameters"] = {name: {"description": name.replace("_", " ")} for name in parameters}
    return channel


def _operation(entry: topics.Entry) -> dict[str, Any]:
    return {
        "action": "receive" if entry.up else "send",
        "channel": {"$ref": f"#/channels/{entry.name}"},
        "summary": entry.description,
        "bindings": {"mqtt": {"qos": entry.qos, "retain": entry.retain, "bindingVersion": "0.2.0"}},
    }


def _operation_name(entry: topics.Entry) -> str:
    return f"{'receive' if entry.up else 'send'}_{entry.name}"


def text() -> str:
    """As the file docs/asyncapi.yaml has it."""
    made: str = yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=110)
    return made


if __name__ == "__main__":
    sys.stdout.write(text())
