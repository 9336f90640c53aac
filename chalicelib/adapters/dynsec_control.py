"""Asks Mosquitto's dynamic security plugin: commands in, one answer each, over one MQTT connection."""

import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from chalicelib.errors import Unavailable

TOPIC = "$CONTROL/dynamic-security/v1"
TIMEOUT_S = 10.0
PORTS = {"mqtt": 1883, "mqtts": 8883}
_SLICE_S = 0.1

Answer = Mapping[str, Any]
"""What the plugin says to one command: `command`, and `data` or `error`."""


class Control:
    """A connection that is made on first use, and again after it broke.

    Args:
        url: mqtt://HOST:PORT or mqtts://HOST:PORT.
        account: User name and password of an account that may use the plugin.
        ca_file: PEM file of the authorities that may vouch for an mqtts broker; the system's when None.

    Source: https://mosquitto.org/documentation/dynamic-security/
    """

    def __init__(self, url: str, account: tuple[str, str], *, ca_file: str | None = None) -> None:
        self._url = urlsplit(url)
        self._account = account
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def ask(self, commands: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The answers to *commands*, in their order.

        Raises:
            Unavailable: The broker is away, refuses the account, or does not answer in time.
        """
        with self._lock:
            try:
                if self._session is None:
                    self._session = self._connect()
                return self._session.ask(commands)
            except BaseException:
                self._end()  # an answer that comes late must not be taken for that to another question
                raise

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            self._end()

    def _connect(self) -> "_Session":
        client = Client(CallbackAPIVersion.VERSION2, clean_session=True)
        client.username_pw_set(*self._account)
        client.connect_timeout = TIMEOUT_S
        if self._url.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context(cafile=self._ca_file))
        session = _Session(client)
        try:
            session.open(self._url.hostname or "", self._url.port or PORTS[self._url.scheme])
        except BaseException:
            session.close()
            raise
        return session

    def _end(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


class _Session:
    """One connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._refusal: str | None = None
        self._connected = False
        self._subscribed = False
        self._question = ""
        self._arrived: list[list[Answer]] = []
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    def open(self, host: str, port: int) -> None:
        try:
            self._client.connect(host, port)
        except OSError as error:
            message = "The broker does not answer"
            raise Unavailable(message) from error
        # Without it each answer waits 40 ms for the acknowledgement of the question.
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._until(lambda: self._connected or self._refusal is not None)
        if self._refusal is not None:
            message = f"The broker refuses the account of IOTFLOW_BROKER_ADMIN_USER: {self._refusal}"
            raise Unavailable(message)
        self._client.subscribe(f"{TOPIC}/response", qos=1)
        self._until(lambda: self._subscribed)

    def ask(self, commands: Sequence[Mapping[str, Any]]) -> list[Answer]:
        # Everybody who administers hears all answers: this tells ours.
        self._question = secrets.token_hex(8)
        self._arrived.clear()
        marked = [{**command, "correlationData": self._question} for command in commands]
        self._client.publish(TOPIC, json.dumps({"commands": marked}), qos=1)
        self._until(lambda: bool(self._arrived))
        answers = self._arrived[0]
        if len(answers) != len(commands):
            message = "The broker's dynamic security does not answer every command"
            raise Unavailable(message)
        return answers

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop(_SLICE_S)
        # paho closes its sockets when the client is dropped: nothing of ours must hold on to it.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    def _until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + TIMEOUT_S
        while not condition():
            if self._client.loop(_SLICE_S) != MQTT_ERR_SUCCESS and not condition():
                message = "The broker closed the connection"
                raise Unavailable(message)
            if time.monotonic() > end_s:
                message = "The broker's dynamic security does not answer"
                raise Unavailable(message)

    def _on_connect(self, _client: Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        self._connected = not reason.is_failure
        self._refusal = str(reason) if reason.is_failure else None

    def _on_subscribe(self, *_details: object) -> None:
        self._subscribed = True

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        answers = json.loads(message.payload).get("responses", [])
        if answers and answers[0].get("correlationData") == self._question:
            self._arrived.append(answers)
