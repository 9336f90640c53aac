"""Everything that can be set, from the environment, once, checked: an unknown IOTFLOW_ variable is an error.

Names without IOTFLOW_ are the predecessor's, or everybody's. `fields()` documents each for people and programs.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from chalicelib.variables import (
    Variable,
    between,
    boolean,
    broker_url,
    client_id,
    date_ms,
    iotdb_path,
    one_of,
    optional_boolean,
    optional_path,
    retention,
    secret,
    setting,
    sqlite_path,
    words,
)

NOT_OURS = frozenset(
    {"IOTFLOW_URL", "IOTFLOW_TEST_REQUIRE", "IOTFLOW_TEST_DEPLOYMENT", "IOTFLOW_READY_FD", "IOTFLOW_PARENT_FD"}
)
"""IOTFLOW_ variables that other programs of the project read: simulators, tests, the supervisor's children."""


class SettingsError(ValueError):
    """A setting that cannot be used; the text is one sentence that names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings with their defaults; `from_environment` reads them."""

    stage: str = setting(
        "IOTFLOW_STAGE",
        one_of("local", "dev", "prod"),
        "local",
        "local opens registration, bare reads and operator pages on loopback; dev and prod ask for credentials",
    )
    host: str = setting("HOST", str, "127.0.0.1", "address the HTTP front binds to")
    port: int = setting("PORT", between(0, 65_535), 5000, "port of the HTTP front; 0 takes a free one")
    data: Path = setting("IOTFLOW_DATA", Path, Path("var"), "folder of the embedded databases, logs and secrets")
    devices: str = setting(
        "IOTFLOW_DEVICES", one_of("sqlite", "dynamodb", "memory"), "sqlite", "where device records live"
    )
    queue: str = setting("IOTFLOW_QUEUE", one_of("sqlite", "sqs", "memory"), "sqlite", "where accepted readings wait")
    queue_url: str = setting("IOTFLOW_QUEUE_URL", str, "", "the SQS queue, for IOTFLOW_QUEUE=sqs")
    table: str = setting("IOTFLOW_TABLE", str, "", "the DynamoDB table of records, for whatever lives there")
    dead_letter_url: str = setting(
        "IOTFLOW_DEAD_LETTER_URL", str, "", "the queue of its redrive policy, for IOTFLOW_QUEUE=sqs"
    )
    store: str = setting("IOTFLOW_STORE", one_of("sqlite", "iotdb", "memory"), "sqlite", "where telemetry is stored")
    devices_file: Path | None = setting(
        "DATABASE_URL", sqlite_path, None, "sqlite:///PATH of the device records", shown="sqlite:///var/devices.db"
    )
    redis_url: str = setting(
        "REDIS_URL", str, "", "redis://HOST:6379/0 shares rate limits and presence between hosts", secret=True
    )
    pepper: str = setting(
        "IOTFLOW_PEPPER",
        secret(16),
        "",
        "secret under which keys are hashed, 16 characters at least; empty: made once in the data folder",
        secret=True,
    )
    pepper_secret: str = setting(
        "IOTFLOW_PEPPER_SECRET", str, "", "name or ARN of that secret in AWS Secrets Manager, read once by each process"
    )
    public_telemetry: bool | None = setting(
        "IOTFLOW_PUBLIC_TELEMETRY",
        optional_boolean,
        None,
        "true lets anybody read telemetry; auto: only in the local stage on loopback",
        shown="auto",
    )
    allow_public: bool = setting(
        "IOTFLOW_ALLOW_PUBLIC",
        boolean,
        False,
        "confirms public telemetry on an address others can reach",
        shown="false",
    )
    enrollment_token: str = setting(
        "IOTFLOW_ENROLLMENT_TOKEN",
        str,
        "",
        "what X-Enrollment-Token must carry to register; empty: open in the local stage, closed elsewhere",
        secret=True,
    )
    cors_origins: tuple[str, ...] = setting(
        "IOTFLOW_CORS_ORIGINS",
        words,
        (),
        "origins of browser pages that may call the API, comma-separated",
        shown="",
    )
    log_level: str = setting(
        "LOG_LEVEL", one_of("debug", "info", "warning", "error"), "info", "debug also logs every accepted reading"
    )
    log_format: str = setting(
        "IOTFLOW_LOG_FORMAT", one_of("auto", "json", "text"), "auto", "auto: text on a terminal, JSON lines elsewhere"
    )
    device_rate_per_minute: int = setting(
        "RATE_LIMIT_PER_MINUTE", between(1, 10_000_000), 1200, "writes a minute that one device may make"
    )
    device_burst: int = setting("IOTFLOW_DEVICE_BURST", between(1, 1_000_000), 200, "writes at once from one device")
    address_rate_per_minute: int = setting(
        "IOTFLOW_ADDRESS_RATE_PER_MINUTE",
        between(1, 100_000_000),
        600_000,
        "calls a minute from one address, before authentication",
    )
    failed_auth_per_minute: int = setting(
        "IOTFLOW_FAILED_AUTH_PER_MINUTE", between(1, 1_000_000), 60, "refused credentials a minute from one address"
    )
    registrations_per_minute: int = setting(
        "IOTFLOW_REGISTRATIONS_PER_MINUTE",
        between(1, 1_000_000),
        120,
        "registrations a minute from one address; as many at once",
    )
    max_body_bytes: int = setting(
        "IOTFLOW_MAX_BODY_BYTES", between(1024, 1_048_576), 65_536, "largest body of one reading, and of other calls"
    )
    max_batch_bytes: int = setting(
        "IOTFLOW_MAX_BATCH_BYTES", between(1024, 4_194_304), 1_048_576, "largest body of a batch of readings"
    )
    max_readings: int = setting("IOTFLOW_MAX_READINGS", between(1, 10_000), 1000, "readings in one request")
    max_measurements: int = setting("IOTFLOW_MAX_MEASUREMENTS", between(1, 1000), 256, "measurements in one reading")
    max_text_bytes: int = setting("IOTFLOW_MAX_TEXT_BYTES", between(1, 65_536), 4096, "length of one text value")
    oldest_ms: int = setting(
        "IOTFLOW_OLDEST_READING",
        date_ms,
        946_684_800_000,
        "readings from before this day are refused",
        shown="2000-01-01",
    )
    future_s: int = setting(
        "IOTFLOW_FUTURE_SECONDS", between(0, 31_536_000), 86_400, "how far ahead of the server a reading may be"
    )
    retention_days: tuple[tuple[str, int], ...] = setting(
        "IOTFLOW_RETENTION_DAYS",
        retention,
        (),
        "days telemetry is kept, and by device type: 365,camera=7; 0 or nothing keeps it",
        shown="",
    )
    visibility_s: int = setting(
        "IOTFLOW_VISIBILITY_SECONDS", between(1, 43_200), 30, "how long a message is hidden while it is being stored"
    )
    max_receives: int = setting(
        "IOTFLOW_MAX_RECEIVES", between(1, 1000), 5, "deliveries of a message before it is a dead letter"
    )
    mqtt_host: str = setting(
        "MQTT_HOST", str, "127.0.0.1", "address of the MQTT listeners, and what devices are told to connect to"
    )
    mqtt_port: int = setting("MQTT_PORT", between(0, 65_535), 1883, "port of MQTT without TLS; 0 takes a free one")
    mqtt_tls_port: int = setting(
        "MQTT_TLS_PORT", between(0, 65_535), 8883, "port of MQTT over TLS, with a certificate; 0 takes a free one"
    )
    mqtt_websocket_port: int = setting(
        "MQTT_WEBSOCKET_PORT", between(0, 65_535), 9001, "port of MQTT over WebSocket; 0 takes a free one"
    )
    mqtt_certificate: Path | None = setting(
        "MQTT_TLS_CERTIFICATE", optional_path, None, "PEM file of the certificate chain; opens the TLS port", shown=""
    )
    mqtt_private_key: Path | None = setting(
        "MQTT_TLS_PRIVATE_KEY", optional_path, None, "PEM file of the certificate's private key", shown=""
    )
    mqtt_connections_per_address: int = setting(
        "IOTFLOW_MQTT_CONNECTIONS_PER_ADDRESS",
        between(1, 1_000_000),
        20_000,
        "MQTT connections at once from one address; many devices may be behind one router",
    )
    mqtt_connections_per_device: int = setting(
        "IOTFLOW_MQTT_CONNECTIONS_PER_DEVICE", between(1, 10_000), 20, "MQTT connections at once of one device"
    )
    mqtt_connect_timeout_s: int = setting(
        "IOTFLOW_MQTT_CONNECT_TIMEOUT_SECONDS",
        between(1, 300),
        10,
        "how long an MQTT connection may take until its CONNECT, and a TLS or WebSocket handshake before it",
    )
    mqtt_legacy: bool = setting(
        "IOTFLOW_MQTT_LEGACY",
        boolean,
        False,
        "true lets MQTT clients without a key in, as the predecessor did; only in the local stage on loopback",
        shown="false",
    )
    broker_url: str = setting(
        "IOTFLOW_BROKER_URL",
        broker_url,
        "",
        "mqtt://HOST:PORT or mqtts://HOST:PORT of an MQTT 5 broker that devices connect to; empty: to the gateway",
    )
    broker_user: str = setting("IOTFLOW_BROKER_USER", str, "", "what the bridge signs in with at the broker")
    broker_password: str = setting("IOTFLOW_BROKER_PASSWORD", str, "", "its password", secret=True)
    broker_ca_file: str = setting(
        "IOTFLOW_BROKER_CA_FILE",
        str,
        "",
        "PEM file of the authorities that may vouch for an mqtts:// broker; empty: the system's",
    )
    bridge_client_id: str = setting(
        "IOTFLOW_BRIDGE_CLIENT_ID",
        client_id,
        "iotflow-bridge",
        "the bridge's client id at the broker, and the name of its lease: of the bridges with one id, one works",
    )
    broker_provisioner: str = setting(
        "IOTFLOW_BROKER_PROVISIONER",
        one_of("none", "dynsec", "passwords"),
        "none",
        "how the broker learns of devices and keys: Mosquitto's dynamic security or a password file; none: by itself",
    )
    broker_admin_user: str = setting(
        "IOTFLOW_BROKER_ADMIN_USER", str, "admin", "account of dynsec that may change accounts, at IOTFLOW_BROKER_URL"
    )
    broker_admin_password: str = setting("IOTFLOW_BROKER_ADMIN_PASSWORD", str, "", "its password", secret=True)
    broker_password_file: Path | None = setting(
        "IOTFLOW_BROKER_PASSWORD_FILE", optional_path, None, "Mosquitto's password_file, for passwords", shown=""
    )
    broker_reload: str = setting(
        "IOTFLOW_BROKER_RELOAD",
        str,
        "",
        "command after which Mosquitto has read the file again; empty: SIGHUP to the mosquitto.pid beside the file",
    )
    mqtt_gateway: bool | None = setting(
        "IOTFLOW_MQTT_GATEWAY",
        optional_boolean,
        None,
        "whether up serves MQTT itself; auto: without a broker. MQTT_HOST and the ports are the broker's otherwise",
        shown="auto",
    )
    iotdb_host: str = setting(
        "IOTDB_HOST", str, "localhost", "DataNode of IoTDB, or several HOST:PORT of one cluster, comma-separated"
    )
    iotdb_port: int = setting("IOTDB_PORT", between(1, 65_535), 6667, "port of hosts that are given without one")
    iotdb_user: str = setting("IOTDB_USER IOTDB_USERNAME", str, "root", "account that reads and writes telemetry")
    iotdb_password: str = setting("IOTDB_PASSWORD", str, "root", "its password", secret=True)
    iotdb_admin_user: str = setting(
        "IOTDB_ADMIN_USER",
        str,
        "",
        "administrator of IoTDB, used only to flush before deletes, for retention and to look at its settings",
        shown="",
    )
    iotdb_admin_password: str = setting("IOTDB_ADMIN_PASSWORD", str, "", "the administrator's password", secret=True)
    iotdb_database: str = setting(
        "IOTDB_DATABASE", iotdb_path, "root.iotflow", "path of the database, made by an administrator"
    )
    iotdb_tls: bool = setting("IOTDB_TLS", boolean, False, "true speaks TLS with IoTDB", shown="false")
    iotdb_ca_file: str = setting(
        "IOTDB_CA_FILE", str, "", "PEM file of the authorities that may vouch for IoTDB; empty: the system's", shown=""
    )

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service over HTTP."""
        return _is_loopback(self.host)

    @property
    def local(self) -> bool:
        """Whether operator pages are open: the local stage, bound to loopback."""
        return self.stage == "local" and self.on_loopback

    @property
    def telemetry_is_public(self) -> bool:
        """Whether telemetry may be read without a credential."""
        return self.local if self.public_telemetry is None else self.public_telemetry

    @property
    def registration_is_open(self) -> bool:
        """Whether a device may register without an enrolment token."""
        return self.stage == "local" and not self.enrollment_token

    @property
    def has_provisioner(self) -> bool:
        """Whether a broker is told of devices and keys."""
        return self.broker_provisioner != "none"

    @property
    def serves_mqtt(self) -> bool:
        """Whether the embedded gateway runs."""
        return not self.broker_url if self.mqtt_gateway is None else self.mqtt_gateway

    @property
    def cors(self) -> tuple[str, ...]:
        """Origins that may call; the predecessor's two in the local stage when nothing is set."""
        if self.cors_origins or self.stage != "local":
            return self.cors_origins
        return ("http://localhost:3000", "http://127.0.0.1:3000")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def variables() -> dict[str, Variable]:
    """Every setting's variable by field name, in the order of documentation."""
    return {item.name: item.metadata["variable"] for item in fields(Settings)}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: A value does not parse, a combination is refused, or an IOTFLOW_ name is unknown.
    """
    given: dict[str, Any] = {}
    known = set(NOT_OURS)
    for name, variable in variables().items():
        known.update(variable.names)
        found = next((key for key in variable.names if key in environment), None)
        if found is not None:
            try:
                given[name] = variable.parse(environment[found].strip())
            except ValueError as error:
                message = f"{found} {error}"
                raise SettingsError(message) from None
    for key in sorted(environment):
        if key.startswith("IOTFLOW_") and key not in known:
            message = f"{key} is not a setting of IoTFlow; .env.example lists them all"
            raise SettingsError(message)
    settings = Settings(**given)
    _refuse_open_doors(settings)
    _refuse_missing_places(settings)
    _refuse_half_a_provisioner(settings)
    return settings


def _refuse_open_doors(settings: Settings) -> None:
    if settings.public_telemetry and not settings.on_loopback and not settings.allow_public:
        message = (
            f"IOTFLOW_PUBLIC_TELEMETRY=true on {settings.host} would show everybody's telemetry to the network; "
            "set IOTFLOW_ALLOW_PUBLIC=true as well if that is meant"
        )
        raise SettingsError(message)
    if settings.mqtt_legacy and not (settings.local and _is_loopback(settings.mqtt_host)):
        message = (
            "IOTFLOW_MQTT_LEGACY=true lets anybody write: it works only in the local stage, "
            "with HOST and MQTT_HOST on loopback"
        )
        raise SettingsError(message)
    if settings.store == "iotdb" and not settings.local:
        given = {"IOTDB_PASSWORD": settings.iotdb_password, "IOTDB_ADMIN_PASSWORD": settings.iotdb_admin_password}
        for name, password in given.items():
            if password == "root":  # noqa: S105 - refused
                message = f"{name}=root is IoTDB's default: outside the local stage, use an account of your own"
                raise SettingsError(message)
    if (settings.mqtt_certificate is None) != (settings.mqtt_private_key is None):
        message = "MQTT_TLS_CERTIFICATE and MQTT_TLS_PRIVATE_KEY are given together, or neither"
        raise SettingsError(message)


def _refuse_missing_places(settings: Settings) -> None:
    if settings.devices == "dynamodb" and not settings.table:
        message = "IOTFLOW_DEVICES=dynamodb needs IOTFLOW_TABLE"
        raise SettingsError(message)
    if settings.queue == "sqs" and not (settings.queue_url and settings.dead_letter_url and settings.table):
        message = "IOTFLOW_QUEUE=sqs needs IOTFLOW_QUEUE_URL, IOTFLOW_DEAD_LETTER_URL and IOTFLOW_TABLE"
        raise SettingsError(message)


def _refuse_half_a_provisioner(settings: Settings) -> None:
    if settings.broker_provisioner == "passwords" and settings.broker_password_file is None:
        message = "IOTFLOW_BROKER_PROVISIONER=passwords needs IOTFLOW_BROKER_PASSWORD_FILE"
        raise SettingsError(message)
    if settings.broker_provisioner == "dynsec" and not (settings.broker_url and settings.broker_admin_password):
        message = "IOTFLOW_BROKER_PROVISIONER=dynsec needs IOTFLOW_BROKER_URL and IOTFLOW_BROKER_ADMIN_PASSWORD"
        raise SettingsError(message)
