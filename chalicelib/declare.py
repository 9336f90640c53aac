"""What an endpoint declares of itself, and the registry of all declarations. No framework, no I/O.

Request validation, access, rate limits, error bodies, OpenAPI and the function's rights are derived from this.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict

from chalicelib.access import Access
from chalicelib.model import DeviceRef
from chalicelib.ports import Limit


class Body(BaseModel):
    """Base of request models. Administrators' typos are refused; device-facing models ignore unknown keys."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class DeviceBody(BaseModel):
    """Base of request models that devices send: unknown keys are ignored, old firmware sends many."""

    model_config = ConfigDict(extra="ignore", defer_build=True)


class Query(BaseModel):
    """Base of query strings; unknown parameters are refused, since a mistyped filter would widen the answer."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Answer(BaseModel):
    """Base of answers. They are built by our own code, so values are not checked again."""

    model_config = ConfigDict(defer_build=True, extra="forbid")


class Text(NamedTuple):
    """An answer that is not JSON."""

    content_type: str
    text: str


class RateClass(NamedTuple):
    """A named rate limit: by device, or by address for callers who are not known yet."""

    name: str
    by: str
    pick: Callable[[Any], Limit]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route and everything the platform must know about it.

    Attributes:
        name: The Lambda function and the operation id.
        uses: The ports the handler touches, as ``devices:get``; its IAM policy follows from them.
        limit: The rate limit beside the one by address, or None.
        inline: The handler never blocks: a local front may run it on its event loop.
        idempotent: ``answer`` replays the first answer under an Idempotency-Key, ``rerun`` lets the handler, which is
            deterministic then, run again; None ignores the header.
        payload_schema: JSON Schema of a body that the handler parses itself, with its content types.
        errors: Statuses beyond those that follow from the rest of the declaration.
        conditional: The answer carries an ETag, and If-None-Match is honoured.
        media_types: Of an answer that is `Text`.
        bulk: The body may be as large as a batch of readings.
        memory_mb: Of the endpoint's Lambda function; its share of a processor grows with it.
        timeout_s: After which Lambda gives a call up, at most 29, what API Gateway waits.
        links: Endpoints that take something out of this one's answer: by name, the parameters as OpenAPI runtime
            expressions.
    """

    name: str
    method: str
    path: str
    access: Access
    handler: Callable[..., Any]
    summary: str
    description: str
    tag: str
    uses: tuple[str, ...]
    status: int
    parameters: dict[str, type]
    returns: Any
    limit: RateClass | None = None
    inline: bool = False
    idempotent: str | None = None
    payload_schema: dict[str, Any] | None = None
    errors: tuple[int, ...] = ()
    conditional: bool = False
    media_types: tuple[str, ...] = ("text/plain",)
    bulk: bool = False
    memory_mb: int = 512
    timeout_s: int = 10
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def body_model(self) -> type[BaseModel] | None:
        """The model of the JSON body, if the endpoint takes one."""
        return self.parameters.get("body")

    @property
    def query_model(self) -> type[BaseModel] | None:
        """The model of the query string, if the endpoint takes one."""
        return self.parameters.get("query")


class Worker(NamedTuple):
    """A function that no route leads to, the queue's consumer or a schedule, and what the platform must know of it.

    `memory_mb`, `timeout_s` and `uses` are those of `Endpoint`, but it may take up to 900 seconds.
    """

    name: str
    uses: tuple[str, ...]
    memory_mb: int
    timeout_s: int


def leads_to(*names: str, **parameters: str) -> dict[str, dict[str, str]]:
    """Links to the endpoints *names*, each with these parameters as OpenAPI runtime expressions."""
    return {name: dict(parameters) for name in names}


def endpoint(
    handler: Callable[..., Any], *, method: str, path: str, access: Access, tag: str, **options: Any
) -> Endpoint:
    """Read the rest of the declaration off the handler: its name, its docstring, its parameters and its answer."""
    hints = get_type_hints(handler)
    returns = hints.pop("return")
    hints.pop("call", None)
    summary, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n\n")
    return Endpoint(
        name=handler.__name__,
        method=method,
        path=path,
        access=access,
        handler=handler,
        summary=summary.replace("\n", " "),
        description=description,
        tag=tag,
        uses=tuple(options.pop("uses", ())),
        status=options.pop("status", 200),
        parameters=hints,
        returns=returns,
        **options,
    )


def limit_key(rate: RateClass, device: DeviceRef | None, address: str) -> str:
    """The bucket of a call under *rate*."""
    return f"{rate.name}:{device.id}" if rate.by == "device" and device is not None else f"{rate.name}:{address}"
