"""Every Lambda function there is, from the declarations of endpoints and workers."""

from dataclasses import dataclass
from functools import cache

from chalicelib import api
from chalicelib.access import Who
from chalicelib.declare import Endpoint, Worker

EDGE = "api_handler"
"""Chalice's name for its catch-all: here it answers OPTIONS and methods that do not exist, and has no rights."""
NO_ENDPOINT = "app"
"""As ENDPOINT_MODULE: import no resource at all."""
LONGEST_CALL_S = 29
"""What API Gateway waits for an answer. Source: AWS, Amazon API Gateway quotas, integration timeout."""
LONGEST_RUN_S = 900

DEPLOYED = {
    "IOTFLOW_DEVICES": "dynamodb",
    "IOTFLOW_QUEUE": "sqs",
    "IOTFLOW_STORE": "iotdb",
    "IOTFLOW_MAX_RECEIVES": "50",
}
"""What is deployed keeps nothing in files. SQS counts a delivery also when the store was away: 50 are five hours."""

_EVERY_ENDPOINT = frozenset({"limiter:write", "counters:write"})
_IDENTIFIES = frozenset({"credentials:get", "devices:get", "audit:write"})


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function.

    Attributes:
        name: As chalice knows it; on AWS ``iotflow-STAGE-NAME``.
        module: The one resource that it imports, `NO_ENDPOINT`, or empty for all of them.
        uses: Every ``port:action`` it may touch.
    """

    name: str
    module: str
    uses: frozenset[str]
    memory_mb: int
    timeout_s: int

    def environment(self, stage: str) -> dict[str, str]:
        """Variables that every deployment of it has; `chalice local` has none of them."""
        return {**DEPLOYED, "IOTFLOW_STAGE": stage, **({"ENDPOINT_MODULE": self.module} if self.module else {})}


@cache
def functions() -> dict[str, Function]:
    """All functions by name.

    Raises:
        ValueError: Two have the same name, or one asks for more time than it can get.
    """
    from app import WORKERS  # app.py imports this package when chalice's command line imports app.py

    found = [Function(EDGE, "", frozenset(), memory_mb=512, timeout_s=10)]
    found += [_of_endpoint(declared, module) for module in api.MODULES for declared in api.resource(module).endpoints]
    found += [_of_worker(worker) for worker in WORKERS]
    named = {function.name: function for function in found}
    if len(named) < len(found):
        twice = sorted({each.name for each in found if [other.name for other in found].count(each.name) > 1})
        message = f"functions share a name: {', '.join(twice)}; rename the handler of one"
        raise ValueError(message)
    return named


def lambda_name(app_name: str, stage: str, name: str) -> str:
    """The function's name on AWS, as chalice forms it: the catch-all has no word of its own."""
    return f"{app_name}-{stage}" if name == EDGE else f"{app_name}-{stage}-{name}"


def rights_of(declared: Endpoint) -> frozenset[str]:
    """What an endpoint touches: what it declares, and what `http.respond` does for every endpoint of its kind."""
    implied = set(_EVERY_ENDPOINT)
    if declared.access.who is not Who.ANYONE:
        implied |= _IDENTIFIES
    if declared.idempotent is not None:
        implied.add("idempotency:write")
    return frozenset(declared.uses) | implied


def _of_endpoint(declared: Endpoint, module: str) -> Function:
    if declared.timeout_s > LONGEST_CALL_S:
        message = f"{declared.name} has timeout_s={declared.timeout_s}; API Gateway waits {LONGEST_CALL_S} seconds"
        raise ValueError(message)
    return Function(declared.name, module, rights_of(declared), declared.memory_mb, declared.timeout_s)


def _of_worker(worker: Worker) -> Function:
    if worker.timeout_s > LONGEST_RUN_S:
        message = f"{worker.name} has timeout_s={worker.timeout_s}; Lambda ends a run after {LONGEST_RUN_S} seconds"
        raise ValueError(message)
    return Function(worker.name, NO_ENDPOINT, frozenset(worker.uses), worker.memory_mb, worker.timeout_s)
