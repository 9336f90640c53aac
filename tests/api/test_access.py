"""Every route, every kind of caller, every kind of id, in the local stage and in production."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app import app
from chalicelib import api
from chalicelib.access import Access, Who
from chalicelib.http import endpoint_of
from chalicelib.model import DeviceRef, Reading, Scope
from tests.api.access_table import CALLERS, DEAD, IDS, SCOPES, TABLE, Row, expected
from tests.api.client import Answer, Client
from tests.api.service import RegisteredDevice, Service, now_ms, running

ENROLLMENT = "an enrolment token"
ABSENT = 999_999_999
BY_ROUTE = [pytest.param(row, id=f"{row.method} {row.path}") for row in TABLE]


@pytest.fixture(scope="module", params=["local", "prod"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in that stage."""
    variables = {"IOTFLOW_STAGE": request.param}
    if request.param == "prod":
        variables["IOTFLOW_ENROLLMENT_TOKEN"] = ENROLLMENT
    with running(tmp_path_factory.mktemp(request.param), consume=False, **variables) as one:
        yield one


class Cast:
    """Callers of every kind; devices are made anew for each call, since some calls remove them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.own = self.with_reading()
        self.other = self.with_reading()
        nobody = service.nobody
        self.clients: dict[str, Client] = {scope: nobody.with_token(service.token(Scope(scope))) for scope in SCOPES}
        revoked = service.device()
        service.records.credentials.remove("default", revoked.key.split("_")[2])
        inactive = service.device()
        service.admin.put(f"/api/v1/admin/devices/{inactive.id}/status", {"status": "inactive"})
        self.clients |= {
            "nobody": nobody,
            "enrollee": nobody.having(X_Enrollment_Token=ENROLLMENT),
            "inactive device": inactive.client,
            "revoked key": revoked.client,
            "expired token": nobody.with_token(service.token(Scope.ADMIN, expires_ms=now_ms() - 1)),
            "mistyped key": nobody.with_key(mistyped(self.own.key)),
        }

    def with_reading(self) -> RegisteredDevice:
        """A device that has telemetry."""
        device = self.service.device()
        self.service.records.readings.write([Reading(DeviceRef("default", device.id), now_ms(), {"t": 1})])
        return device

    def call(self, row: Row, caller: str, whose: str) -> Answer:
        """Call *row* as *caller*."""
        if row.method == "DELETE" or "rotate" in row.path or "keys" in row.path:
            self.own, self.other = self.with_reading(), self.with_reading()
        client = {"own device": self.own.client, "other device": self.other.client}.get(caller) or self.clients[caller]
        target = {"own": self.own, "foreign": self.other}.get(whose)
        path = row.path.format(
            device_id=target.id if target else ABSENT,
            key_id=target.key.split("_")[2] if target else "x",
            letter_id="absent",
            token_id="absent",
            command_id="absent",
            group_id="absent",
            device_type="absent",
        )
        return client.call(row.method, path, row.body)


def mistyped(key: str) -> str:
    """The key with one character of its secret changed."""
    return key[:-10] + ("a" if key[-10] != "a" else "b") + key[-9:]


@pytest.fixture(scope="module")
def cast(stage: Service) -> Cast:
    """Who calls the service of that stage."""
    return Cast(stage)


@pytest.mark.parametrize("row", BY_ROUTE)
def test_everybody_gets_what_the_contract_says(cast: Cast, stage: Service, row: Row) -> None:
    local = "prod" not in stage.data.name
    for caller in CALLERS:
        for whose in IDS if "{device_id}" in row.path else ("",):
            answer = cast.call(row, caller, whose)
            wanted = expected(row, caller, whose, local=local)
            assert answer.status == wanted, f"{caller}, {whose} id: {answer.body.decode()}"
            assert ("www-authenticate" in answer.headers) == (wanted == 401)


@pytest.mark.parametrize("row", [row for row in BY_ROUTE if "{device_id}" in row.values[0].path])  # type: ignore[union-attr]
def test_somebody_elses_device_looks_like_none(cast: Cast, row: Row) -> None:
    """Byte by byte, the request id aside."""
    for caller in ("own device", "nobody", *DEAD):
        foreign, absent = (cast.call(row, caller, whose) for whose in ("foreign", "absent"))
        if caller == "nobody" and foreign.status == 200:
            continue  # in the local stage nobody is a reader, to whom every device is visible
        assert without_id(foreign) == without_id(absent), caller


def without_id(answer: Answer) -> tuple[int, Any, dict[str, str]]:
    """What a caller can see of an answer."""
    text = re.sub(rb'"request_id": ?"[^"]*"', b"", answer.body)
    differing = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}
    headers = {name: value for name, value in answer.headers.items() if name not in differing}
    return answer.status, text, headers


def test_the_table_has_every_route_and_no_other() -> None:
    declared = {(endpoint.method, endpoint.path) for endpoint in api.endpoints()}
    assert declared == {(row.method, row.path) for row in TABLE} - {("GET", "/health?detailed=true")}


def test_every_route_of_the_app_declares_who_may_call_it() -> None:
    views = [entry.view_function for methods in app.routes.values() for entry in methods.values()]
    assert len(views) == len(api.endpoints())
    for view in views:
        declared = endpoint_of(view)
        assert isinstance(declared.access, Access)
        assert isinstance(declared.access.who, Who)
        assert (declared.access.scope is not None) == (declared.access.who in {Who.READER, Who.OWNER, Who.TOKEN})


def test_an_enrolment_token_must_be_the_right_one(stage: Service) -> None:
    body = {"name": "enrolled", "device_type": "sensor"}
    if stage.data.name.startswith("local"):
        assert stage.nobody.post("/api/v1/devices/register", {**body, "name": "free"}).status == 201
        return
    for wrong in ("", "wrong", ENROLLMENT + " x", "\u00e9"):
        answer = stage.nobody.post("/api/v1/devices/register", body, X_Enrollment_Token=wrong)
        assert (answer.status, answer.json["field"]) == (401, "X-Enrollment-Token")
    assert stage.nobody.post("/api/v1/devices/register", body, X_Enrollment_Token=ENROLLMENT).status == 201


def test_nonsense_for_a_credential_is_401(stage: Service) -> None:
    words = ["Bearer", "Bearer ", "bearer x", "Basic YTpi", "admin", "Token x", "Bearer \xe9", "Bearer a b", "x" * 5000]
    for name, word in itertools.product(("Authorization", "X-API-Key"), words):
        answer = stage.nobody.having(**{name: word}).get("/api/v1/devices/status")
        assert (answer.status, "www-authenticate" in answer.headers) == (401, True)


def test_a_credential_may_be_written_in_either_way(stage: Service) -> None:
    device, token = stage.device(), stage.token(Scope.ADMIN)
    for client in (
        stage.nobody.with_key(device.key),
        stage.nobody.with_key(f" {device.key} "),
        stage.nobody.with_token(device.key),
    ):
        assert client.get("/api/v1/devices/status").status == 200
    for word in ("Bearer", "bearer", "admin", "Admin"):
        assert stage.nobody.get("/api/v1/admin/stats", Authorization=f"{word} {token}").status == 200


def test_a_refused_key_closes_what_is_open_to_nobody(stage: Service) -> None:
    """A device with a revoked key must learn of it, also where it could read without one."""
    device = stage.device()
    client = stage.nobody.with_key(mistyped(device.key))
    assert client.get(f"/api/v1/telemetry/{device.id}").status == 401
    assert client.get("/status").status == 401
