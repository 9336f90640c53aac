"""`up --aws`: the API, the gateway, the consumer and the scheduler on emulators of AWS's services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulators.recipes import DYNAMODB, ELASTICMQ
from infra.failure import Failure
from tests.api.client import Client
from tests.backends import absent
from tests.contract.eventually import eventually
from tests.e2e.instance import Instance, infra

PATIENCE_S = 60.0


@pytest.fixture(params=["elasticmq", "moto"])
def on_emulators(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    """A running instance."""
    if request.param == "elasticmq":
        try:
            ELASTICMQ.jars.resolve()
            DYNAMODB.jars.resolve()
        except Failure as missing:
            absent("elasticmq", str(missing))
    instance = Instance(tmp_path)
    try:
        instance.up("--aws", request.param)
        yield instance
        instance.down()
    finally:
        infra("emulators", "stop", "--data", str(tmp_path))


def test_a_reading_goes_through_sqs_and_the_ledger_of_dynamodb_knows_it(on_emulators: Instance) -> None:
    nobody = Client(on_emulators.url)
    made = nobody.post("/api/v1/devices/register", {"name": "pump", "device_type": "sensor"})
    client = nobody.with_key(made.json["device"]["api_key"])
    accepted = client.post("/api/v1/devices/telemetry", {"data": {"pressure": 3.25}})
    assert accepted.status == 201, accepted.body

    def ledger() -> dict[str, int]:
        found: dict[str, int] = nobody.with_token(on_emulators.token).get("/api/v1/telemetry/status").json["ledger"]
        return found

    assert eventually(lambda: ledger()["stored"] == 1, PATIENCE_S), ledger()
    assert ledger() == {
        "accepted": 1,
        "stored": 1,
        "queued": 0,
        "in_flight": 0,
        "dead_lettered": 0,
        "discarded": 0,
        "balanced": True,
    }
    assert [row["pressure"] for row in client.get("/api/v1/devices/telemetry").json["telemetry"]] == [3.25]
