"""Registration over MQTT alone: a device asks on a topic of its name, and hears its id and key on another."""

import queue
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, MQTTMessage

from simulators.client import ANSWER_TIMEOUT_S, Answer, NoAnswer, json_object
from simulators.mqtt_topics import encoded
from simulators.mqtt_uplink import Broker

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
"""A name that is a level of a topic. Source: the service's contract."""


class Discovery:
    """Registers devices, each over a connection of its own.

    Args:
        broker: where to.
        enrollment_token: the connection's password, where registration is not open.
    """

    def __init__(self, broker: Broker, *, enrollment_token: str | None = None) -> None:
        self._broker = broker
        self._token = enrollment_token or ""

    def register(self, record: Mapping[str, str], *, idempotency_key: str) -> Answer:  # noqa: ARG002 - HTTP's
        """Register a device, as `Registrar` says. A registration whose answer was lost has taken the name.

        Raises:
            NoAnswer: the broker could not be reached, or did not answer in time.
        """
        name = record["name"]
        if NAME.fullmatch(name) is None:
            return Answer(400, {"message": "over MQTT a name has 1 to 64 letters, digits and _ . : -"}, None, 0.0)
        began_s = time.perf_counter()
        document = json_object(self._asked(name, encoded(dict(record))))
        status = 201 if "device" in document else 409 if document.get("error") == "name_taken" else 400
        return Answer(status, document, None, (time.perf_counter() - began_s) * 1000)

    def status(self, api_key: str) -> Answer:  # noqa: ARG002
        """Nobody tells over MQTT whose a key is, so an earlier run's is of no use: the device takes another name."""
        return Answer(401, {}, None, 0.0)

    def _asked(self, name: str, request: bytes) -> bytes:
        """Return what the service answers."""
        answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        client = self._broker.client(f"iotflow-enrolment-{secrets.token_hex(6)}", "", self._token)

        def on_connect(client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if not reason.is_failure:
                client.subscribe(f"iotflow/discovery/response/{name}", 1)

        def on_subscribe(client: Client, _userdata: Any, _mid: int, _reasons: Any, _properties: Any) -> None:
            client.publish(f"iotflow/discovery/register/{name}", request, 1)

        def on_message(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
            answers.put(bytes(message.payload))

        client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
        client.connect_async(self._broker.host, self._broker.port)
        client.loop_start()
        with suppress(queue.Empty):
            return self._end(client, answers.get(timeout=ANSWER_TIMEOUT_S))
        self._end(client, b"")
        raise NoAnswer("no answer to the registration")

    @staticmethod
    def _end(client: Client, answer: bytes) -> bytes:
        client.disconnect()
        client.loop_stop()
        return answer
