"""What a client writes is what the server's reader reads, and a server's answers are understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge import client_packets, packets
from mqtt_bridge.client_packets import Connack, SignIn
from mqtt_bridge.framing import Framing
from mqtt_bridge.packets import V5, V311, Filter, Will
from mqtt_bridge.reasons import ProtocolError, Reason
from mqtt_bridge.wire import Property

SECRET = "iotf_secret"
SIGN_IN = SignIn("bridge", "user", SECRET, 30, 3600, 1000, 65_536, Will("will/topic", b"gone", 1))


def body_of(raw: bytes) -> tuple[int, bytes]:
    ((first_byte, body),) = Framing(10_000_000).feed(raw)
    return first_byte, body


def test_connect_asks_for_the_earlier_session_and_leaves_a_retained_will() -> None:
    first_byte, body = body_of(client_packets.connect(SIGN_IN))
    assert first_byte == 0x10
    assert body[7] & 0x24 == 0x24  # will, retained
    found = packets.read_connect(body)
    assert (found.level, found.clean_start, found.keep_alive_s, found.client_id) == (V5, False, 30, "bridge")
    assert (found.username, found.password) == ("user", SECRET.encode())
    assert found.will == SIGN_IN.will
    assert found.properties == {
        Property.SESSION_EXPIRY: 3600,
        Property.RECEIVE_MAXIMUM: 1000,
        Property.MAXIMUM_PACKET_SIZE: 65_536,
    }


def test_connect_without_a_user_has_neither_name_nor_password() -> None:
    found = packets.read_connect(body_of(client_packets.connect(SIGN_IN._replace(username="", password="")))[1])
    assert (found.username, found.password) == (None, None)


def test_password_is_not_shown() -> None:
    assert SECRET not in repr(SIGN_IN)


@pytest.mark.parametrize("present", [False, True])
def test_connack_is_read(present: bool) -> None:
    given_properties: dict[int, object] = {Property.RECEIVE_MAXIMUM: 20, Property.SERVER_KEEP_ALIVE: 60}
    raw = packets.connack(V5, Reason.SUCCESS, session_present=present, properties=given_properties)
    assert client_packets.read_connack(body_of(raw)[1]) == Connack(present, 0, given_properties)


def test_connack_of_an_older_server_is_a_refusal() -> None:
    raw = packets.connack(V311, Reason.UNSUPPORTED_VERSION)
    assert client_packets.read_connack(body_of(raw)[1]).reason == 1


def test_subscribe_carries_each_filter_with_its_options() -> None:
    options = 1 | client_packets.RETAIN_HANDLING_NEVER
    first_byte, body = body_of(client_packets.subscribe(7, [("a/+", options), ("b/#", 0)]))
    packets.require_flags(packets.SUBSCRIBE, first_byte)
    found = packets.read_subscribe(body, V5)
    assert (found.packet_id, found.filters) == (7, [Filter("a/+", 1), Filter("b/#", 0)])


def test_unsubscribe_carries_its_filter() -> None:
    first_byte, body = body_of(client_packets.unsubscribe(9, "a/+"))
    packets.require_flags(packets.UNSUBSCRIBE, first_byte)
    assert packets.read_unsubscribe(body, V5) == packets.Unsubscribe(9, ["a/+"])


def test_codes_of_suback_and_unsuback_are_read() -> None:
    assert client_packets.read_codes(body_of(packets.suback(3, [1, 0x87], V5))[1]) == (3, [1, 0x87])
    assert client_packets.read_codes(body_of(packets.unsuback(4, [0x11], V5))[1]) == (4, [0x11])


@given(st.binary(max_size=40))
def test_random_bytes_are_an_answer_or_a_protocol_error(raw: bytes) -> None:
    for read in (client_packets.read_connack, client_packets.read_codes):
        try:
            read(raw)
        except ProtocolError:
            continue
