"""A device's connection to a broker. The library repeats what is not acknowledged, over new connections too."""

import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from simulators.client import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, Answer, NoAnswer, TimedReading
from simulators.mqtt_topics import Message, Topics
from simulators.orders import Later, Order, Orderly, Stage, on_a_timer
from simulators.totals import Counts

KEEP_ALIVE_S = 60
RECONNECT_S = (1, 8)
"""The first pause after a lost connection, and the longest; it doubles between them."""
GOODBYE_S = 2.0


@dataclass(frozen=True)
class Broker:
    """Where to connect, and how.

    Attributes:
        version: 5 tells why a message is refused; 3.1.1 cannot.
        qos: of telemetry. With 0 nobody knows what arrives: a message counts as accepted when it is sent.
        tls: the context, or None for plain connections.
    """

    host: str
    port: int
    version: Literal["3.1.1", "5"] = "5"
    transport: Literal["tcp", "websockets"] = "tcp"
    tls: ssl.SSLContext | None = None
    qos: int = 1

    @property
    def address(self) -> str:
        """The broker as a URL."""
        scheme = {"tcp": "mqtt", "websockets": "ws"}[self.transport] + ("s" if self.tls else "")
        return f"{scheme}://{self.host}:{self.port}"

    def client(self, client_id: str, username: str, password: str) -> Client:
        """Return a client that is not connected yet."""
        version = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}[self.version]
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, transport=self.transport)
        if username or password:
            client.username_pw_set(username, password or None)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        client.reconnect_delay_set(*RECONNECT_S)
        return client


def tls_context(authority: Path | None) -> ssl.SSLContext:
    """Return a context that checks the broker's certificate, also against a CA of one's own.

    Raises:
        OSError: the file cannot be read, or has no certificate.
    """
    return ssl.create_default_context(cafile=authority)


class MqttUplink:
    """One device's connection, made at once and kept until `close`.

    Args:
        broker: where to.
        topics: the words of the device.
        client_id: any; two connections with one id would throw each other out.
        counts: where commands are counted.
        later: for commands that take a while.
    """

    def __init__(
        self, broker: Broker, topics: Topics, *, client_id: str, counts: Counts, later: Later = on_a_timer
    ) -> None:
        self._topics = topics
        self._qos = broker.qos
        self._orders = Orderly(self._tell, counts, later)
        self._changed = threading.Condition()
        self._connected = False
        self._refusal: int | None = None
        self._refused: dict[int, int] = {}
        self._client = client = broker.client(client_id, topics.username, topics.password)
        if topics.will is not None:
            client.will_set(topics.will.topic, topics.will.payload, qos=1, retain=topics.will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.connect_async(broker.host, broker.port, KEEP_ALIVE_S)
        client.loop_start()

    def telemetry(self, readings: Sequence[TimedReading]) -> Answer:
        return self._deliver(self._topics.telemetry(readings), self._qos, good=201)

    def heartbeat(self) -> Answer:
        return self._deliver(self._topics.heartbeat(), min(self._qos, 1), good=200)

    def close(self) -> None:
        """Say that the device is off, unless it is cut off, and disconnect."""
        goodbye, connected = self._topics.presence("offline"), self._connected
        if connected and goodbye is not None:
            _wait(self._publish(goodbye, 1), GOODBYE_S)
        self._client.disconnect()
        if connected:  # else its thread may be in a pause of seconds, and ends by itself after that
            self._client.loop_stop()

    def _deliver(self, message: Message, qos: int, *, good: int) -> Answer:
        began_s = time.perf_counter()
        status = self._status_of(message, qos) or good
        return Answer(status, {}, None, (time.perf_counter() - began_s) * 1000)

    def _status_of(self, message: Message, qos: int) -> int:
        """Publish, and return 0 when it is acknowledged or the reason why it is refused."""
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refusal is not None, CONNECT_TIMEOUT_S)
            if not self._connected and self._refusal is not None:
                return self._refusal
            if not self._connected:
                raise NoAnswer("not connected")
        info = self._publish(message, qos)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS or not _wait(info, ANSWER_TIMEOUT_S):
            raise NoAnswer("not acknowledged")
        return self._refused.pop(info.mid, 0)

    def _publish(self, message: Message, qos: int) -> MQTTMessageInfo:
        return self._client.publish(message.topic, message.payload, qos, message.retain)

    def _tell(self, order: Order, stage: Stage, result: Any) -> None:
        for message in (self._topics.answer(order, stage, result), self._say(stage.presence)):
            if message is not None:
                self._publish(message, 1)

    def _say(self, presence: str) -> Message | None:
        return self._topics.presence(presence) if presence else None

    def _on_connect(self, client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe([(topic, 1) for topic in self._topics.subscriptions])
            if (message := self._topics.presence("online")) is not None:
                self._publish(message, 1)
        with self._changed:
            self._connected = not reason.is_failure
            self._refusal = reason.value if reason.is_failure else None
            self._changed.notify_all()

    def _on_disconnect(self, _client: Client, _userdata: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        with self._changed:
            self._connected = False

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused[mid] = reason.value

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        order = self._topics.order(message.topic, payload)
        if order is not None:
            self._orders.take(order)
        desired = self._topics.desired(message.topic, payload)
        if desired:
            self._orders.config.update(desired)
            self._publish(self._topics.reported(desired), 1)


def _wait(info: MQTTMessageInfo, timeout_s: float) -> bool:
    """Wait until a message is acknowledged; False when it is not in time."""
    try:
        info.wait_for_publish(timeout_s)
        return info.is_published()
    except (RuntimeError, ValueError):  # the library's words for a connection that is gone, and for a full queue
        return False
