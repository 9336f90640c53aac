"""Answers that API Gateway gives without asking us, in the shape of ours.

Our own functions decide per call which origin may read an answer. Here it is every origin: these texts hold nothing
that belongs to anybody, and a page that may not read an error shows its user a riddle.
"""

import json
from typing import Any

from chalicelib import answers
from chalicelib.errors import AppError, Forbidden, NotFound, TooLarge, TooMany, Unauthorized, Unavailable, WrongType

REQUEST_ID = "$context.requestId"
_OWN: dict[str, AppError] = {
    "MISSING_AUTHENTICATION_TOKEN": NotFound("There is nothing at this path; /docs lists what there is"),
    "RESOURCE_NOT_FOUND": NotFound("There is nothing at this path; /docs lists what there is"),
    "REQUEST_TOO_LARGE": TooLarge("The body is larger than 10 MB", field="body", limit="10 MB"),
    "UNSUPPORTED_MEDIA_TYPE": WrongType("The content type is not one that this call reads", field="Content-Type"),
    "THROTTLED": TooMany("Too many requests; slow down", retry_after_s=1),
    "QUOTA_EXCEEDED": TooMany("Too many requests today", retry_after_s=3600),
    "UNAUTHORIZED": Unauthorized("The credential is not valid"),
    "ACCESS_DENIED": Forbidden("This is not allowed"),
    "WAF_FILTERED": Forbidden("This is not allowed"),
    "INTEGRATION_TIMEOUT": Unavailable("The call took too long"),
    "INTEGRATION_FAILURE": Unavailable("The service cannot be reached"),
}
"""Response type -> what our taxonomy says to it. Source: AWS, Gateway response types for API Gateway."""


def responses() -> dict[str, Any]:
    """The value of ``x-amazon-apigateway-gateway-responses``."""
    own = {kind: _response(answers.of_error(error, REQUEST_ID), fixed=True) for kind, error in _OWN.items()}
    refused = answers.Answer(400, _refused_body())
    return {
        **own,
        "DEFAULT_4XX": _response(refused, fixed=False),
        "DEFAULT_5XX": _response(answers.of_bug(REQUEST_ID), fixed=False),
    }


def _refused_body() -> str:
    body = {"error": "Invalid input", "message": "The request is refused", "code": "invalid_input"}
    return json.dumps({**body, "request_id": REQUEST_ID})


def _response(answer: answers.Answer, *, fixed: bool) -> dict[str, Any]:
    """With *fixed*, the status is ours; else it stays what API Gateway chose among the 4XX or 5XX."""
    headers = {**answer.headers, **answers.SECURITY, "Access-Control-Allow-Origin": "*"}
    literals = {  # a literal cannot hold a quote; the content type goes with the template
        f"gatewayresponse.header.{name}": f"'{value}'"
        for name, value in headers.items()
        if "'" not in value and name != "Content-Type"
    }
    return {
        **({"statusCode": str(answer.status)} if fixed else {}),
        "responseParameters": literals,
        "responseTemplates": {"application/json": answer.body},
    }
