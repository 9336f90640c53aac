"""The codec, against its own writer, random bytes, and the bytes of a foreign client."""

import queue
import socket
import threading

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from mqtt_bridge import packets, wire
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, V311, Publish
from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.wire import Property

LEVELS = st.sampled_from([V311, V5])
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
PACKET_IDS = st.integers(1, 65_535)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        Property.MESSAGE_EXPIRY: st.integers(0, 2**32 - 1),
        Property.CONTENT_TYPE: TEXTS,
        Property.CORRELATION_DATA: st.binary(max_size=40),
        Property.PAYLOAD_FORMAT: st.integers(0, 1),
        Property.SUBSCRIPTION_ID: st.integers(1, wire.MAX_VARINT),
    },
)


def split(raw: bytes) -> list[tuple[int, bytes]]:
    return list(Framing(10_000_000).feed(raw))


@given(LEVELS, TEXTS, st.binary(max_size=300), st.integers(0, 2), PACKET_IDS, st.booleans(), st.booleans(), PROPERTIES)
def test_publish_survives_a_round_trip(
    level: int, topic: str, payload: bytes, qos: int, number: int, dup: bool, retain: bool, properties: wire.Properties
) -> None:
    given_properties = properties if level == V5 else {}
    message = Publish(topic, payload, qos, number if qos else 0, dup and qos > 0, retain, given_properties)
    ((first_byte, body),) = split(packets.publish(message, level))
    assert packets.read_publish(first_byte, body, level) == message


@given(LEVELS, st.sampled_from([packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP]), PACKET_IDS)
def test_acknowledgement_survives_a_round_trip(level: int, kind: int, number: int) -> None:
    for reason in (Reason.SUCCESS, Reason.PAYLOAD_FORMAT_INVALID):
        ((first_byte, body),) = split(packets.ack(kind, number, level, reason))
        packets.require_flags(kind, first_byte)
        assert packets.read_ack(body, level) == (number, reason if level == V5 else 0)


@given(st.integers(0, wire.MAX_VARINT))
def test_variable_byte_integer_survives_a_round_trip(value: int) -> None:
    assert wire.Reader(wire.varint(value)).varint() == value


@given(st.binary(max_size=200), LEVELS)
def test_random_bytes_are_read_or_refused_and_nothing_else(body: bytes, level: int) -> None:
    for read in (
        lambda: packets.read_connect(b"\0\4MQTT" + bytes((level,)) + body),
        lambda: packets.read_publish(0x32, body, level),
        lambda: packets.read_ack(body, level),
        lambda: packets.read_subscribe(body, level),
        lambda: packets.read_unsubscribe(body, level),
        lambda: packets.read_disconnect(body, level),
    ):
        try:
            read()
        except ProtocolError:
            continue


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 400), max_size=30))
def test_packets_are_found_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(packets.packet(0x30, body) for body in bodies)
    framing, found = Framing(1000), []
    for cut in [*cuts, len(stream)]:
        part, stream = stream[:cut], stream[cut:]
        found += list(framing.feed(part))
    assert [body for _first, body in found] == bodies
    assert framing.waiting_bytes == 0


def test_packet_that_is_too_large_is_refused_before_it_comes() -> None:
    with pytest.raises(ProtocolError, match="at most 100 bytes") as caught:
        list(Framing(100).feed(b"\x30" + wire.varint(101)))
    assert caught.value.reason is Reason.PACKET_TOO_LARGE


def test_packets_after_an_early_stop_are_kept() -> None:
    framing = Framing(100)
    for packet in framing.feed(b"\xc0\x00\xe0\x00"):
        assert packet == (0xC0, b"")
        break
    assert list(framing.feed(b"")) == [(0xE0, b"")]


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
def test_a_foreign_clients_packets_are_understood(version: MQTTProtocolVersion) -> None:
    """Paho writes; we read. No network: a socket pair."""
    level = V5 if version == MQTTProtocolVersion.MQTTv5 else V311
    ours, theirs = socket.socketpair()
    arrived: queue.Queue[tuple[int, bytes]] = queue.Queue()

    def read() -> None:
        framing = Framing(100_000)
        while received := ours.recv(65_536):
            for each in framing.feed(received):
                arrived.put(each)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        talk(version, theirs, level, ours, arrived)
    finally:
        theirs.close()
        reader.join(5)
        ours.close()


def talk(
    version: MQTTProtocolVersion,
    theirs: socket.socket,
    level: int,
    ours: socket.socket,
    arrived: "queue.Queue[tuple[int, bytes]]",
) -> None:
    class Client(paho.Client):
        def _create_socket(self) -> socket.socket:
            return theirs

    client = Client(CallbackAPIVersion.VERSION2, client_id="foreign", protocol=version)
    client.username_pw_set("7", "secret")
    client.will_set("iotflow/devices/7/status", b"gone", qos=1, retain=True)
    client.connect("localhost", keepalive=33)
    client.loop_write()
    first_byte, body = arrived.get(timeout=5)
    connect = packets.read_connect(body)
    assert (first_byte, connect.level, connect.client_id, connect.keep_alive_s) == (0x10, level, "foreign", 33)
    assert (connect.username, connect.password) == ("7", b"secret")
    assert connect.will == packets.Will("iotflow/devices/7/status", b"gone", 1)
    ours.sendall(packets.connack(level, Reason.SUCCESS, properties={Property.RECEIVE_MAXIMUM: 10}))
    client.loop_read()
    properties = None
    if level == V5:
        properties = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/senml+json"
        properties.UserProperty = ("a", "b")
    client.publish("iotflow/devices/7/telemetry", b"{}" * 100, qos=2, properties=properties)
    client.subscribe([("iotflow/devices/7/commands/#", 1), ("iotflow/devices/7/config", 0)])
    client.unsubscribe("iotflow/devices/7/config")
    client.loop_write()
    first_byte, body = arrived.get(timeout=5)
    message = packets.read_publish(first_byte, body, level)
    assert (message.topic, message.payload, message.qos) == ("iotflow/devices/7/telemetry", b"{}" * 100, 2)
    assert message.properties.get(Property.CONTENT_TYPE) == ("application/senml+json" if level == V5 else None)
    subscribed = packets.read_subscribe(arrived.get(timeout=5)[1], level)
    assert subscribed.filters == [("iotflow/devices/7/commands/#", 1), ("iotflow/devices/7/config", 0)]
    assert packets.read_unsubscribe(arrived.get(timeout=5)[1], level).filters == ["iotflow/devices/7/config"]
    client.disconnect()
    client.loop_write()
    assert packets.read_disconnect(arrived.get(timeout=5)[1], level).reason == 0
