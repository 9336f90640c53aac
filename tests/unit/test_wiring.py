"""Which adapters the settings ask for; none of them is connected here."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.settings import Settings
from chalicelib.wiring import Services, services, use
from tests.builders import memory_services

MEMORY: dict[str, Any] = {"devices": "memory", "queue": "memory", "store": "memory"}
PORTS = ["devices", "credentials", "queue", "readings", "presence", "audit", "idempotency", "counters"]


def kinds(chosen: Services, ports: list[str]) -> dict[str, str]:
    return {port: type(getattr(chosen, port)).__name__ for port in ports}


def test_everything_may_live_in_memory() -> None:
    found = kinds(memory_services(), PORTS)
    assert all(kind.startswith("Memory") for kind in found.values()), found


def test_everything_is_embedded_by_default(tmp_path: Path) -> None:
    found = kinds(Services(Settings(data=tmp_path)), [*PORTS, "ungated_readings"])
    assert found.pop("readings") == "GatedReadings"
    assert all(kind.startswith("Sqlite") for kind in found.values()), found
    assert list(tmp_path.iterdir()) == [], "a constructor connects to nothing"


def test_redis_shares_limits_and_presence() -> None:
    shared = memory_services(redis_url="redis://localhost:1/0")
    assert kinds(shared, ["limiter", "presence"]) == {"limiter": "RedisLimiter", "presence": "RedisPresence"}
    assert kinds(memory_services(), ["limiter"]) == {"limiter": "MemoryLimiter"}


def test_all_records_may_live_in_dynamodb() -> None:
    chosen = Services(Settings(devices="dynamodb", table="records"))
    records = [port for port in PORTS if port not in {"queue", "readings"}]
    records += ["commands", "twins", "declarations", "broker_outbox", "limiter"]
    found = kinds(chosen, records)
    assert all(kind.startswith("Dynamo") for kind in found.values()), found
    with_redis = memory_services(devices="dynamodb", table="records", redis_url="redis://localhost:1/0")
    assert kinds(with_redis, ["limiter", "presence"]) == {"limiter": "RedisLimiter", "presence": "RedisPresence"}


def test_lease_of_the_bridge_lives_where_its_commits_can_be_bound_to_it() -> None:
    ports = ["lease", "inbox"]
    beside_sqlite = {"lease": "SqliteLease", "inbox": "SqliteInbox"}
    assert kinds(Services(Settings()), ports) == beside_sqlite
    assert kinds(Services(Settings(devices="dynamodb", table="records")), ports) == beside_sqlite
    with_sqs = Services(Settings(devices="dynamodb", table="records", queue="sqs", queue_url="http://127.0.0.1:1/0/q"))
    assert kinds(with_sqs, ports) == {"lease": "DynamoLease", "inbox": "PlainInbox"}


def test_what_lambda_prepares_connects_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets are off here; Lambda gives these variables."""
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "us-east-1")
    chosen = memory_services(devices="dynamodb", table="records")
    chosen.prepare()
    assert chosen._dynamodb.open() is chosen._dynamodb.open()
    chosen._dynamodb.close()
    memory_services().prepare()


def test_each_port_is_built_once() -> None:
    chosen = memory_services()
    assert all(getattr(chosen, port) is getattr(chosen, port) for port in PORTS)


def test_the_pepper_is_that_of_the_settings_or_made_once(tmp_path: Path) -> None:
    assert Services(Settings(pepper="x" * 16, data=tmp_path)).pepper == b"x" * 16
    made = Services(Settings(data=tmp_path)).pepper
    assert len(made) >= 16
    assert Services(Settings(data=tmp_path)).pepper == made


def test_limits_and_openness_follow_the_settings() -> None:
    chosen = memory_services(max_readings=7, stage="prod", enrollment_token="e")
    assert chosen.limits.readings == 7
    assert chosen.openness == (False, False, False, "e")
    assert memory_services().openness == (True, True, True, "")


def test_the_device_records_may_be_in_another_file(tmp_path: Path) -> None:
    chosen = Services(Settings(data=tmp_path / "data", devices_file=tmp_path / "records.db"))
    assert chosen.devices is not None
    chosen.devices.check()
    assert (tmp_path / "records.db").exists()


def test_memory_credentials_need_memory_devices(tmp_path: Path) -> None:
    mixed = Services(Settings(**MEMORY, data=tmp_path))
    mixed.devices = Services(Settings(data=tmp_path)).devices
    with pytest.raises(TypeError, match="memory credentials live beside memory devices"):
        _ = mixed.credentials


def test_a_replacement_holds_within_its_block() -> None:
    with use(memory_services()) as outer:
        assert services() is outer
        with use(memory_services()) as inner:
            assert services() is inner
        assert services() is outer


def test_services_are_made_from_the_environment_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTFLOW_DATA", str(tmp_path))
    earlier = list(wiring._current)
    wiring._current.clear()
    try:
        assert services() is services()
        assert services().settings.data == tmp_path
    finally:
        wiring._current[:] = earlier


def test_warming_builds_every_port() -> None:
    chosen = memory_services()
    chosen.warm()
    assert set(PORTS) <= set(vars(chosen))
