"""What a message from a client means: it is handed to the use case that HTTP calls too."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from chalicelib import ingest
from chalicelib.errors import AppError, Forbidden, InvalidInput, NotFound, TooMany, Unauthorized, Unavailable
from chalicelib.ingest import Outlet
from chalicelib.model import Device, DeviceRef
from chalicelib.status import REJECTED
from chalicelib.strict_json import parse_json
from chalicelib.topics import Kind, Topic
from chalicelib.wiring import Services
from mqtt_bridge.clients import Client
from mqtt_bridge.reasons import Reason

log = logging.getLogger(__name__)

MAX_STATUS_BYTES = 4096
MAX_DEPTH = 16


class Arrival(NamedTuple):
    """A message as it came, with what its topic means.

    `reply` sends a message to the client that it came from, and `listens` says whether he would hear it.
    """

    client: Client
    topic: Topic
    name: str
    payload: bytes
    content_type: str
    now_ms: int
    reply: Callable[[str, bytes], None] = lambda _name, _payload: None
    listens: Callable[[str], bool] = lambda _name: False


class Handler(Protocol):
    """Does what one kind of topic asks for, off the event loop; an `AppError` says why not."""

    def __call__(self, arrival: Arrival, /) -> None:
        """Do it."""
        ...


class Marks(Protocol):
    """Where presence goes."""

    def mark(self, device: DeviceRef, now_ms: int, *, online: bool) -> None:
        """*device* was seen, or has left."""
        ...


class Intake:
    """Takes messages in. `publish` returns at once; what is not yet durable is in the list of tickets.

    Args:
        services: The ports.
        sightings: Where presence goes.
        tap: Told of every accepted reading of a device: name of the topic, payload.
        outlet: Where readings go instead of straight into the queue; a `Joiner`, for instance.
        refused: Told of every message that can never be accepted, and why; otherwise each is counted and logged.
    """

    def __init__(
        self,
        services: Services,
        sightings: Marks,
        tap: Callable[[Device, str, bytes], None],
        outlet: Outlet | None = None,
        refused: Callable[[Arrival, AppError], None] | None = None,
    ) -> None:
        self._services = services
        self._outlet = outlet or services.queue
        self._refused = refused or self._count
        self._sightings = sightings
        self._tap = tap
        self._slow: dict[Kind, Handler] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="intake")

    def on(self, kind: Kind, handler: Handler) -> None:
        """Let *handler* do what topics of *kind* ask for."""
        self._slow[kind] = handler

    def publish(self, arrival: Arrival, tickets: list[Future[None]]) -> Reason:
        """Take one message in.

        Args:
            arrival: The message; its client may publish it.
            tickets: Where what must be waited for is added, beside the queue's own. The result of a ticket that is
                added here is a `Reason` too: what takes long may be refused later.

        Returns:
            `SUCCESS`, or why the message can never be accepted; both are final and are acknowledged.

        Raises:
            Unavailable: Not taken; it must not be acknowledged.
        """
        device = arrival.client.device
        try:
            if device is not None and not takes_long(arrival):
                if arrival.topic.entry.kind is Kind.STATUS:
                    self.status(device, arrival)
                else:
                    self.telemetry(device, arrival)
            else:
                work: Future[Any] = self._threads.submit(self._do, arrival)
                tickets.append(work)
        except Unavailable:
            raise
        except AppError as error:
            return self._rejected(arrival, error)
        return Reason.SUCCESS

    def telemetry(self, device: Device, arrival: Arrival) -> None:
        """Queue the readings of a payload.

        Raises:
            AppError: See `ingest.accept`.
        """
        services = self._services
        ingest.accept(
            arrival.payload,
            content_type=arrival.content_type,
            device=device,
            now_ms=arrival.now_ms,
            queue=self._outlet,
            limits=services.limits,
            stamps=services.stamps,
        )
        self._tap(device, arrival.name, arrival.payload)

    def status(self, device: Device, arrival: Arrival) -> None:
        """Mark *device* as seen, or as gone when the message says so."""
        self._sightings.mark(device.ref, arrival.now_ms, online=not _says_goodbye(arrival))

    def close(self) -> None:
        """End what is being done."""
        self._threads.shutdown()

    def _do(self, arrival: Arrival) -> Reason:
        handler = self._slow.get(arrival.topic.entry.kind)
        try:
            if handler is None:
                message = f"Nothing is done with {arrival.topic.entry.name}"
                raise NotFound(message, code="not_supported")
            handler(arrival)
        except Unavailable:
            raise
        except AppError as error:
            return self._rejected(arrival, error)
        return Reason.SUCCESS

    def _rejected(self, arrival: Arrival, error: AppError) -> Reason:
        """Poison: no repetition would make it better, so it is counted, logged and acknowledged."""
        self._refused(arrival, error)
        return _reason_of(error)

    def _count(self, arrival: Arrival, error: AppError) -> None:
        self._services.counters.add(REJECTED, (("code", error.code),), now_ms=arrival.now_ms)
        fields = {"client": arrival.client.owner, "topic": arrival.topic.entry.name, "code": error.code}
        log.warning("A message was refused: %s", error.message, extra={"fields": fields})


def takes_long(arrival: Arrival) -> bool:
    """Whether *arrival* asks for work that a thread has to do."""
    entry = arrival.topic.entry
    at_once = entry.kind is Kind.TELEMETRY or entry.kind is Kind.STATUS or entry.name == "me_telemetry"
    return not at_once or arrival.client.device is None


def _reason_of(error: AppError) -> Reason:
    """What a PUBACK says of a message that can never be accepted."""
    match error:
        case Forbidden() | Unauthorized():
            return Reason.NOT_AUTHORIZED
        case TooMany():
            return Reason.QUOTA_EXCEEDED
        case InvalidInput():
            return Reason.PAYLOAD_FORMAT_INVALID
        case _:
            return Reason.IMPLEMENTATION_SPECIFIC


def _says_goodbye(arrival: Arrival) -> bool:
    """Whether a status message means that the device leaves: by its payload, or else by its topic."""
    said = status_in(arrival.payload)
    return (said or arrival.topic.values.get("word", "")) == "offline"


def status_in(payload: bytes) -> str:
    """The status that a message on a status topic tells: ``{"status": "offline"}``, or the bare word."""
    if len(payload) > MAX_STATUS_BYTES:
        return ""
    try:
        document = parse_json(payload, max_bytes=MAX_STATUS_BYTES, max_depth=MAX_DEPTH)
    except InvalidInput:
        return payload.decode("utf-8", "replace").strip().lower()
    told = document.get("status") if isinstance(document, dict) else document
    return told.lower() if isinstance(told, str) else ""


def without_key(payload: bytes) -> bytes:
    """*payload* as others may see it: an `api_key` in it is nobody else's business."""
    if b"api_key" not in payload:
        return payload
    try:
        document = parse_json(payload, max_bytes=len(payload), max_depth=MAX_DEPTH)
    except InvalidInput:
        return b"{}"
    return json.dumps(_keyless(document), separators=(",", ":")).encode()


def _keyless(node: object) -> object:
    if isinstance(node, dict):
        return {name: _keyless(value) for name, value in node.items() if name != "api_key"}
    return [_keyless(item) for item in node] if isinstance(node, list) else node
