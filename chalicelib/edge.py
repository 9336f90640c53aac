"""The app as API Gateway sees it: methods that every route has, and headers that every answer carries."""

from collections.abc import Mapping
from typing import Any

from chalice.app import Chalice

from chalicelib import answers
from chalicelib.calls import request_id
from chalicelib.errors import AppError, NotFound, WrongMethod
from chalicelib.wiring import services

EXPOSED = (
    "Content-Disposition, ETag, Idempotent-Replay, Link, Preference-Applied, RateLimit-Limit, RateLimit-Remaining, "
    "RateLimit-Reset, Retry-After, X-Next-Cursor, X-Request-Id"
)
ALLOWED = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer, X-API-Key, X-Enrollment-Token, X-Request-Id"
)
PREFLIGHT_S = 600
"""How long a browser may remember what it was allowed."""


class App(Chalice):
    """Chalice, with HEAD, OPTIONS and 405 in our words, and security and CORS headers on everything.

    Works on proxy events, so it behaves alike behind API Gateway, `chalice local` and our own front.
    """

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one proxy event."""
        methods = self.routes.get(event["requestContext"]["resourcePath"], {})
        method = event["requestContext"]["httpMethod"]
        if method in methods:
            return _finished(event, super().__call__(event, context))
        allow = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"}))
        if method == "HEAD" and "GET" in methods:
            response: dict[str, Any] = super().__call__(_as_get(event), context) | {"body": ""}
        elif method == "OPTIONS":
            response = _response(answers.Answer(204, "", {"Allow": allow, "Access-Control-Allow-Methods": allow}))
        else:
            message = f"{method} is not possible here; {allow} are"
            response = _refusal(event, WrongMethod(message, allow=allow))
        return _finished(event, response)

    def no_route(self, event: dict[str, Any]) -> dict[str, Any]:
        """The answer to a path that does not exist, for fronts that ask (API Gateway answers this one itself)."""
        message = "There is nothing at this path; /docs lists what there is"
        return _finished(event, _refusal(event, NotFound(message)))


def refusal(event: Mapping[str, Any], error: AppError) -> dict[str, Any]:
    """A proxy response for a failure that a front found before the app was called."""
    return _finished(event, _refusal(event, error))


def _as_get(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"httpMethod": "GET", "requestContext": event["requestContext"] | {"httpMethod": "GET"}}


def _headers(event: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def _id_of(event: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    return request_id(headers, event["requestContext"].get("requestId") or "")


def _refusal(event: Mapping[str, Any], error: AppError) -> dict[str, Any]:
    return _response(answers.of_error(error, _id_of(event, _headers(event))))


def _response(answer: answers.Answer) -> dict[str, Any]:
    return {
        "statusCode": answer.status,
        "headers": dict(answer.headers),
        "multiValueHeaders": {},
        "body": answer.body,
    }


def _finished(event: Mapping[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    asked = _headers(event)
    headers: dict[str, str] = {**answers.SECURITY, **response["headers"]}
    headers["X-Request-Id"] = _id_of(event, asked)
    if asked.get("x-forwarded-proto") == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    origins = services().settings.cors
    if origins:
        headers["Vary"] = "Origin"
        if asked.get("origin") in origins:
            headers["Access-Control-Allow-Origin"] = asked["origin"]
            headers["Access-Control-Allow-Headers"] = ALLOWED
            headers["Access-Control-Expose-Headers"] = EXPOSED
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
    response["headers"] = headers
    return response
