"""Numbers about the fleet for people and programs: counts, dashboard statistics, analytics."""

from typing import Any, Literal

from pydantic import Field

from chalicelib import access, analytics, status, times
from chalicelib.api.forms import Instant
from chalicelib.api.telemetry_shapes import LedgerOut
from chalicelib.calls import Call
from chalicelib.declare import Answer, Query
from chalicelib.http import Resource
from chalicelib.model import CredentialKind, Device, DeviceStatus, Scope
from chalicelib.query import require_order
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1/admin", tag="Administration")
READ = access.token(Scope.DEVICES_READ)
USES = ("devices:list", "presence:list", "credentials:tokens")


class DeviceCounts(Answer):
    """Devices by status; `online` and `offline` are null while presence does not answer."""

    total: int
    active: int
    inactive: int
    maintenance: int
    error: int
    online: int | None
    offline: int | None


class AuthCounts(Answer):
    """Live device keys, and tokens."""

    total_records: int
    active_records: int
    tokens: int


class StatsOut(Answer):
    """Counts over all devices."""

    status: Literal["success"] = "success"
    timestamp: str
    device_stats: DeviceCounts
    types: dict[str, int]
    auth_stats: AuthCounts


class DashboardOut(StatsOut):
    """The counts, with the pipeline's ledger beside them."""

    ledger: LedgerOut
    queue_oldest_age_s: float


class AnalyticsQuery(Query):
    """The window to look at."""

    start_time: Instant = "-1h"
    end_time: Instant = "now"
    top: int = Field(10, ge=1, le=100, description="how many busiest and silent devices to name")


class WindowOut(Answer):
    """The window that was looked at."""

    start_time: str
    end_time: str
    seconds: float


class StatisticsOut(Answer):
    """One measurement over all devices."""

    count: int
    avg: float
    min: float
    max: float
    stddev: float
    p95: float


class BusyDevice(Answer):
    """A device, and how many readings it sent."""

    id: int
    name: str
    device_type: str
    readings: int


class SilentDevice(Answer):
    """A device without a reading in the window."""

    id: int
    name: str
    device_type: str


class AnalyticsOut(Answer):
    """What the fleet did in the window."""

    status: Literal["success"] = "success"
    window: WindowOut
    devices_surveyed: int
    readings: int
    readings_per_minute: float
    by_type: dict[str, int]
    by_measurement: dict[str, StatisticsOut]
    busiest_devices: list[BusyDevice]
    silent_devices: list[SilentDevice]
    silent_count: int
    rejected_by_reason: dict[str, int]


@resource.get("/stats", access=READ, uses=USES)
def read_stats(call: Call) -> StatsOut:
    """Count devices by status and type, and keys."""
    return StatsOut.model_validate(_stats(call))


@resource.get("/dashboard", access=READ, uses=(*USES, "queue:read"))
def read_dashboard(call: Call) -> DashboardOut:
    """Statistics for programs: the counts, and the pipeline's ledger."""
    state = status.queue_state(services().queue, now_ms=call.now_ms)
    ledger = {**state.ledger._asdict(), "balanced": state.ledger.balanced}
    return DashboardOut.model_validate({**_stats(call), "ledger": ledger, "queue_oldest_age_s": state.oldest_age_s})


@resource.get(
    "/analytics",
    access=access.token(Scope.TELEMETRY_READ),
    uses=("devices:list", "readings:read", "counters:read"),
)
def read_analytics(call: Call, query: AnalyticsQuery) -> AnalyticsOut:
    """Survey the fleet over a window: volume, statistics by measurement, busy and silent devices, refusals."""
    start_ms = times.parse_instant(query.start_time, field="start_time", now_ms=call.now_ms, relative=True)
    end_ms = times.parse_instant(query.end_time, field="end_time", now_ms=call.now_ms, relative=True)
    require_order(start_ms, end_ms, start="start_time", end="end_time")
    now = services()
    now.counters.flush()
    found = analytics.analyse(
        call.principal.tenant,
        start_ms=start_ms,
        end_ms=end_ms,
        top=query.top,
        devices=now.devices,
        readings=now.readings,
        counters=now.counters,
    )
    return _analytics_out(found, start_ms, end_ms)


def _analytics_out(found: analytics.Analysis, start_ms: int, end_ms: int) -> AnalyticsOut:
    return AnalyticsOut(
        window=WindowOut(
            start_time=times.to_iso(start_ms), end_time=times.to_iso(end_ms), seconds=(end_ms - start_ms) / 1000
        ),
        devices_surveyed=found.surveyed,
        readings=found.readings,
        readings_per_minute=round(found.readings * 60_000 / max(end_ms - start_ms, 1), 3),
        by_type=found.by_type,
        by_measurement={
            name: StatisticsOut(
                count=item.count, avg=item.avg, min=item.min, max=item.max, stddev=item.stddev, p95=item.p95
            )
            for name, item in found.measurements.items()
        },
        busiest_devices=[BusyDevice(**_named(device), readings=count) for device, count in found.busiest],
        silent_devices=[SilentDevice(**_named(device)) for device in found.silent],
        silent_count=found.silent_count,
        rejected_by_reason=found.refused,
    )


def _named(device: Device) -> dict[str, Any]:
    return {"id": device.id, "name": device.name, "device_type": device.device_type}


def _stats(call: Call) -> dict[str, object]:
    now, tenant = services(), call.principal.tenant
    counted = status.fleet(tenant, devices=now.devices, presence=now.presence, now_ms=call.now_ms)
    by_status = {word.value: counted.stats.by_status.get(word.value, 0) for word in DeviceStatus}
    return {
        "timestamp": times.to_iso(call.now_ms),
        "device_stats": {
            **by_status,
            "total": counted.total,
            "online": counted.online,
            "offline": None if counted.online is None else counted.total - counted.online,
        },
        "types": dict(counted.stats.by_type),
        "auth_stats": {
            "total_records": counted.stats.keys,
            "active_records": counted.stats.keys,
            "tokens": len(now.credentials.of_kind(tenant, CredentialKind.TOKEN)),
        },
    }
