"""Sessions: windows, repetition, take-over, expiry; and which topics are whose."""

from functools import partial

import pytest

from chalicelib import topics
from chalicelib.model import Device
from mqtt_bridge.clients import Client, Role, may_publish, subscription_reason
from mqtt_bridge.packets import Publish
from mqtt_bridge.reasons import Reason
from mqtt_bridge.session import MAX_WAITING, SessionKey, Sessions

KEY = SessionKey("default/device:1", "client")
DEVICE = Client(
    role=Role.DEVICE,
    owner="default/device:1",
    tenant="default",
    address="127.0.0.1",
    device=Device(name="d", device_type="t", id=1, created_ms=0, updated_ms=0),
)
READER = Client(role=Role.READER, owner="default/token:ops", tenant="default", address="127.0.0.1")
ENROLLEE = Client(role=Role.ENROLLEE, owner="enrollee:127.0.0.1", tenant="default", address="127.0.0.1")


class FakeLink:
    """Keeps what is sent."""

    def __init__(self, receive_maximum: int = 10) -> None:
        self.receive_maximum = receive_maximum
        self.is_slow = False
        self.sent: list[Publish] = []
        self.ended: Reason | None = None

    def send(self, message: Publish) -> None:
        self.sent.append(message)

    def end(self, reason: Reason) -> None:
        self.ended = reason


def test_session_keeps_to_the_receive_window_and_sends_the_rest_later() -> None:
    link = FakeLink(receive_maximum=2)
    session = Sessions(max_expiry_s=60).open(KEY, link, clean=True, expiry_s=0).session
    confirmed: list[int] = []
    for number in range(5):
        session.send(Publish("t", b"%d" % number, 1), partial(confirmed.append, number))
    assert len(link.sent) == 2
    for _ in range(5):
        session.confirm(link.sent[len(confirmed)].packet_id)
    assert [message.payload for message in link.sent] == [b"0", b"1", b"2", b"3", b"4"]
    assert confirmed == [0, 1, 2, 3, 4]


def test_resumed_session_repeats_what_was_not_confirmed() -> None:
    sessions = Sessions(max_expiry_s=60)
    session = sessions.open(KEY, FakeLink(), clean=True, expiry_s=60).session
    session.send(Publish("t", b"x", 1))
    sessions.leave(session, now_s=0)
    link = FakeLink()
    found, present = sessions.open(KEY, link, clean=False, expiry_s=60)
    found.resume()
    assert present
    assert [(message.payload, message.dup, message.packet_id) for message in link.sent] == [(b"x", True, 1)]


def test_messages_wait_only_up_to_a_limit() -> None:
    session = Sessions(max_expiry_s=60).open(KEY, FakeLink(receive_maximum=1), clean=True, expiry_s=0).session
    taken = [session.send(Publish("t", b"", 1)) for _ in range(MAX_WAITING + 5)]
    assert taken.count(False) == 4


def test_second_connection_of_a_client_ends_the_first() -> None:
    sessions, first = Sessions(max_expiry_s=60), FakeLink()
    sessions.open(KEY, first, clean=True, expiry_s=0)
    sessions.open(KEY, FakeLink(), clean=True, expiry_s=0)
    assert first.ended is Reason.SESSION_TAKEN_OVER
    assert len(sessions) == 1


def test_client_ids_are_each_owners_own() -> None:
    sessions, first = Sessions(max_expiry_s=60), FakeLink()
    sessions.open(KEY, first, clean=True, expiry_s=0)
    sessions.open(SessionKey("default/device:2", "client"), FakeLink(), clean=True, expiry_s=0)
    assert first.ended is None
    assert len(sessions) == 2


def test_session_ends_with_its_time_and_not_before() -> None:
    sessions, ended = Sessions(max_expiry_s=60), []
    session = sessions.open(KEY, FakeLink(), clean=True, expiry_s=10_000).session
    session.on_end = lambda: ended.append(True)
    sessions.leave(session, now_s=0)
    sessions.sweep(now_s=59)
    assert not ended
    sessions.sweep(now_s=60)
    assert ended
    assert len(sessions) == 0


def test_offline_sessions_are_bounded() -> None:
    sessions = Sessions(max_expiry_s=60, max_offline=3)
    for number in range(10):
        key = SessionKey("owner", str(number))
        sessions.leave(sessions.open(key, FakeLink(), clean=False, expiry_s=60).session, now_s=number)
    assert len(sessions) == 3


@pytest.mark.parametrize(
    ("client", "name", "allowed"),
    [
        (DEVICE, "iotflow/devices/1/telemetry", True),
        (DEVICE, "iotflow/devices/1/telemetry/sensors", True),
        (DEVICE, "iotflow/devices/1/status/online", True),
        (DEVICE, "iotflow/devices/1/commands/abc/ack", True),
        (DEVICE, "v1/devices/me/telemetry", True),
        (DEVICE, "iotflow/devices/2/telemetry", False),
        (DEVICE, "iotflow/devices/01/telemetry", False),
        (DEVICE, "iotflow/devices/1/commands", False),
        (DEVICE, "iotflow/devices/1/config", False),
        (DEVICE, "iotflow/discovery/register/x", False),
        (DEVICE, "$CONTROL/dynamic-security/v1", False),
        (READER, "iotflow/devices/1/telemetry", False),
        (ENROLLEE, "iotflow/discovery/register/x", True),
        (ENROLLEE, "iotflow/devices/1/telemetry", False),
    ],
)
def test_publishing_is_limited_to_ones_own_topics(client: Client, name: str, allowed: bool) -> None:
    assert may_publish(client, topics.parse(name)) is allowed


@pytest.mark.parametrize(
    ("client", "text", "reason"),
    [
        (DEVICE, "iotflow/devices/1/commands", Reason.SUCCESS),
        (DEVICE, "iotflow/devices/1/commands/#", Reason.SUCCESS),
        (DEVICE, "iotflow/devices/1/config", Reason.SUCCESS),
        (DEVICE, "v1/devices/me/rpc/request/+", Reason.SUCCESS),
        (DEVICE, "#", Reason.NOT_AUTHORIZED),
        (DEVICE, "+/devices/1/commands", Reason.NOT_AUTHORIZED),
        (DEVICE, "iotflow/devices/+/commands", Reason.NOT_AUTHORIZED),
        (DEVICE, "iotflow/devices/2/commands", Reason.NOT_AUTHORIZED),
        (DEVICE, "iotflow/devices/1/telemetry", Reason.NOT_AUTHORIZED),
        (DEVICE, "iotflow/devices/1/commands/a#", Reason.NOT_AUTHORIZED),
        (DEVICE, "$SYS/#", Reason.NOT_AUTHORIZED),
        (DEVICE, "$share/g/iotflow/devices/+/telemetry", Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
        (READER, "iotflow/devices/+/telemetry", Reason.SUCCESS),
        (READER, "iotflow/devices/+/commands", Reason.NOT_AUTHORIZED),
        (READER, "#", Reason.NOT_AUTHORIZED),
        (ENROLLEE, "iotflow/discovery/response/+", Reason.SUCCESS),
        (ENROLLEE, "iotflow/devices/+/telemetry", Reason.NOT_AUTHORIZED),
    ],
)
def test_subscribing_is_limited_to_ones_own_topics(client: Client, text: str, reason: Reason) -> None:
    assert subscription_reason(client, text) is reason
