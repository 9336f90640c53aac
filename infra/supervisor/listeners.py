"""Which sockets an instance listens on, opened together before any process starts."""

import socket
from collections.abc import Mapping
from dataclasses import replace

from chalicelib.settings import Settings
from infra.failure import Failure
from infra.supervisor.sockets import HTTP, Names, listen

MQTT = Names("MQTT_HOST", "--mqtt-port or MQTT_PORT")
MQTT_TLS = Names("MQTT_HOST", "MQTT_TLS_PORT")
MQTT_WEBSOCKET = Names("MQTT_HOST", "MQTT_WEBSOCKET_PORT")

PORT_VARIABLES = {
    "http": "PORT",
    "mqtt": "MQTT_PORT",
    "mqtt_tls": "MQTT_TLS_PORT",
    "mqtt_websocket": "MQTT_WEBSOCKET_PORT",
}


def open_all(settings: Settings, variables: Mapping[str, str]) -> dict[str, socket.socket]:
    """The listening sockets by name: ``http`` and, with the gateway, ``mqtt``, ``mqtt_websocket``, ``mqtt_tls``.

    TLS needs a certificate.

    Raises:
        Failure: A port is taken, or an address is not one of this machine; nothing stays open.
    """
    settings = with_free_ports(settings, variables)
    wanted = [("http", settings.host, settings.port, HTTP)]
    if settings.serves_mqtt:
        wanted.append(("mqtt", settings.mqtt_host, settings.mqtt_port, MQTT))
        wanted.append(("mqtt_websocket", settings.mqtt_host, settings.mqtt_websocket_port, MQTT_WEBSOCKET))
        if settings.mqtt_certificate is not None:
            wanted.append(("mqtt_tls", settings.mqtt_host, settings.mqtt_tls_port, MQTT_TLS))
    opened: dict[str, socket.socket] = {}
    try:
        for name, host, port, names in wanted:
            opened[name] = listen(host, port, names)
    except Failure:
        for listener in opened.values():
            listener.close()
        raise
    return opened


def with_free_ports(settings: Settings, variables: Mapping[str, str]) -> Settings:
    """Settings in which a port that nobody set does not stand in the way of a second instance.

    With PORT 0, MQTT takes a free one too, and with another port than 1883 so do TLS and WebSocket.
    """
    usual = Settings()
    mqtt_port = settings.mqtt_port if settings.port or "MQTT_PORT" in variables else 0

    def beside(name: str, port: int) -> int:
        return port if mqtt_port == usual.mqtt_port or name in variables else 0

    return replace(
        settings,
        mqtt_port=mqtt_port,
        mqtt_websocket_port=beside("MQTT_WEBSOCKET_PORT", settings.mqtt_websocket_port),
        mqtt_tls_port=beside("MQTT_TLS_PORT", settings.mqtt_tls_port),
    )


def ports(listeners: Mapping[str, socket.socket]) -> dict[str, str]:
    """The variables that tell the processes where the sockets are."""
    return {PORT_VARIABLES[name]: str(listener.getsockname()[1]) for name, listener in listeners.items()}
