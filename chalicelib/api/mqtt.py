"""The MQTT side over HTTP: is it there, where to connect, which topics there are, and messages past it."""

from urllib.parse import urlsplit

from chalicelib import access, commands, status, times, topics
from chalicelib.api import command_shapes, intake
from chalicelib.api import mqtt_shapes as shapes
from chalicelib.api.commands import SENDS, WRITE, send
from chalicelib.api.payload_schema import PAYLOAD_SCHEMA
from chalicelib.api.rates import DEVICE_WRITES
from chalicelib.calls import Call
from chalicelib.commands import Order
from chalicelib.errors import Gone, InvalidInput, NotFound
from chalicelib.http import Resource
from chalicelib.model import Device
from chalicelib.topics import CATALOGUE, Kind
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1", tag="MQTT")
EVERY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound
PUBLISHABLE = "iotflow/devices/{device_id}/commands and iotflow/devices/{device_id}/commands/{command_type}"


@resource.get("/mqtt/status", access=access.OPERATOR, uses=["mqtt:read"])
def read_mqtt_status(call: Call) -> shapes.MqttStatusOut:  # noqa: ARG001 - every handler takes the call
    """Ask the MQTT listener whether it is there, by connecting to it."""
    settings, asked = services().settings, status.probe(services().mqtt.check)
    return shapes.MqttStatusOut(
        mqtt_status=_connection(asked),
        broker_info=shapes.BrokerOut(
            host=settings.mqtt_host,
            port=settings.mqtt_port,
            tls_port=_tls_port(),
            websocket_port=settings.mqtt_websocket_port,
            connected=asked.healthy,
            tls_enabled=_tls_port() is not None,
            error=asked.error,
        ),
    )


@resource.get("/mqtt/monitoring/metrics", access=access.OPERATOR, uses=["mqtt:read", "commands:count"])
def read_mqtt_metrics(call: Call) -> shapes.MqttMetricsOut:
    """The listener's state, the number of topics, and how many commands are in each status."""
    counts = services().commands.counts(call.principal.tenant)
    return shapes.MqttMetricsOut(
        timestamp=times.to_iso(call.now_ms),
        metrics=shapes.MonitoringOut(
            connection_status=_connection(status.probe(services().mqtt.check)),
            topics=shapes.TopicCountsOut(total_structures=len(CATALOGUE)),
            commands={word.value: count for word, count in counts.items()},
        ),
    )


@resource.get("/devices/mqtt-credentials", access=access.DEVICE)
def read_mqtt_credentials(call: Call) -> shapes.CredentialsOut:
    """Where and how the calling device connects over MQTT; the password is the key of this call."""
    settings, device = services().settings, call.device
    return shapes.CredentialsOut(
        credentials=shapes.Credentials(
            mqtt_host=_announced_host(call),
            mqtt_port=settings.mqtt_port,
            mqtt_tls_port=_tls_port(),
            mqtt_websocket_port=settings.mqtt_websocket_port,
            client_id=f"device-{device.id}",
            username=str(device.id),
            anonymous_connection=settings.mqtt_legacy,
            authentication_note="Connect with the username given here and the device's API key as password.",
            topics=shapes.credential_topics(device.id),
        )
    )


@resource.get("/mqtt/topics/device/{device_id}", access=access.OWNER, uses=["devices:get"])
def list_device_topics(call: Call, device_id: int) -> shapes.DeviceTopicsOut:
    """List the topics of a device, by kind."""
    access.visible_device(call.principal, device_id, devices=services().devices)
    return shapes.device_topics_out(device_id)


@resource.get("/mqtt/topics/structure", access=access.OWNER)
def list_topics(call: Call) -> shapes.TopicStructureOut:  # noqa: ARG001
    """List every topic there is."""
    return shapes.TopicStructureOut(
        wildcard_patterns={
            "telemetry_of_all_devices": topics.telemetry("+"),
            "commands_of_a_device": f"{topics.commands('{device_id}')}/#",
        },
        topic_structures={entry.name: shapes.topic_out(entry, entry.pattern) for entry in CATALOGUE},
        total_structures=len(CATALOGUE),
    )


@resource.post("/mqtt/topics/validate", access=access.OWNER)
def validate_topic(call: Call, body: shapes.TopicText) -> shapes.ValidatedOut:  # noqa: ARG001
    """Say whether a topic can be published to, and what it means."""
    found, errors = None, []
    try:
        topics.require_name(body.topic)
        found = topics.parse(body.topic)
    except InvalidInput as error:
        errors = [error.message]
    if found is None:
        errors = errors or ["The topic is not in the catalogue; /api/v1/mqtt/topics/structure lists it"]
        return shapes.ValidatedOut(topic=body.topic, is_valid=False, parsed=None, validation_errors=errors)
    return shapes.ValidatedOut(
        topic=body.topic,
        is_valid=True,
        parsed=shapes.ParsedTopicOut(
            name=found.entry.name,
            kind=found.entry.kind,
            direction="up" if found.entry.up else "down",
            values=dict(found.values),
        ),
        validation_errors=[],
    )


@resource.post("/mqtt/publish", access=WRITE, uses=SENDS, idempotent="answer", errors=(404, 409))
def publish(call: Call, body: command_shapes.Publication) -> command_shapes.PublishedOut:
    """Queue a message to a device's commands topic as a command; other topics cannot be published to.

    The last level of the topic is the type; under `.../commands` it is the payload's `type`, or else `control`.
    """
    device, command_type = _addressee(call, body)
    sent = send(call, device, Order(command_type, body.payload))
    return command_shapes.PublishedOut(message="Command queued", topic=body.topic, command_id=sent.id)


def _addressee(call: Call, body: command_shapes.Publication) -> tuple[Device, str]:
    """The device that a published message is for, and the type of the command that it becomes."""
    topics.require_name(body.topic)
    topic = topics.parse(body.topic)
    if topic is None or topic.entry.kind is not Kind.COMMANDS:
        message = (
            f"Only {PUBLISHABLE} can be published to; desired state is set by PUT /api/v1/admin/devices/{{id}}/twin"
        )
        raise InvalidInput(message, field="topic")
    if body.retain:
        message = "Commands are not retained: a device would carry them out at each connect"
        raise InvalidInput(message, field="retain")
    if not (topic.device_id.isascii() and topic.device_id.isdecimal() and len(topic.device_id) <= 18):
        message = "There is no such device"
        raise NotFound(message, field="topic")
    device = access.visible_device(call.principal, int(topic.device_id), devices=services().devices)
    named = body.payload.get("type") if isinstance(body.payload, dict) else None
    fitting = isinstance(named, str) and commands.is_type(named)
    return device, topic.values.get("command_type") or (str(named) if fitting else "control")


@resource.post("/mqtt/subscribe", access=access.ANYONE, status=410)
def subscribe(call: Call) -> shapes.GoneOut:  # noqa: ARG001
    """Gone: the server never subscribes on a stranger's word. Connect a client of your own."""
    message = "The server does not subscribe for others; connect an MQTT client with a token that has telemetry:read"
    raise Gone(message)


@resource.post(
    "/mqtt/telemetry/{device_id}",
    access=access.DEVICE,
    limit=DEVICE_WRITES,
    status=201,
    uses=["devices:get", "queue:write"],
    idempotent="answer",
    payload_schema=PAYLOAD_SCHEMA,
)
def forward_telemetry(call: Call, device_id: int) -> shapes.ForwardedOut:
    """Send readings as if they had come over MQTT; 201 means that they are durable."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    accepted = intake.accept(call)
    return shapes.ForwardedOut(
        message="Telemetry accepted",
        device_id=device.id,
        device_name=device.name,
        topic=topics.telemetry(device.id),
        timestamp=times.to_iso(accepted.last.timestamp_ms),
        readings=accepted.readings,
    )


def _connection(asked: status.Check) -> shapes.ConnectionOut:
    settings = services().settings
    return shapes.ConnectionOut(
        connected=asked.healthy,
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        use_tls=_tls_port() is not None,
        handlers_count=sum(entry.up for entry in CATALOGUE),
    )


def _announced_host(call: Call) -> str:
    """Where devices connect: where this call went to, when the listener takes connections on every address."""
    host = services().settings.mqtt_host
    if host not in EVERY_ADDRESS:
        return host
    return urlsplit(f"//{call.headers.get('host', '')}").hostname or host


def _tls_port() -> int | None:
    """The port of the TLS listener, which there is only with a certificate."""
    settings = services().settings
    return settings.mqtt_tls_port if settings.mqtt_certificate is not None else None
