"""Declarations, and the description that follows from them."""

from typing import Any

import pytest
from pydantic import Field

from chalicelib import access, docs_page, openapi
from chalicelib.access import Access
from chalicelib.calls import Call
from chalicelib.declare import Answer, Body, Endpoint, Query, RateClass, Text, endpoint, leads_to, limit_key
from chalicelib.model import DEFAULT_TENANT, DeviceRef, Scope
from chalicelib.ports import Limit


class Thing(Answer):
    """A thing."""

    id: int


class Other(Answer):
    """Another thing."""

    name: str | None = None


class ThingBody(Body):
    """A thing to make."""

    name: str = Field(max_length=5, description="what it is called, as `x`")
    note: str | None = None


class ThingQuery(Query):
    """Which things."""

    limit: int = Field(10, le=100)
    search: str | None = None


def make_thing(call: Call, body: ThingBody) -> Thing:
    """Make a <thing>.

    It is made at once, with `body`.
    """
    raise NotImplementedError


def read_thing(call: Call, thing_id: int, word: str, query: ThingQuery) -> Thing | Other:
    """Read a thing."""
    raise NotImplementedError


def read_text(call: Call) -> Text:
    """Read text."""
    raise NotImplementedError


def declared(handler: Any, method: str, path: str, policy: Access, **options: Any) -> Endpoint:
    return endpoint(handler, method=method, path=path, access=policy, tag="Things", **options)


ENDPOINTS = [
    declared(
        make_thing,
        "POST",
        "/things",
        access.token(Scope.DEVICES_WRITE),
        status=201,
        errors=(409,),
        idempotent="answer",
        uses=["devices:add"],
        links=leads_to("read_thing", thing_id="$response.body#/id"),
    ),
    declared(read_thing, "GET", "/things/{thing_id}/{word}", access.READER, conditional=True),
    declared(read_text, "GET", "/text", access.ANYONE),
]


@pytest.fixture
def operations() -> dict[str, Any]:
    """Operations by id."""
    document = openapi.document(ENDPOINTS, open_pages=False)
    return {one["operationId"]: one for methods in document["paths"].values() for one in methods.values()}


def test_a_declaration_reads_itself_off_its_handler() -> None:
    made = ENDPOINTS[0]
    assert (made.name, made.summary) == ("make_thing", "Make a <thing>.")
    assert made.description == "It is made at once, with `body`."
    assert (made.body_model, made.query_model, made.returns) == (ThingBody, None, Thing)
    assert ENDPOINTS[1].parameters == {"thing_id": int, "word": str, "query": ThingQuery}


def test_every_status_that_can_come_is_described(operations: dict[str, Any]) -> None:
    assert set(operations["make_thing"]["responses"]) == {
        "201",
        "400",
        "401",
        "403",
        "409",
        "413",
        "415",
        "422",
        "429",
        "503",
    }
    assert set(operations["read_thing"]["responses"]) == {"200", "304", "400", "401", "403", "404", "429", "503"}
    assert set(operations["read_text"]["responses"]) == {"200", "429"}


def test_parameters_come_from_the_path_the_query_and_the_declaration(operations: dict[str, Any]) -> None:
    found = {one["name"]: one for one in operations["read_thing"]["parameters"]}
    assert [(one["in"], one["required"]) for one in found.values()] == [
        ("path", True),
        ("path", True),
        ("query", False),
        ("query", False),
    ]
    assert found["thing_id"]["schema"]["type"] == "integer"
    assert found["limit"]["schema"] == {"default": 10, "maximum": 100, "type": "integer"}
    assert found["search"]["schema"] == {"type": "string"}
    assert [one["name"] for one in operations["make_thing"]["parameters"]] == ["Idempotency-Key"]


def test_bodies_and_answers_refer_to_models(operations: dict[str, Any]) -> None:
    body = operations["make_thing"]["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"]["$ref"].endswith("/ThingBody")
    answers = operations["read_thing"]["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert [one["$ref"].rpartition("/")[2] for one in answers] == ["Thing", "Other"]
    assert operations["read_text"]["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}


def test_who_may_call_is_described(operations: dict[str, Any]) -> None:
    assert operations["make_thing"]["security"] == [{"token": []}]
    assert operations["make_thing"]["x-scope"] == "devices:write"
    assert operations["read_text"]["security"] == []
    assert {} not in operations["read_thing"]["security"]
    opened = openapi.document(ENDPOINTS, open_pages=True)["paths"]["/things/{thing_id}/{word}"]["get"]
    assert opened["security"][0] == {}


def test_links_name_their_operation(operations: dict[str, Any]) -> None:
    assert operations["make_thing"]["responses"]["201"]["links"] == {
        "read_thing": {"operationId": "read_thing", "parameters": {"thing_id": "$response.body#/id"}}
    }


def test_the_page_shows_every_endpoint_and_escapes_what_it_shows() -> None:
    page = docs_page.render(openapi.document(ENDPOINTS, open_pages=False))
    for text in ("/things/{thing_id}/{word}", "Make a &lt;thing&gt;.", "token (devices:write)", "<code>x</code>"):
        assert text in page, text
    assert "<thing>" not in page
    assert '-d \'{"name": "text"}\'' in page
    assert "Authorization: Bearer $TOKEN" in page


def test_a_limit_counts_a_device_or_an_address() -> None:
    by_device = RateClass("writes", "device", lambda _settings: Limit(1, 1))
    by_address = by_device._replace(by="address")
    device = DeviceRef(DEFAULT_TENANT, 7)
    assert limit_key(by_device, device, "192.0.2.1") == "writes:7"
    assert limit_key(by_device, None, "192.0.2.1") == "writes:192.0.2.1"
    assert limit_key(by_address, device, "192.0.2.1") == "writes:192.0.2.1"
