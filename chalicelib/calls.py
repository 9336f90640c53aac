"""One call of an endpoint, free of the web framework: what came in, who sent it, what goes out beside the body."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chalicelib import codec, keys
from chalicelib.access import ANONYMOUS, Presented, Principal, presented
from chalicelib.errors import Forbidden, InvalidInput, WrongType
from chalicelib.model import AuditEntry, Device
from chalicelib.ports import AuditLog
from chalicelib.strict_json import shown

Model = TypeVar("Model", bound=BaseModel)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LIMITS = ("le", "max_length", "ge", "min_length")
"""Where pydantic says which limit was passed."""
MAX_JSON_DEPTH = 8


@dataclass(slots=True)
class Call:
    """A call in progress.

    Attributes:
        now_ms: Server time of the call; of its first attempt when an idempotent call is repeated.
        headers: Request headers, names in lower case.
        address: Where the call came from; an IPv6 client counts as its /64.
        repeatable: Names the call's first attempt: caller, idempotency key, time and body; empty without a key.
        answer_headers: Go out with the answer.
        status: Of the answer, when it is not the declared one.
    """

    now_ms: int
    request_id: str
    headers: Mapping[str, str]
    address: str
    payload: bytes = b""
    principal: Principal = ANONYMOUS
    repeatable: str = ""
    answer_headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None

    @property
    def device(self) -> Device:
        """The calling device."""
        if self.principal.device is None:
            message = "This call is for devices: it needs a device's key"
            raise Forbidden(message, code="device_only")
        return self.principal.device

    @property
    def content_type(self) -> str:
        """The media type of the body as it was sent, parameters included; empty when none was."""
        return self.headers.get("content-type", "")

    @property
    def key_id(self) -> str:
        """The public id part of the caller's key."""
        parsed = keys.parse_key(self.presented.key)
        return parsed.id if parsed is not None else ""

    def audit(self, log: AuditLog, action: str, target: str, *, result: str = "done", detail: str = "") -> None:
        """Record what this call did."""
        who = self.principal
        log.append(AuditEntry(who.tenant, self.now_ms, who.name, action, target, result, self.address, detail))

    @property
    def presented(self) -> Presented:
        """The credential that came with the call."""
        headers = self.headers
        return presented(
            headers.get("x-api-key", ""), headers.get("authorization", ""), headers.get("x-enrollment-token", "")
        )


def request_id(headers: Mapping[str, str], made: str) -> str:
    """The caller's X-Request-Id if it is a plain word of up to 64 characters, else the one that the platform made."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else made


def network_of(address: str) -> str:
    """What rate limits count an address as: an IPv4 address itself, an IPv6 address by its /64."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        return address


def read_body(model: type[Model], call: Call, *, max_bytes: int) -> Model:
    """The JSON body as *model*; nothing at all counts as an empty object.

    Raises:
        InvalidInput: Not JSON, not an object, or a value is refused; `field` names it.
        WrongType: Another content type.
    """
    media_type = call.content_type.partition(";")[0].strip().lower()
    if call.payload and media_type not in {"", "application/json"} and not media_type.endswith("+json"):
        message = f"The body must be application/json, not {media_type[:60]}"
        raise WrongType(message, field="Content-Type")
    parsed = codec.parse_json(call.payload, max_bytes=max_bytes, max_depth=MAX_JSON_DEPTH) if call.payload else {}
    if not isinstance(parsed, dict):
        message = "The body must be a JSON object"
        raise InvalidInput(message, field="body")
    return checked(model, parsed)


def read_query(model: type[Model], values: Mapping[str, list[str]] | None) -> Model:
    """The query string as *model*.

    Raises:
        InvalidInput: Unknown, repeated or refused; `field` names the parameter.
    """
    single: dict[str, str] = {}
    for name, given in (values or {}).items():
        if len(given) > 1:
            message = f"{shown(name)} is given more than once"
            raise InvalidInput(message, field=shown(name))
        single[name] = given[0]
    return checked(model, single)


def checked(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Validate *values*; the first problem becomes an `InvalidInput` that names the field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = shown(".".join(str(part) for part in first["loc"] if part != "[key]")) or "body"
        text = first["msg"].removeprefix("Value error, ")
        message = f"{name}: {text}"
        limits = (first.get("ctx", {}).get(word) for word in _LIMITS)
        limit = next((str(found) for found in limits if found is not None), None)
        raise InvalidInput(message, field=name, limit=limit) from None
