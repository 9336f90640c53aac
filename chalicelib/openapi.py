"""OpenAPI 3.1 out of the declarations: nothing is described twice."""

import re
import types
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.access import Who
from chalicelib.declare import Endpoint, Text
from chalicelib.version import VERSION

REF = "#/components/schemas/{model}"
TITLES = {
    400: "The request cannot be accepted; `field` names what is wrong",
    401: "No credential, or one that is not valid",
    403: "Known, but not allowed",
    404: "No such thing, or not yours",
    405: "The path exists, the method does not",
    409: "Taken, or changed meanwhile",
    410: "Was here once, will not be again",
    413: "Over a size limit",
    415: "Not a content type this endpoint reads",
    422: "The idempotency key came with another body before",
    429: "Over a rate limit; Retry-After says when to come back",
    503: "A backend does not answer; Retry-After says when to try again",
}
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "short title"},
        "message": {"type": "string", "description": "one sentence"},
        "code": {"type": "string", "description": "machine word"},
        "request_id": {"type": "string"},
        "field": {"type": "string"},
        "limit": {"type": "string"},
        "retry_after": {"type": "integer", "description": "seconds"},
        "window": {"type": "integer", "description": "seconds"},
    },
    "required": ["error", "message", "code", "request_id"],
}
SECURITY_SCHEMES: dict[str, Any] = {
    "deviceKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "token": {"type": "http", "scheme": "bearer"},
    "enrollment": {"type": "apiKey", "in": "header", "name": "X-Enrollment-Token"},
}
SECURITY: dict[Who, list[dict[str, list[str]]]] = {
    Who.ANYONE: [],
    Who.ENROLLEE: [{}, {"enrollment": []}],
    Who.DEVICE: [{"deviceKey": []}],
    Who.READER: [{"deviceKey": []}, {"token": []}],
    Who.OWNER: [{"deviceKey": []}, {"token": []}],
    Who.OPERATOR: [{"token": []}],
    Who.TOKEN: [{"token": []}],
}


def document(endpoints: Sequence[Endpoint], *, open_pages: bool) -> dict[str, Any]:
    """The description of *endpoints*.

    Args:
        endpoints: All of them.
        open_pages: Whether operator pages and telemetry may be read without a credential where this runs.
    """
    models = {model for declared in endpoints for model in _models(declared)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, _mode(model, endpoints)) for model in ordered], ref_template=REF)
    schemas = {"Error": ERROR_SCHEMA, **definitions.get("$defs", {})}
    paths: dict[str, dict[str, Any]] = {}
    for declared in endpoints:
        paths.setdefault(declared.path, {})[declared.method.lower()] = _operation(declared, open_pages)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IoTFlow",
            "version": VERSION,
            "description": "Connectivity layer between devices and a time-series database.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SECURITY_SCHEMES},
    }


def _mode(model: type[BaseModel], endpoints: Iterable[Endpoint]) -> Any:
    inputs = {declared.body_model for declared in endpoints}
    return "validation" if model in inputs else "serialization"


def _models(declared: Endpoint) -> list[type[BaseModel]]:
    found = [*_alternatives(declared.returns), declared.body_model]
    return [model for model in found if isinstance(model, type) and issubclass(model, BaseModel)]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _operation(declared: Endpoint, open_pages: bool) -> dict[str, Any]:
    security = list(SECURITY[declared.access.who])
    if open_pages and declared.access.who in {Who.READER, Who.OPERATOR}:
        security.insert(0, {})
    operation: dict[str, Any] = {
        "operationId": declared.name,
        "summary": declared.summary,
        "tags": [declared.tag],
        "security": security,
        "responses": _responses(declared),
    }
    if declared.description:
        operation["description"] = declared.description
    if declared.access.scope:
        operation["x-scope"] = str(declared.access.scope)
    if parameters := _parameters(declared):
        operation["parameters"] = parameters
    if body := _request_body(declared):
        operation["requestBody"] = body
    return operation


def _parameters(declared: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name in re.findall(r"{(\w+)}", declared.path):
        whole = declared.parameters[name] is int
        schema = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1} if whole else {"type": "string"}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if declared.query_model is not None:
        asked = declared.query_model.model_json_schema(by_alias=True)
        required = set(asked.get("required", ()))
        for name, property_schema in asked["properties"].items():
            described = {key: value for key, value in property_schema.items() if key != "title"}
            parameters.append(
                {"name": name, "in": "query", "required": name in required, "schema": _without_null(described)}
            )
    if declared.idempotent:
        schema = {"type": "string", "pattern": "^[!-~]([ -~]{0,62}[!-~])?$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema})
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is absent rather than null."""
    choices = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}), **schema}


def _request_body(declared: Endpoint) -> dict[str, Any] | None:
    if declared.payload_schema is not None:
        return {"required": True, "content": declared.payload_schema}
    if declared.body_model is None:
        return None
    asked = declared.body_model.model_json_schema()
    required = "required" in asked or "anyOf" in asked
    reference = {"$ref": REF.format(model=declared.body_model.__name__)}
    return {"required": required, "content": {"application/json": {"schema": reference}}}


def _responses(declared: Endpoint) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done", **_content(declared)}
    if declared.links:
        done["links"] = {name: {"operationId": name, "parameters": given} for name, given in declared.links.items()}
    responses: dict[str, Any] = {str(declared.status): done}
    if declared.conditional:
        responses["304"] = {"description": "Not changed since the ETag in If-None-Match"}
    for status in sorted(_error_statuses(declared)):
        responses[str(status)] = {"description": TITLES[status], "content": _error_content(declared, status)}
    return responses


def _error_content(declared: Endpoint, status: int) -> dict[str, Any]:
    schemas: list[dict[str, Any]] = [{"$ref": REF.format(model="Error")}]
    if status == 503 and any(getattr(kind, "__name__", "") == "StatusOut" for kind in _alternatives(declared.returns)):
        schemas.append({"$ref": REF.format(model="StatusOut")})
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}


def _content(declared: Endpoint) -> dict[str, Any]:
    if declared.returns is Text:
        return {"content": {media_type: {"schema": {"type": "string"}} for media_type in declared.media_types}}
    references = [
        {"$ref": REF.format(model=kind.__name__)}
        for kind in _alternatives(declared.returns)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    schema: dict[str, Any] = {"anyOf": references} if len(references) > 1 else (references or [{"type": "object"}])[0]
    return {"content": {"application/json": {"schema": schema}}}


def _error_statuses(declared: Endpoint) -> set[int]:
    statuses = {429, *declared.errors}
    if declared.query_model or declared.body_model or declared.payload_schema:
        statuses |= {400}
    if declared.body_model or declared.payload_schema:
        statuses |= {413, 415}
    if "{" in declared.path:
        statuses |= {404}
    if declared.access.who is not Who.ANYONE:
        statuses |= {401, 403}
    if declared.uses or declared.access.who is not Who.ANYONE:
        statuses |= {503}
    if declared.idempotent:
        statuses |= {400, 422}
    return statuses
