"""The embedded gateway: an MQTT endpoint for devices, not a broker. What is acknowledged is durable.

connection  bytes, packets, order, windows         admission  who is let in, limits
gateway     CONNECT, PUBLISH, SUBSCRIBE            intake     what a message means: the use cases of HTTP
session     what is kept between connections       downlink   commands and configuration to devices
"""

import asyncio
import logging
import secrets
import time
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any

from chalicelib import tickets, topics
from chalicelib.errors import AppError, Unavailable
from chalicelib.ports import Decision, RateLimiter
from chalicelib.topics import Kind
from chalicelib.wiring import Services
from mqtt_bridge import packets
from mqtt_bridge.admission import Admission, refusal
from mqtt_bridge.clients import Client, Role, heard, may_publish, subscription_reason
from mqtt_bridge.commits import Commits, Receipt
from mqtt_bridge.connection import Connection, Verdict
from mqtt_bridge.downlink import Downlink
from mqtt_bridge.flow import RECEIVE_MAXIMUM
from mqtt_bridge.intake import Arrival, Intake, takes_long
from mqtt_bridge.joining import Joiner
from mqtt_bridge.packets import V5, Connect, Publish
from mqtt_bridge.reasons import SUBSCRIBE_FAILURE, ProtocolError, Reason
from mqtt_bridge.requests import Requests
from mqtt_bridge.session import NEVER, Session, SessionKey, Sessions
from mqtt_bridge.sightings import Sightings
from mqtt_bridge.taps import Taps
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)

MAX_SESSION_EXPIRY_S = 7 * 86_400
MAX_SUBSCRIPTIONS = 32
MAX_CLIENT_ID_LENGTH = 256
MAX_REMEMBERED_LENGTH = 160
"""Of topics whose meaning is kept: longer ones mean nothing, or are rare."""
PACKET_OVERHEAD_BYTES = 1024
"""Topic and properties around the largest payload."""


class Gateway:
    """All connections of one process; its parts share one event loop.

    Args:
        services: The ports.
        limiter: Counts messages, in this process.
        loop: The running loop.
    """

    def __init__(self, services: Services, limiter: RateLimiter, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.admission = Admission(services, limiter)
        self.sessions = Sessions(max_expiry_s=MAX_SESSION_EXPIRY_S)
        self.commits = Commits(loop)
        self.sightings = Sightings(services.presence, loop)
        self.taps = Taps()
        self.intake = Intake(services, self.sightings, self.taps.tell, Joiner(services.queue, loop.call_soon))
        requests = Requests(services, self.admission, self.intake)
        self.intake.on(Kind.ACK, requests.answer_command)
        self.intake.on(Kind.THINGSBOARD, requests.thingsboard)
        self.intake.on(Kind.DISCOVERY, requests.register)
        self.intake.on(Kind.TELEMETRY, requests.legacy_telemetry)
        self.intake.on(Kind.STATUS, requests.legacy_status)
        self.downlink = Downlink(services, self.sessions, loop)
        self.connections: set[Connection] = set()
        self.max_packet_bytes = services.limits.batch_bytes + PACKET_OVERHEAD_BYTES

    def protocol(self) -> Connection:
        """A new connection, for `loop.create_server`."""
        return Connection(self)

    def close(self) -> None:
        """Write down what is still to be written, once nobody is connected any more."""
        self.intake.close()
        self.downlink.close()
        self.sightings.close()

    # --- Hub ----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The server's time."""
        return time.time_ns() // 1_000_000

    def arrived(self, connection: Connection) -> bool:
        """Count a connection; False when it may not stay."""
        self.connections.add(connection)
        return self.admission.arrive(connection.address, now_ms=self.now_ms())

    def connect(self, connection: Connection, connect: Connect) -> None:
        """Answer a CONNECT."""
        now_ms = self.now_ms()
        if connect.properties.get(Property.AUTHENTICATION_METHOD) is not None:
            connection.refuse(Reason.BAD_AUTHENTICATION_METHOD)
            return
        client_id = connect.client_id
        too_long = len(client_id) > MAX_CLIENT_ID_LENGTH
        if too_long or (not client_id and connect.level != V5 and not connect.clean_start):
            connection.refuse(Reason.CLIENT_ID_INVALID)
            return
        try:
            client = self.admission.sign_in(connect, connection.address, now_ms=now_ms)
        except AppError as error:
            log.info("A connection was refused: %s", error.message, extra={"fields": {"address": connection.address}})
            connection.refuse(refusal(error))
            return
        if connect.will is not None and not may_publish(client, _parsed(connect.will.topic)):
            self.admission.forget(client)
            connection.refuse(Reason.NOT_AUTHORIZED)
            return
        self._welcome(connection, connect, client, now_ms)

    def charge(self, connection: Connection, now_ms: int, count: int) -> Decision:
        """Count packets of *connection* against its client's rate."""
        return self.admission.charge(connection.client, count, now_ms=now_ms)

    def publish(self, connection: Connection, message: Publish, now_ms: int, found: list[Future[None]]) -> Verdict:
        """Take a message in; see `Intake.publish`. What takes long is told by the future that is returned."""
        client, route = connection.client, connection.route
        if route is not None and route[0] is client and route[1] == message.topic:
            topic = route[2]
        else:
            parsed = _parsed(message.topic)
            if client is None or parsed is None or not may_publish(client, parsed):
                return Reason.NOT_AUTHORIZED
            connection.route = route = (client, message.topic, parsed)
            topic = parsed
        content_type = message.properties.get(Property.CONTENT_TYPE, "") if message.properties else ""
        arrival = Arrival(
            route[0],
            topic,
            message.topic,
            message.payload,
            content_type,
            now_ms,
        )
        if not takes_long(arrival):
            return self.intake.publish(arrival, found)
        arrival = arrival._replace(reply=partial(self._reply, connection), listens=partial(_listens, connection))
        self.intake.publish(arrival, found)
        work: Future[Any] = found[-1]
        return work

    def subscribe(self, connection: Connection, request: packets.Subscribe) -> list[int]:
        """Grant or refuse each filter; returns the SUBACK's codes."""
        client, session = connection.client, connection.session
        if client is None or session is None:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "not connected")
        if request.subscription_id is not None:
            raise ProtocolError(Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED, "the CONNACK said so")
        reasons = []
        for wanted in request.filters:
            reason = subscription_reason(client, wanted.text)
            if reason is Reason.SUCCESS and len(session.subscriptions) >= MAX_SUBSCRIPTIONS:
                reason = Reason.QUOTA_EXCEEDED
            if reason is Reason.SUCCESS:
                granted = 0 if client.role is Role.READER else min(wanted.qos, 1)
                session.subscriptions[wanted.text] = granted
                reasons.append(granted)
            else:
                reasons.append(int(reason) if connection.level == V5 else SUBSCRIBE_FAILURE)
        return reasons

    def subscribed(self, connection: Connection) -> None:
        """The SUBACK is on its way: what waits for the subscriber follows."""
        client, session = connection.client, connection.session
        if client is None or session is None or session.link is not connection:
            return
        if client.role is Role.READER:
            self.taps.add(client.tenant, session)
        elif client.device is not None:
            self.downlink.welcome(client.device, session, now_ms=self.now_ms())

    def wait(self, receipt: Receipt, found: list[Future[None]]) -> None:
        """See `Commits.wait`."""
        self.commits.wait(receipt, found)

    def lost(self, connection: Connection) -> None:
        """A connection has ended: its session waits or ends, its will is published or not."""
        self.connections.discard(connection)
        client, session = connection.client, connection.session
        self.admission.depart(connection.address, client)
        if client is None or session is None:
            return
        said = connection.farewell
        if said is not None and said.session_expiry_s is not None and session.expiry_s:
            session.expiry_s = min(said.session_expiry_s, MAX_SESSION_EXPIRY_S)
        is_current = session.link is connection
        if connection.will is not None and (said is None or said.reason == Reason.DISCONNECT_WITH_WILL):
            self._leave_will(connection.will, client, session if is_current else None)
        if is_current:
            self.sessions.leave(session, now_s=self._loop.time())
            self.taps.discard(client.tenant, session)
        if client.device is not None and not self.sessions.is_connected(client.owner):
            self.sightings.mark(client.device.ref, self.now_ms(), online=False)

    def _reply(self, connection: Connection, name: str, payload: bytes) -> None:
        """Send a message to the client behind *connection*, from any thread."""
        self._loop.call_soon_threadsafe(_tell, connection, name, payload)

    # --- CONNECT ------------------------------------------------------------------------------------------------

    def _welcome(self, connection: Connection, connect: Connect, client: Client, now_ms: int) -> None:
        given = connect.properties
        client_id = connect.client_id or f"auto-{secrets.token_hex(8)}"
        expiry_s = given.get(Property.SESSION_EXPIRY, 0) if connect.level == V5 else 0
        if connect.level != V5 and not connect.clean_start:
            expiry_s = NEVER
        if given.get(Property.RECEIVE_MAXIMUM) == 0 or given.get(Property.MAXIMUM_PACKET_SIZE) == 0:
            self.admission.forget(client)
            raise ProtocolError(Reason.PROTOCOL_ERROR, "a maximum of 0")
        connection.receive_maximum = given.get(Property.RECEIVE_MAXIMUM, 65_535 if connect.level == V5 else 20)
        connection.max_outgoing_bytes = given.get(Property.MAXIMUM_PACKET_SIZE, connection.max_outgoing_bytes)
        connection.keep_alive_s = connect.keep_alive_s
        connection.will = connect.will
        key = SessionKey(client.owner, client_id)
        session, present = self.sessions.open(key, connection, clean=connect.clean_start, expiry_s=expiry_s)
        connection.accept(client, session, max_packet_bytes=self.max_packet_bytes)
        properties: dict[int, object] = {
            Property.RECEIVE_MAXIMUM: RECEIVE_MAXIMUM,
            Property.MAXIMUM_PACKET_SIZE: self.max_packet_bytes,
            Property.RETAIN_AVAILABLE: 1,
            Property.SHARED_AVAILABLE: 0,
            Property.SUBSCRIPTION_ID_AVAILABLE: 0,
            Property.TOPIC_ALIAS_MAXIMUM: 0,
        }
        if not connect.client_id:
            properties[Property.ASSIGNED_CLIENT_ID] = client_id
        if expiry_s != session.expiry_s:
            properties[Property.SESSION_EXPIRY] = session.expiry_s
        connection.write(packets.connack(connect.level, Reason.SUCCESS, session_present=present, properties=properties))
        if client.device is not None:
            self.sightings.mark(client.device.ref, now_ms, online=True)
        session.resume()
        if present:
            self._loop.call_soon(self.subscribed, connection)

    def _leave_will(self, will: packets.Will, client: Client, session: Session | None) -> None:
        """Publish a will: at once, or when its delay or the session is over, whichever comes first."""

        def publish() -> None:
            self._publish_will(will, client)

        if session is None or not min(will.delay_s, session.expiry_s):
            publish()
            return
        session.on_end = publish
        if will.delay_s < session.expiry_s:
            self._loop.call_later(will.delay_s, _once_ended, session, publish)

    def _publish_will(self, will: packets.Will, client: Client) -> None:
        topic = _parsed(will.topic)
        if topic is None:
            return
        arrival = Arrival(client, topic, will.topic, will.payload, will.content_type, self.now_ms())
        try:
            with tickets.collect() as found:  # nobody waits for the commit, least of all the event loop
                self.intake.publish(arrival, found)
        except Unavailable:
            log.warning("A last will could not be published")


def _tell(connection: Connection, name: str, payload: bytes) -> None:
    session = connection.session
    qos = heard(session.subscriptions, name) if session is not None else None
    if session is not None and qos is not None and session.link is connection:
        session.send(Publish(name, payload, qos))


def _listens(connection: Connection, name: str) -> bool:
    return connection.session is not None and heard(connection.session.subscriptions, name) is not None


def _once_ended(session: Session, publish: object) -> None:
    """The will's delay is over: publish it, unless its client came back or the session's end did it."""
    if session.on_end is publish and session.on_end is not None:
        action, session.on_end = session.on_end, None
        action()


def _parsed(name: str) -> topics.Topic | None:
    return _remembered(name) if len(name) <= MAX_REMEMBERED_LENGTH else topics.parse(name)


_remembered = lru_cache(maxsize=16_384)(topics.parse)
