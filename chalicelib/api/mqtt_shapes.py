"""What the MQTT side says of itself over HTTP."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chalicelib import topics
from chalicelib.declare import Answer, DeviceBody
from chalicelib.topics import Entry


class TopicText(DeviceBody):
    """A topic name."""

    topic: Annotated[str, StringConstraints(max_length=1000)]


class ConnectionOut(Answer):
    """The listener for devices; `handlers_count` counts the topics that it takes messages under."""

    connected: bool
    host: str
    port: int
    use_tls: bool
    handlers_count: int


class BrokerOut(Answer):
    """Where devices connect. A port is null when nothing listens there."""

    host: str
    port: int
    tls_port: int | None
    websocket_port: int
    connected: bool
    tls_enabled: bool
    error: str | None


class MqttStatusOut(Answer):
    """Whether the MQTT listener answers: it was asked just now."""

    status: Literal["success"] = "success"
    mqtt_status: ConnectionOut
    broker_info: BrokerOut


class TopicOut(Answer):
    """A topic; `direction` is up for what devices publish, down for what they subscribe to."""

    name: str
    path: str
    direction: Literal["up", "down"]
    qos: int
    retain: bool
    description: str


class DeviceTopicsOut(Answer):
    """The topics of one device, by kind."""

    status: Literal["success"] = "success"
    device_id: int
    topics: dict[str, list[TopicOut]]
    total_topics: int


class TopicStructureOut(Answer):
    """Every topic there is."""

    status: Literal["success"] = "success"
    base_topic: str = topics.BASE
    wildcard_patterns: dict[str, str]
    topic_structures: dict[str, TopicOut]
    total_structures: int


class ParsedTopicOut(Answer):
    """What a topic of the catalogue means."""

    name: str
    kind: str
    direction: Literal["up", "down"]
    values: dict[str, str]


class ValidatedOut(Answer):
    """Whether a topic is valid and in the catalogue; `parsed` is null when it is not."""

    status: Literal["success"] = "success"
    topic: str
    is_valid: bool
    parsed: ParsedTopicOut | None
    validation_errors: list[str]


class TopicCountsOut(Answer):
    """The catalogue in numbers."""

    total_structures: int
    base_topic: str = topics.BASE


class MonitoringOut(Answer):
    """The listener, the catalogue, and the commands in each status."""

    connection_status: ConnectionOut
    topics: TopicCountsOut
    commands: dict[str, int]


class MqttMetricsOut(Answer):
    """Numbers for dashboards."""

    status: Literal["success"] = "success"
    timestamp: str
    metrics: MonitoringOut


class CredentialTopics(Answer):
    """Where a device publishes, and what it subscribes to."""

    telemetry_publish: str
    status_publish: str
    heartbeat_publish: str
    command_ack_publish: str = Field(description="{command_id} stands for the command's id")
    commands_subscribe: str
    config_subscribe: str


class Credentials(Answer):
    """How a device connects; the password is its key. A port is null when nothing listens there."""

    mqtt_host: str
    mqtt_port: int
    mqtt_tls_port: int | None
    mqtt_websocket_port: int
    client_id: str
    username: str
    anonymous_connection: bool
    authentication_note: str
    topics: CredentialTopics


class CredentialsOut(Answer):
    """How the calling device connects."""

    status: Literal["success"] = "success"
    credentials: Credentials


class ForwardedOut(Answer):
    """Telemetry that was accepted as if it had come under `topic`."""

    status: Literal["success"] = "success"
    message: str
    device_id: int
    device_name: str
    topic: str
    timestamp: str
    readings: int


class GoneOut(Answer):
    """An error, like every other."""

    error: str
    message: str
    code: str
    request_id: str


def topic_out(entry: Entry, path: str) -> TopicOut:
    """An entry of the catalogue; *path* is its pattern, with what is known filled in."""
    direction: Literal["up", "down"] = "up" if entry.up else "down"
    return TopicOut(
        name=entry.name,
        path=path,
        direction=direction,
        qos=entry.qos,
        retain=entry.retain,
        description=entry.description,
    )


def device_topics_out(device_id: int) -> DeviceTopicsOut:
    """The topics of a device; what is in braces is the device's to choose."""
    mine = [entry for entry in topics.CATALOGUE if "{device_id}" in entry.pattern]
    by_kind: dict[str, list[TopicOut]] = {}
    for entry in mine:
        path = entry.pattern.replace("{device_id}", str(device_id))
        by_kind.setdefault(entry.kind, []).append(topic_out(entry, path))
    return DeviceTopicsOut(device_id=device_id, topics=by_kind, total_topics=len(mine))


def credential_topics(device_id: int) -> CredentialTopics:
    """The topics that a device needs."""
    return CredentialTopics(
        telemetry_publish=topics.telemetry(device_id),
        status_publish=topics.status(device_id),
        heartbeat_publish=topics.status(device_id, "heartbeat"),
        command_ack_publish=topics.ack(device_id, "{command_id}"),
        commands_subscribe=topics.commands(device_id),
        config_subscribe=topics.config(device_id),
    )
