"""Checks of the service and what it talks to: Redis, the port, a running instance, the queue, tokens."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any, NamedTuple

from chalicelib.adapters.redis_connection import RedisConnection
from chalicelib.errors import Unavailable
from chalicelib.model import DEFAULT_TENANT, CredentialKind, Ledger
from chalicelib.ports import CredentialRepository
from infra.doctor.finding import Finding, ok, warning, wrong
from infra.failure import Failure
from infra.supervisor.child import State
from infra.supervisor.folder import InstanceState
from infra.supervisor.sockets import listen

TIMEOUT_S = 5.0
OLD_S = 60.0
LOGS = "python3 -m infra logs"


class Reply(NamedTuple):
    """What a URL answered; status 0 when nothing did."""

    status: int
    body: Any


def redis(url: str) -> Finding:
    """Whether Redis answers at *url*, which is never shown: it may hold a password."""
    remedy = "start Redis there, correct REDIS_URL, or unset it; without it, limits are each process's own"
    try:
        connection = RedisConnection(url, purpose="doctor")
    except ValueError as error:
        return wrong("redis", str(error), "write redis://HOST:6379/0")
    try:
        connection.check()
    except Unavailable:
        return wrong("redis", "Redis does not answer at REDIS_URL", remedy)
    finally:
        connection.close()
    return ok("redis", "Redis answers at REDIS_URL")


def port(host: str, number: int) -> Finding:
    """Whether the front could listen now."""
    try:
        listen(host, number).close()
    except Failure as failure:
        return wrong("port", str(failure), "python3 -m infra up --port NUMBER")
    return ok("port", f"{number} on {host} is free")


def processes(state: InstanceState) -> Iterator[Finding]:
    """Whether every process of a running instance runs, and always did."""
    for process in state.processes:
        if process.state != State.RUNNING:
            sentence = f"{process.name} is {process.state}, its last end was {process.last_exit or 'none'}"
            yield wrong("processes", sentence, f"{LOGS} {process.name}")
        elif process.restarts:
            sentence = (
                f"{process.name} was started again {process.restarts} times, its last end was {process.last_exit}"
            )
            yield warning("processes", sentence, f"{LOGS} {process.name}")
        else:
            yield ok("processes", f"{process.name} runs, process {process.pid}")


def answers(url: str, fetch: Callable[[str], Reply]) -> Iterator[Finding]:
    """Whether a running instance and its backends answer; where /status is closed, /health has to do."""
    reply = fetch(f"{url}/status")
    if reply.status in (401, 403):
        health = fetch(f"{url}/health")
        if health.status == 200:
            yield ok("service", f"{url}/health answers; /status wants a token here")
            return
        reply = health
    if reply.status not in (200, 503) or not isinstance(reply.body, dict):
        what = f"answers {reply.status}" if reply.status else "does not answer"
        yield wrong("service", f"{url} {what}", f"{LOGS} front")
        return
    for name in reply.body.get("failed_checks", []):
        yield wrong("service", f"{name} does not answer the service", f"{LOGS} front")
    if reply.body.get("status") == "healthy":
        yield ok("service", f"{url}/status says healthy")


def queue(ledger: Ledger, oldest_age_s: float, *, running: bool) -> Iterator[Finding]:
    """Whether readings flow, and whether any wait for an operator."""
    if ledger.dead_lettered:
        sentence = f"{ledger.dead_lettered} readings are dead letters: they could not be stored"
        yield warning("queue", sentence, "GET /api/v1/admin/dead-letters tells why; replay or discard them there")
    if running and oldest_age_s > OLD_S:
        sentence = f"the oldest reading has waited {oldest_age_s:.0f} s to be stored"
        yield warning("queue", sentence, f"{LOGS} consumer")
    if not ledger.balanced:
        yield wrong(
            "queue", "the ledger does not balance, which cannot happen", "keep the data directory and report it"
        )
    yield ok("queue", f"{ledger.accepted} readings accepted, {ledger.stored} stored, {ledger.queued} waiting")


def administrator(credentials: CredentialRepository, now_ms: int) -> Finding:
    """Whether anybody may administer."""
    tokens = credentials.of_kind(DEFAULT_TENANT, CredentialKind.TOKEN)
    living = sum(token.alive(now_ms) and "admin" in token.scopes for token in tokens)
    if not living:
        return warning("tokens", "there is no administrator's token", "python3 -m infra create-admin")
    return ok("tokens", f"{living} administrator's token{'s' if living > 1 else ''}")


def fetch(url: str) -> Reply:
    """GET a URL of this machine, past any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            return Reply(answer.status, _json(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, _json(error.read()))
    except (OSError, HTTPException):
        return Reply(0, None)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
