"""What the service says of itself: health, metrics, its own description."""

from typing import Any, Literal

from pydantic import Field

from chalicelib import access, docs_page, openapi, status, times
from chalicelib.admission import require
from chalicelib.api import endpoints, telemetry_shapes
from chalicelib.calls import Call
from chalicelib.declare import Answer, Query, Text
from chalicelib.errors import Unavailable
from chalicelib.http import Resource
from chalicelib.version import VERSION
from chalicelib.wiring import Services, services

resource = Resource(__name__, prefix="", tag="System")
VITAL = frozenset({"database", "queue"})
FLEET = ("devices:list", "queue:read", "presence:list")
CHECKS = (*FLEET, "devices:get", "presence:check", "readings:read")


class RootOut(Answer):
    """Where things are."""

    name: str = "IoTFlow"
    version: str = VERSION
    description: str = "Connectivity layer between devices and a time-series database"
    endpoints: dict[str, str] = Field(
        default_factory=lambda: {
            "health": "/health",
            "devices": "/api/v1/devices",
            "telemetry": "/api/v1/telemetry",
            "admin": "/api/v1/admin",
            "openapi": "/openapi.json",
            "metrics": "/metrics",
        }
    )
    documentation: str = "/docs"


class HealthQuery(Query):
    """How much to tell."""

    detailed: bool = False


class HealthOut(Answer):
    """The process can serve."""

    status: Literal["healthy"] = "healthy"
    message: str = "IoTFlow is running"
    version: str = VERSION


class CheckOut(Answer):
    """One backend."""

    healthy: bool
    response_time_ms: float
    status: Literal["healthy", "unhealthy"]
    error: str | None


class StatusOut(Answer):
    """Every backend was asked."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: str
    version: str = VERSION
    failed_checks: list[str]
    warnings: list[str]
    checks: dict[str, CheckOut]
    metrics: dict[str, Any]


@resource.get("/", access=access.ANYONE)
def read_root(call: Call) -> RootOut:  # noqa: ARG001 - every handler takes the call
    """Name, version and links."""
    return RootOut()


@resource.get("/health", access=access.ANYONE, uses=(*CHECKS, "credentials:get", "audit:write"), errors=(401, 403, 503))
def read_health(call: Call, query: HealthQuery) -> HealthOut | StatusOut:
    """Say that the process can serve; with `detailed=true` ask every backend, as `/status` does."""
    if not query.detailed:
        return HealthOut()
    require(call, access.OPERATOR)
    return _status(call)


@resource.get("/status", access=access.OPERATOR, uses=CHECKS, errors=(503,))
def read_status(call: Call) -> StatusOut:
    """Ask every backend: 200, or 503 when a vital one is silent."""
    return _status(call)


@resource.get("/metrics", access=access.OPERATOR, uses=(*FLEET, "counters:read"), errors=(503,))
def read_metrics(call: Call) -> Text:
    """Metrics in Prometheus' text format."""
    now = services()
    now.counters.flush()
    state = status.queue_state(now.queue, now_ms=call.now_ms)
    counted = status.fleet(call.principal.tenant, devices=now.devices, presence=now.presence, now_ms=call.now_ms)
    return Text("text/plain; version=0.0.4; charset=utf-8", status.exposition(now.counters, state, counted))


@resource.get("/openapi.json", access=access.ANYONE)
def read_openapi(call: Call) -> dict[str, Any]:  # noqa: ARG001
    """The OpenAPI 3.1 description of exactly these endpoints."""
    return openapi.document(endpoints(), open_pages=services().settings.local)


@resource.get("/docs", access=access.ANYONE, media_types=("text/html",))
def read_docs(call: Call) -> Text:
    """A readable page of all endpoints, without outside resources."""
    call.answer_headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return Text(
        "text/html; charset=utf-8",
        docs_page.render(openapi.document(endpoints(), open_pages=services().settings.local)),
    )


@resource.get("/api/v1/telemetry/status", access=access.OPERATOR, uses=(*FLEET, "readings:read"))
def read_telemetry_status(call: Call) -> telemetry_shapes.TelemetryStatusOut:
    """The state of the pipeline: the store is asked, the ledger is exact."""
    now, settings = services(), services().settings
    store = status.probe(now.readings.check)
    state = status.queue_state(now.queue, now_ms=call.now_ms)
    ledger = state.ledger
    counted = status.fleet(call.principal.tenant, devices=now.devices, presence=now.presence, now_ms=call.now_ms)
    return telemetry_shapes.TelemetryStatusOut(
        iotdb_available=store.healthy,
        iotdb_host=settings.iotdb_host,
        iotdb_port=settings.iotdb_port,
        iotdb_database=settings.iotdb_database,
        store=settings.store,
        total_devices=counted.total,
        status="healthy" if store.healthy else "unavailable",
        warnings=status.risks(now.readings) if store.healthy else [],
        queue=telemetry_shapes.QueueOut(
            queued=ledger.queued,
            in_flight=ledger.in_flight,
            dead_lettered=ledger.dead_lettered,
            oldest_age_s=state.oldest_age_s,
        ),
        ledger=telemetry_shapes.LedgerOut(**ledger._asdict(), balanced=ledger.balanced),
    )


def _status(call: Call) -> StatusOut:
    now = services()
    checks = _checks(now)
    word = status.verdict(checks, vital=VITAL)
    if word == "unhealthy":
        call.status = 503
    return StatusOut.model_validate(
        {
            "status": word,
            "timestamp": times.to_iso(call.now_ms),
            "failed_checks": [name for name, check in checks.items() if not check.healthy],
            "warnings": status.risks(now.readings) if checks["iotdb"].healthy else [],
            "checks": {
                name: {**check._asdict(), "status": "healthy" if check.healthy else "unhealthy"}
                for name, check in checks.items()
            },
            "metrics": _metrics(call, now),
        }
    )


def _checks(now: Services) -> dict[str, status.Check]:
    checks = {
        "database": status.probe(now.devices.check),
        "queue": status.probe(now.queue.check),
        "iotdb": status.probe(now.readings.check),
        "presence": status.probe(now.presence.check),
    }
    if now.settings.redis_url:
        checks["redis"] = status.probe(now.limiter.check)
    if now.settings.broker_url or now.settings.mqtt_gateway:  # `up` says so when it runs one
        checks["mqtt"] = status.probe(now.mqtt.check)
    return checks


def _metrics(call: Call, now: Services) -> dict[str, Any]:
    metrics: dict[str, Any] = {"system": status.system()}
    try:
        state = status.queue_state(now.queue, now_ms=call.now_ms)
        metrics["ledger"] = {**state.ledger._asdict(), "balanced": state.ledger.balanced}
        metrics["queue"] = {
            "depth": state.ledger.queued + state.ledger.in_flight,
            "oldest_age_s": state.oldest_age_s,
            "dead_letters": state.ledger.dead_lettered,
        }
        counted = status.fleet(call.principal.tenant, devices=now.devices, presence=now.presence, now_ms=call.now_ms)
        metrics["devices"] = {
            "total_devices": counted.total,
            "active_devices": counted.stats.by_status.get("active", 0),
            "online_devices": counted.online,
        }
    except Unavailable as error:
        metrics["error"] = error.message
    return metrics
