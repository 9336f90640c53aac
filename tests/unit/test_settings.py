"""Settings: what is understood, what is refused, and that each is documented."""

from pathlib import Path

import pytest

from chalicelib.settings import Settings, SettingsError, from_environment, variables
from infra.bootstrap import ROOT
from infra.commands.settings import documentation
from infra.environment import read_env_file

EXAMPLE = ROOT / ".env.example"


def test_env_example_is_what_the_settings_verb_prints() -> None:
    """Fails when a setting is added, renamed or reworded: python3 -m infra settings > .env.example."""
    assert EXAMPLE.read_text(encoding="utf-8") == documentation()


def test_env_example_documents_every_variable_with_its_sentence() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for variable in variables().values():
        assert variable.doc, variable.names
        assert f"# {variable.doc}\n" in text
        assert f"\n# {variable.names[0]}={variable.default}\n" in text


def test_env_example_changes_nothing_when_it_is_copied_as_it_is() -> None:
    assert read_env_file(EXAMPLE) == {}


@pytest.mark.parametrize("field", sorted(set(variables()) - {"devices_file"}))
def test_documented_default_is_the_default(field: str) -> None:
    """The exception is DATABASE_URL: its default follows the data directory."""
    variable = variables()[field]
    assert variable.parse(variable.default) == getattr(Settings(), field)


def test_example_with_every_line_switched_on_is_understood(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    names = {f"# {variable.names[0]}=" for variable in variables().values()}
    file.write_text("\n".join(line[2:] for line in lines if line.startswith(tuple(names))))
    given = read_env_file(file)
    assert len(given) == len(variables())
    settings = from_environment(given)
    assert settings.devices_file == Path("var/devices.db")
    assert settings.port == 5000


def test_env_example_tells_the_values_a_setting_takes() -> None:
    text = documentation()
    assert "must be one of debug, info, warning, error\n# LOG_LEVEL=info" in text
    assert "must be a whole number from 0 to 65535\n# PORT=5000" in text
    assert "a secret: chmod 600 .env\n# IOTFLOW_PEPPER=" in text


PREDECESSORS = {
    "HOST": "127.0.0.2",
    "PORT": "5001",
    "LOG_LEVEL": "DEBUG",
    "REDIS_URL": "redis://localhost:6379/0",
    "DATABASE_URL": "sqlite:///iotflow.db",
    "RATE_LIMIT_PER_MINUTE": "60",
    "IOTDB_HOST": "iotdb",
    "IOTDB_PORT": "6668",
    "IOTDB_USER": "root",
    "IOTDB_USERNAME": "root",
    "IOTDB_PASSWORD": "root",
    "IOTDB_DATABASE": "root.plant",
    "MQTT_HOST": "mosquitto",
    "MQTT_PORT": "1883",
}


def test_names_of_the_predecessor_are_understood() -> None:
    settings = from_environment(PREDECESSORS)
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.2", 5001, "debug")
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.devices_file == Path("iotflow.db")
    assert settings.device_rate_per_minute == 60
    assert (settings.iotdb_host, settings.iotdb_port, settings.iotdb_database) == ("iotdb", 6668, "root.plant")


@pytest.mark.parametrize("name", sorted(PREDECESSORS))
def test_name_of_the_predecessor_is_no_error_alone(name: str) -> None:
    from_environment({name: PREDECESSORS[name]})


def test_nothing_set_gives_the_defaults() -> None:
    assert from_environment({}) == Settings()
    assert from_environment({"PATH": "/bin", "HOME": "/"}) == Settings()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PORT": "many"}, "PORT must be a whole number from 0 to 65535"),
        ({"PORT": "65536"}, "PORT must be a whole number from 0 to 65535"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be one of debug, info, warning, error"),
        ({"DATABASE_URL": "postgresql://db/iotflow"}, "DATABASE_URL must be sqlite:///PATH"),
        ({"IOTFLOW_RETENTION_DAYS": "camera=week"}, "IOTFLOW_RETENTION_DAYS must be a whole number"),
        ({"IOTFLOW_OLDEST_READING": "yesterday"}, "IOTFLOW_OLDEST_READING must be a date like 2000-01-01"),
        ({"IOTFLOW_BROKER_URL": "mqtt://user:key@broker:1883"}, "IOTFLOW_BROKER_URL must be mqtt://HOST:PORT"),
        ({"IOTFLOW_BROKER_URL": "broker:1883"}, "IOTFLOW_BROKER_URL must be mqtt://HOST:PORT"),
        ({"IOTFLOW_BROKER_PROVISIONER": "passwords"}, "IOTFLOW_BROKER_PROVISIONER=passwords needs IOTFLOW_BROKER_P"),
        ({"IOTFLOW_BROKER_PROVISIONER": "dynsec"}, "IOTFLOW_BROKER_PROVISIONER=dynsec needs IOTFLOW_BROKER_URL and"),
        ({"IOTFLOW_BRIDGE_CLIENT_ID": "a/b"}, "IOTFLOW_BRIDGE_CLIENT_ID must have 1 to 64 letters"),
        ({"IOTFLOW_STORRE": "sqlite"}, "IOTFLOW_STORRE is not a setting of IoTFlow; .env.example lists them all"),
        (
            {"HOST": "0.0.0.0", "IOTFLOW_PUBLIC_TELEMETRY": "true"},  # noqa: S104 - never bound
            "IOTFLOW_PUBLIC_TELEMETRY=true on 0.0.0.0 would show everybody's telemetry to the network",
        ),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_setting_that_cannot_be_used_is_one_sentence_that_names_it(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment(environment)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_gateway_makes_room_for_a_broker_unless_it_is_asked_for() -> None:
    broker = {"IOTFLOW_BROKER_URL": "mqtts://broker.example:8883"}
    assert from_environment({}).serves_mqtt
    assert not from_environment(broker).serves_mqtt
    assert from_environment(broker | {"IOTFLOW_MQTT_GATEWAY": "true"}).serves_mqtt


def test_public_telemetry_on_the_network_needs_a_confirmation() -> None:
    environment = {"HOST": "192.0.2.1", "IOTFLOW_PUBLIC_TELEMETRY": "true", "IOTFLOW_ALLOW_PUBLIC": "true"}
    assert from_environment(environment).telemetry_is_public


def test_secrets_are_not_shown_by_repr() -> None:
    settings = from_environment(
        {
            "REDIS_URL": "redis://:hunter2@h",
            "IOTFLOW_PEPPER": "hunter2 hunter2 hunter2",
            "IOTFLOW_ENROLLMENT_TOKEN": "hunter2",
        }
    )
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "local", "public", "registration"),
    [
        ({}, True, True, True),
        ({"HOST": "localhost"}, True, True, True),
        ({"HOST": "::1"}, True, True, True),
        ({"HOST": "192.0.2.1"}, False, False, True),
        ({"HOST": "iot.example"}, False, False, True),
        ({"IOTFLOW_STAGE": "prod"}, False, False, False),
        ({"IOTFLOW_PUBLIC_TELEMETRY": "false"}, True, False, True),
        ({"IOTFLOW_ENROLLMENT_TOKEN": "t"}, True, True, False),
    ],
    ids=str,
)
def test_stage_and_address_decide_what_is_open(
    environment: dict[str, str], local: bool, public: bool, registration: bool
) -> None:
    settings = from_environment(environment)
    assert (settings.local, settings.telemetry_is_public, settings.registration_is_open) == (
        local,
        public,
        registration,
    )


def test_browsers_may_call_from_the_predecessors_pages_in_the_local_stage_only() -> None:
    assert "http://localhost:3000" in from_environment({}).cors
    assert from_environment({"IOTFLOW_STAGE": "prod"}).cors == ()
    assert from_environment({"IOTFLOW_CORS_ORIGINS": "https://a.example, https://b.example"}).cors == (
        "https://a.example",
        "https://b.example",
    )


def test_retention_has_a_rule_for_all_and_rules_by_type() -> None:
    assert from_environment({"IOTFLOW_RETENTION_DAYS": "365, camera=7"}).retention_days == (("", 365), ("camera", 7))


def test_a_pepper_that_can_be_guessed_is_refused() -> None:
    """Keys are hashed under it; the message must not show it."""
    with pytest.raises(SettingsError, match="IOTFLOW_PEPPER must have at least 16 characters") as refusal:
        from_environment({"IOTFLOW_PEPPER": "0123456789abcde"})
    assert "0123" not in str(refusal.value)
    assert from_environment({"IOTFLOW_PEPPER": "0123456789abcdef"}).pepper == "0123456789abcdef"
    assert from_environment({"IOTFLOW_PEPPER": ""}).pepper == ""


@pytest.mark.parametrize("name", ["IOTDB_PASSWORD", "IOTDB_ADMIN_PASSWORD"])
def test_default_password_of_iotdb_is_refused_outside_the_local_stage(name: str) -> None:
    given = {"IOTFLOW_STORE": "iotdb", "IOTDB_PASSWORD": "chosen-by-us", name: "root"}
    assert from_environment(given).store == "iotdb"
    with pytest.raises(SettingsError, match=f"{name}=root is IoTDB's default"):
        from_environment({**given, "IOTFLOW_STAGE": "prod"})
