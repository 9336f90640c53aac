"""What a broker delivers, handed to the use cases that HTTP and the gateway call too.

The broker has authenticated the sender and lets it publish under its own topics only, so the topic says who it is.
The broker has also acknowledged the message already: what is refused here can only be told to the operator, by a
counter, a line in the log and, where a payload is at fault, a dead letter.
"""

import base64
import hmac
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache

from chalicelib import topics
from chalicelib.delivery import Delivery, Refused, digest
from chalicelib.errors import AppError, Forbidden, InvalidInput, NotFound, Unavailable
from chalicelib.logs import without_secrets
from chalicelib.model import DEFAULT_TENANT, Device, DeviceRef, DeviceStatus
from chalicelib.ports import Limit, RateLimiter
from chalicelib.status import BRIDGE_MESSAGES, REJECTED
from chalicelib.strict_json import parse_json
from chalicelib.topics import CATALOGUE, Kind
from chalicelib.wiring import Services
from mqtt_bridge import client_packets
from mqtt_bridge.admission import Admission, device_owner
from mqtt_bridge.clients import Client, Role
from mqtt_bridge.downlink import compact
from mqtt_bridge.intake import Arrival, Intake
from mqtt_bridge.packets import Publish
from mqtt_bridge.reasons import Reason
from mqtt_bridge.requests import Requests
from mqtt_bridge.wire import Property

log = logging.getLogger(__name__)

SERVED = frozenset({Kind.TELEMETRY, Kind.STATUS, Kind.ACK, Kind.DISCOVERY})
"""ThingsBoard's topics name no device: behind a broker nobody knows whose they are."""
LOUD = Limit(60, 1.0)
"""Refusals of one device that are logged and kept as dead letters; those beyond it are only counted."""
MAX_SENDERS = 100_000
MAX_REQUEST_BYTES = 65_536
MAX_DEPTH = 8
_BROKER = "broker"


def filters() -> list[tuple[str, int]]:
    """What the bridge subscribes to, QoS 1, without what is retained."""
    levels = [entry.pattern.split("/") for entry in CATALOGUE if entry.up and entry.kind in SERVED]
    texts = ["/".join("+" if level.startswith("{") else level for level in each) for each in levels]
    return [(text, 1 | client_packets.RETAIN_HANDLING_NEVER) for text in texts]


class Parcel:
    """One read of the socket: what becomes durable, and what is done once it is.

    Attributes:
        delivery: For the inbox.
        acks: The PUBACKs, in the order of the messages.
        tickets: What else must have ended before they are sent.
        sightings: Device, time and whether it is online: told only when the parcel is taken.
        senders: The devices whose messages were accepted.
        counts: Messages by what became of them.
    """

    __slots__ = ("acks", "counts", "delivery", "senders", "sightings", "tickets")

    def __init__(self) -> None:
        self.delivery = Delivery()
        self.acks = bytearray()
        self.tickets: list[Future[None]] = []
        self.sightings: list[tuple[DeviceRef, int, bool]] = []
        self.senders: set[DeviceRef] = set()
        self.counts = {"accepted": 0, "repeated": 0, "refused": 0, "retained": 0}

    # The two that `Intake` hands on to, while this is the parcel that is being filled.

    def send(self, body: str, *, readings: int, now_ms: int) -> None:
        """Gather readings."""
        self.delivery.send(body, readings=readings, now_ms=now_ms)

    def mark(self, device: DeviceRef, now_ms: int, *, online: bool) -> None:
        """Gather a sighting."""
        self.sightings.append((device, now_ms, online))


class Uplink:
    """Fills parcels. Used by one event loop.

    Args:
        services: The ports.
        limiter: Counts refusals and registrations, in this process.
        reply: Publishes an answer; called from any thread.
    """

    def __init__(self, services: Services, limiter: RateLimiter, reply: Callable[[str, bytes], None]) -> None:
        self._services = services
        self._limiter = limiter
        self._reply = reply
        self._parcel = Parcel()
        self._senders: dict[str, Client | AppError] = {}
        self._revision: int | None = None
        self._intake = Intake(services, self, _nobody_listens, outlet=self, refused=self._refused)
        self._requests = Requests(services, Admission(services, limiter), self._intake)
        self._intake.on(Kind.ACK, self._requests.answer_command)
        self._intake.on(Kind.DISCOVERY, self._register)
        self._stranger = Client(role=Role.ENROLLEE, owner=_BROKER, tenant=DEFAULT_TENANT, address=_BROKER)

    def parcel(self, messages: Sequence[Publish], taken: Mapping[int, int], now_ms: int) -> Parcel:
        """Do what *messages* ask for.

        Args:
            messages: As the broker delivered them.
            taken: Marks of what had been taken before this connection began; see `Taken`.
            now_ms: Server time.

        Raises:
            Unavailable: The device records do not answer; nothing may be acknowledged.
        """
        self._look_again()
        parcel = self._parcel = Parcel()
        for message in messages:
            parcel.delivery.size_bytes += len(message.payload)
            parcel.counts[self._one(message, taken, now_ms)] += 1
        parcel.delivery.stamped_ms = self._services.stamps.newest_ms
        return parcel

    def count(self, parcel: Parcel, now_ms: int) -> None:
        """*parcel* is durable: count it."""
        for result, count in parcel.counts.items():
            if count:
                self._services.counters.add(BRIDGE_MESSAGES, (("result", result),), count, now_ms=now_ms)

    def send(self, body: str, *, readings: int, now_ms: int) -> None:
        """See `Outlet`."""
        self._parcel.send(body, readings=readings, now_ms=now_ms)

    def mark(self, device: DeviceRef, now_ms: int, *, online: bool) -> None:
        """See `Marks`."""
        self._parcel.mark(device, now_ms, online=online)

    def close(self) -> None:
        """End what is being done."""
        self._intake.close()

    def _one(self, message: Publish, taken: Mapping[int, int], now_ms: int) -> str:
        """Do what one message asks for; says what became of it."""
        topic = _parsed(message.topic)
        if message.qos:
            self._parcel.acks += b"\x40\x02" + message.packet_id.to_bytes(2)
            mark = message.packet_id, digest(message.topic, message.payload)
            if message.dup and taken.get(message.packet_id) == mark[1]:
                return "repeated"
            if topic is None or topic.entry.kind in _FAST:  # the others may be done twice, and must not be forgotten
                self._parcel.delivery.marks.append(mark)
        return "retained" if message.retain else self._new(message, topic, now_ms)

    def _new(self, message: Publish, topic: topics.Topic | None, now_ms: int) -> str:
        try:
            topic = _known(topic)
            client = self._stranger if topic.entry.kind is Kind.DISCOVERY else self._sender(topic.device_id)
        except Unavailable:
            raise
        except AppError as error:
            self._count(error, _device_part(message.topic), now_ms)
            return "refused"
        content_type = message.properties.get(Property.CONTENT_TYPE, "")
        arrival = Arrival(
            client, topic, message.topic, message.payload, content_type, now_ms, self._reply, _everybody_listens
        )
        if not self._published(arrival):
            return "refused"
        if client.device is not None:
            self._parcel.senders.add(client.device.ref)
        return "accepted"

    def _published(self, arrival: Arrival) -> bool:
        """Whether the message was accepted. One that meets a bug is buried: it would come again for ever."""
        try:
            return self._intake.publish(arrival, self._parcel.tickets) is Reason.SUCCESS
        except Unavailable:
            raise
        except Exception as error:
            log.exception("A message from the broker met a bug")
            self._bury(arrival, f"Internal error: {type(error).__name__}")
            return False

    # --- senders ------------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Forget the senders after any change of devices."""
        revision = self._services.devices.revision()
        if revision != self._revision or len(self._senders) > MAX_SENDERS:
            self._senders.clear()
            self._revision = revision

    def _sender(self, device_id: str) -> Client:
        found = self._senders.get(device_id)
        if found is None:
            found = self._senders[device_id] = self._read_sender(device_id)
        if isinstance(found, AppError):
            raise found
        return found

    def _read_sender(self, device_id: str) -> Client | AppError:
        device: Device | None = None
        if device_id.isascii() and device_id.isdecimal() and len(device_id) <= 18:
            device = self._services.devices.get(DeviceRef(DEFAULT_TENANT, int(device_id)))
        if device is None or device_id != str(device.id):
            return NotFound("There is no such device", field="topic", code="unknown_device")
        if device.status is DeviceStatus.INACTIVE:
            return Forbidden("This device is inactive; an administrator can lift that", code="device_inactive")
        owner = device_owner(device)
        return Client(role=Role.DEVICE, owner=owner, tenant=device.tenant, address=_BROKER, device=device)

    def _register(self, arrival: Arrival) -> None:
        """Register a device if that is open, or the payload has the enrolment token as ``enrollment_token``."""
        openness = self._services.openness
        document = parse_json(arrival.payload, max_bytes=MAX_REQUEST_BYTES, max_depth=MAX_DEPTH)
        token = document.get("enrollment_token") if isinstance(document, dict) else None
        expected = openness.enrollment
        known = bool(expected) and isinstance(token, str) and hmac.compare_digest(token.encode(), expected.encode())
        if not known and not openness.registration:
            error = Forbidden("Registration needs the enrollment_token", field="enrollment_token")
            answer = {"status": "error", "error": error.code, "message": error.message}
            arrival.reply(f"{topics.BASE}/discovery/response/{arrival.topic.values['name']}", compact(answer))
            raise error
        self._requests.register(arrival)

    # --- refusals -----------------------------------------------------------------------------------------------

    def _refused(self, arrival: Arrival, error: AppError) -> None:
        """A payload is at fault. Telemetry is kept, so that nothing that the broker acknowledged just vanishes."""
        loud = self._count(error, arrival.client.owner, arrival.now_ms)
        if loud and arrival.topic.entry.kind is Kind.TELEMETRY:
            self._bury(arrival, f"Refused: {error.message}")

    def _bury(self, arrival: Arrival, reason: str) -> None:
        self._parcel.delivery.refused.append(Refused(letter(arrival.name, arrival.payload), reason))

    def _count(self, error: AppError, sender: str, now_ms: int) -> bool:
        """Count a refusal, and log it if *sender* had not too many lately; whether it did."""
        self._services.counters.add(REJECTED, (("code", error.code),), now_ms=now_ms)
        loud = self._limiter.take(f"refused:{sender}", LOUD, now_ms=now_ms).allowed
        if loud:
            fields = {"client": sender, "code": error.code}
            log.warning("A message from the broker was refused: %s", error.message, extra={"fields": fields})
        return loud


_FAST = frozenset({Kind.TELEMETRY, Kind.STATUS})


def letter(name: str, payload: bytes) -> str:
    """A refused message as a dead letter: topic and payload, without keys that may stand in it."""
    try:
        content = {"topic": name, "payload": without_secrets(payload.decode())}
    except UnicodeDecodeError:
        content = {"topic": name, "payload_base64": base64.b64encode(payload).decode()}
    return json.dumps(content)


@lru_cache(maxsize=65_536)
def _parsed(name: str) -> topics.Topic | None:
    return topics.parse(name)


def _known(topic: topics.Topic | None) -> topics.Topic:
    """*topic*, if it is one that the bridge serves.

    Raises:
        InvalidInput: It is not.
    """
    if topic is None or topic.entry.kind not in SERVED:
        raise InvalidInput("This topic means nothing here", field="topic", code="unknown_topic")
    return topic


def _device_part(name: str) -> str:
    """What stands where a device's id should, for the limit on log lines."""
    return name.split("/")[2][:64] if name.count("/") > 1 else ""


def _nobody_listens(_device: Device, _name: str, _payload: bytes) -> None:
    """Behind a broker, whoever wants to hear telemetry subscribes there."""


def _everybody_listens(_name: str) -> bool:
    """Only the broker knows."""
    return True
